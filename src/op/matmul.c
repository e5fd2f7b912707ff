/* op/matmul.c - y = x W^T + bias, for any number of rows. */
#include "op/matmul.h"

#include "op/choice.h"
#include "op/lanes.h"
#include "op/matmul_cut.h"
#include "op/texels.h"
#include "op/variant.h"
#include "op/weight_layout.h"
#include "push_matmul.h"

#define ROWS_SKINNY 32u            /* up to here sums in registers beat tiles in shared memory */
#define COOPMAT_ROWS_MIN 16u       /* below, a tile is mostly empty */
#define SLICES_MAX 8u
#define LANES_MAX 256u             /* of a workgroup */
#define LANES_WANTED 131072u       /* fill a wide device */

/* A family is a shader, in one form. All read the weights once for the rows that they hold. */
typedef enum matmul_family {
    ROWS, LANES, TEXELS, UNIFORM, TILE, HALF, DOT, COOPMAT, COOPMAT2, COOPMAT2_WG
} matmul_family;
static const struct {
    const char *module;            /* and the type's stem */
    pm_matmul_numerics numerics;
    uint32_t caps;                 /* PM_CAP_BIT()s without which it does not run */
    uint32_t shared_bytes;
    uint32_t outputs;              /* of one workgroup; 0 = lanes of a subgroup */
    uint32_t chunk;                /* rows that are computed or left out together, where it holds more; 0 = all */
    const char *text, *needs;
} families[] = {
    [ROWS] = {"matmul", PM_MATMUL_F32, 0, 4096, 0, 4, "a lane owns an output", "4 KiB of shared memory"},
    [LANES] = {"matmul_lanes", PM_MATMUL_F32, PM_CAP_BIT(SUBGROUP), 0, 8, 1, "x passed round by 4 lanes, for CPUs",
               "subgroups of 4 with broadcast"},
    [TEXELS] = {"matmul_texels", PM_MATMUL_F32, PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(TEXELS), 0, PM_WEIGHT_GROUP, 0,
                "buffer textures, x passed round by a vector's lanes, for CPUs",
                "a CPU driver, buffer textures that hold all, and subgroups of 4, 8 or 16 with shuffle"},
    [UNIFORM] = {"matmul_texels", PM_MATMUL_F32, PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(TEXELS), 0, PM_WEIGHT_GROUP, 0,
                 "buffer textures but for x, which all lanes load from one address, for CPUs",
                 "what texels needs, and a driver that loads once what lanes load from one address"},
    [TILE] = {"matmul_tile", PM_MATMUL_F32, 0, 18432, 64, 16, "tiles in shared memory", "18 KiB of shared memory"},
    [HALF] = {"matmul_half", PM_MATMUL_MATRIX, PM_CAP_BIT(F16), 11800, 64, 0, "tiles of f16 in shared memory",
              "f16 arithmetic and 12 KiB of shared memory"},
    [DOT] = {"matmul_dot", PM_MATMUL_INT8, 0, 4096, 0, 4, "packed dot products of x in 8-bit blocks",
             "x in 8-bit blocks and quantised weights"},
    [COOPMAT] = {"matmul_coopmat", PM_MATMUL_MATRIX, PM_CAP_BIT(COOPMAT), 0, 0, 0, "KHR cooperative matrices of f16",
                 "KHR cooperative matrices"},
    [COOPMAT2] = {"matmul_coopmat2", PM_MATMUL_MATRIX, PM_CAP_BIT(COOPMAT2), 0, 0, 0,
                  "NV cooperative matrices of a subgroup, decoded element by element", "NV cooperative matrices 2"},
    [COOPMAT2_WG] = {"matmul_coopmat2_wg", PM_MATMUL_MATRIX, PM_CAP_BIT(COOPMAT2) | PM_CAP_BIT(COOPMAT2WG), 0, 0, 0,
                     "NV cooperative matrices of a workgroup, decoded on load",
                     "NV cooperative matrices 2 that belong to a workgroup and decode as they load"},
};

/* A variant is a family and the rows of x that one workgroup holds. Within a family, ascending. */
static const struct matmul_variant {
    const char *name;
    matmul_family family;
    uint32_t rows;
} matmul_variants[] = {
    {"rows1", ROWS, 1},       {"rows2", ROWS, 2},     {"rows4", ROWS, 4},       {"rows8", ROWS, 8},
    {"rows16", ROWS, 16},     {"rows32", ROWS, 32},   {"lanes16", LANES, 16},   {"texels16", TEXELS, 16},
    {"texels24_uniform", UNIFORM, 24},
    {"tile64", TILE, 64},     {"tile64_f16", HALF, 64},
    {"dot1", DOT, 1},         {"dot2", DOT, 2},       {"dot4", DOT, 4},         {"dot8", DOT, 8},
    {"dot16", DOT, 16},       {"dot32", DOT, 32},     {"dot64", DOT, 64},
    {"coopmat16", COOPMAT, 16}, {"coopmat32", COOPMAT, 32}, {"coopmat64", COOPMAT, 64}, {"coopmat128", COOPMAT, 128},
    {"coopmat2", COOPMAT2, 16},
    {"coopmat2_wg", COOPMAT2_WG, 64},
};

#define VARIANTS (sizeof(matmul_variants) / sizeof(matmul_variants[0]))

const char *pm_matmul_variant(uint32_t index)
{
    return index < VARIANTS ? matmul_variants[index].name : NULL;
}

const char *pm_matmul_variant_text(uint32_t index)
{
    return families[matmul_variants[index].family].text;
}

const char *pm_matmul_variant_needs(uint32_t index)
{
    return families[matmul_variants[index].family].needs;
}

pm_matmul_numerics pm_matmul_variant_numerics(uint32_t index)
{
    return families[matmul_variants[index].family].numerics;
}

uint32_t pm_matmul_variant_rows(uint32_t index)
{
    return matmul_variants[index].rows;
}

/* What matmul_texels.comp computes. */
static bool is_texels(const struct matmul_variant *v)
{
    return v->family == TEXELS || v->family == UNIFORM;
}

/* Rows that a workgroup holds. In matmul_texels.comp as few as serve rows_max in as many workgroups: what is
 * unrolled there cannot be left out. From 6 on, even counts, since pipelines are what a start waits for, and 9,
 * so that a row more than 8 costs no two. */
static uint32_t tokens_for(const struct matmul_variant *v, uint32_t rows_max)
{
    if (!is_texels(v))
        return v->rows;
    const uint32_t tokens = pm_div_up(rows_max, pm_div_up(rows_max, v->rows));
    return tokens > 6 && tokens != 9 ? (tokens + 1) / 2 * 2 : tokens;
}

uint32_t pm_matmul_variant_computes(uint32_t index, uint32_t rows_max, uint32_t rows)
{
    const struct matmul_variant *v = &matmul_variants[index];
    const uint32_t tokens = tokens_for(v, rows_max), most = families[v->family].chunk;
    const uint32_t chunk = most == 0 || most > tokens ? tokens : most;
    return pm_div_up(rows, chunk) * chunk;
}

/* What tuning found for m; NULL = nothing. What must be the same in any batch has no choice, which is
 * by rows. */
static const pm_choice *chosen(const pm_vk_caps *caps, const pm_matmul *m)
{
    const pm_choice key = {.op = PM_CHOICE_MATMUL, .type = m->weight.type, .shape = {m->weight.n, m->weight.k},
                           .rows_first = m->rows_max};
    return m->deterministic ? NULL : pm_choices_find(caps->choices, &key);
}

/* Lanes of a subgroup where a slice is one: 32 where that can be asked for. Where lanes share registers, twice as many as the
 * hardware has in one, 64 words each, or as many where that is too little for a row's sum, the block of
 * weights and its quads of x (bench/results/static-dg2.csv). */
static uint32_t lanes_for(const pm_vk_caps *caps, const struct matmul_variant *v)
{
    const uint32_t words = v->rows + (v->family == DOT ? 44 : 52);
    const uint32_t wanted = !pm_vk_shares_registers(caps) ? 32 : words <= 64 ? 2 * caps->subgroup_min : caps->subgroup_min;
    return wanted < caps->subgroup_min ? caps->subgroup_min : wanted > caps->subgroup_max ? caps->subgroup_max : wanted;
}

/* Slices of k, so that a wide device has enough lanes where outputs alone are too few; one
 * where lanes are a loop (CPU). */
static uint32_t slices_for(const pm_vk_caps *caps, const pm_matmul *m, const struct matmul_variant *v, uint32_t subgroup,
                           uint32_t blocks)
{
    if (caps->is_cpu)
        return 1;
    const uint64_t lanes = (uint64_t)m->weight.n * (m->deterministic ? 1 : pm_div_up(m->rows_max, v->rows));
    uint32_t slices = 1;
    while (slices < SLICES_MAX && slices * 2 <= blocks && slices * 2 * subgroup <= LANES_MAX &&
           lanes * slices < LANES_WANTED)
        slices *= 2;
    return slices;
}

static const char *profile_name(pm_dtype type)
{
    switch (type) {
#define X(name, id, block, bytes, stem) case PM_DTYPE_##name: return "matmul." stem;
        PM_DTYPE_MAP(X)
#undef X
    default: return "matmul";
    }
}

static void add_constant(pm_vk_pipeline_key *key, uint32_t id, uint32_t value)
{
    key->spec[key->spec_count].id = id;
    key->spec[key->spec_count++].value = value;
}

static bool is_power(uint32_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

/* The lanes of a subgroup and the slices of a workgroup: m's own, else those that were found best, where the
 * device can have them, else by the rules above. */
static void split_k(const pm_vk_caps *caps, const pm_matmul *m, const struct matmul_variant *v, uint32_t *lanes,
                    uint32_t *slices)
{
    const pm_choice *choice = chosen(caps, m);
    const bool found = choice != NULL && &matmul_variants[choice->variant] == v;
    const uint32_t blocks = pm_div_up(m->weight.k, 32);
    *lanes = m->lanes != 0 ? m->lanes : found ? choice->lanes : 0;
    if (!is_power(*lanes) || *lanes < caps->subgroup_min || *lanes > caps->subgroup_max)
        *lanes = lanes_for(caps, v);
    *slices = m->slices != 0 ? m->slices : found ? choice->slices : 0;
    const bool room = *lanes * *slices <= LANES_MAX && *lanes * *slices <= caps->workgroup_max;
    if (m->slices == 0 && (!is_power(*slices) || *slices > SLICES_MAX || *slices > blocks || !room))
        *slices = slices_for(caps, m, v, *lanes, blocks);
}

static bool has_slices(const struct matmul_variant *v)
{
    return v->family == ROWS || v->family == DOT;
}

void pm_matmul_variant_split(uint32_t index, const pm_vk_caps *caps, const pm_matmul *m, uint32_t *lanes,
                             uint32_t *slices)
{
    *lanes = *slices = 0;
    if (has_slices(&matmul_variants[index]))
        split_k(caps, m, &matmul_variants[index], lanes, slices);
}

/* Quads of weight rows that a lane of matmul_texels.comp owns: two, where one pass of x for both saves more than what is
 * held for both costs (the shader's header has the times). */
static uint32_t quads_for(const pm_vk_caps *caps, matmul_family family, uint32_t tokens)
{
    const uint32_t lanes = pm_texels_lanes(caps);
    if (lanes == 4)
        return tokens <= (family == UNIFORM ? 2 : 6) ? 2 : 1;
    return lanes == 8 && family == TEXELS && tokens >= 3 && tokens <= 6 ? 2 : 1;
}

/* The constants of the families that need nothing but the table above. */
static void cut_plain(const pm_vk_caps *caps, const pm_matmul *m, const struct matmul_variant *v, pm_matmul_cut *cut)
{
    uint32_t lanes, slices;
    split_k(caps, m, v, &lanes, &slices);
    *cut = (pm_matmul_cut){.rows = tokens_for(v, m->rows_max),
                           .outputs = families[v->family].outputs > 0 ? families[v->family].outputs : lanes};
    if (has_slices(v)) {
        add_constant(&cut->key, PM_SPEC_LOCAL_X, lanes * slices);
        add_constant(&cut->key, PM_SPEC_MATMUL_LANES, lanes);
        add_constant(&cut->key, PM_SPEC_MATMUL_SLICES, slices);
        cut->key.subgroup = caps->subgroup_min < caps->subgroup_max ? lanes : 0;
    }
    if (v->family != TILE && v->family != HALF)
        add_constant(&cut->key, PM_SPEC_MATMUL_TOKENS, cut->rows);
    if (v->family == UNIFORM)
        add_constant(&cut->key, PM_SPEC_MATMUL_UNIFORM, 1);
    if (is_texels(v)) {
        const uint32_t vector = pm_texels_lanes(caps), quads = quads_for(caps, v->family, cut->rows);
        cut->outputs = vector * quads * 4;
        add_constant(&cut->key, PM_SPEC_LOCAL_X, vector);
        add_constant(&cut->key, PM_SPEC_MATMUL_QUADS, quads);
        if (!m->deterministic)
            add_constant(&cut->key, PM_SPEC_MATMUL_BY_ROWS, 1);
    }
}

/* Texels of the parts of a matmul, by shapes alone. */
static bool texels_fit(const pm_vk_caps *caps, const pm_matmul *m)
{
    const pm_weight_view view = pm_weight_view_of(&m->weight);
    const uint64_t groups = pm_div_up(m->weight.n, PM_WEIGHT_GROUP), most = caps->texels_max;
    return pm_texels_lanes(caps) > 0 && groups * (view.group_pieces / 16) <= most &&
           groups * (view.group_scales / 16) <= most && (uint64_t)m->rows_max * (m->x_stride / 4) <= most;
}

/* Pieces, scales, x and, of a codebook type, its table; what a type has not is in another's place. */
static uint32_t texels_of(const pm_matmul *m, pm_vk_texels texels[PM_VK_TEXELS_MAX])
{
    const pm_weight_view view = pm_weight_view_of(&m->weight);
    const uint64_t groups = pm_div_up(m->weight.n, PM_WEIGHT_GROUP), base = pm_slice_address(m->weight.data);
    const uint64_t x_bytes = (uint64_t)m->rows_max * m->x_stride * 4, x_most = m->x.bytes / 16 * 16;
    const pm_slice all = m->weight.data, table = pm_slice_part(all, 0, view.pieces - base);
    const pm_slice pieces = pm_slice_part(all, view.pieces - base, groups * view.group_pieces);
    const pm_slice scales = pm_slice_part(all, view.scales - base, groups * view.group_scales);
    texels[0] = (pm_vk_texels){pieces.bytes > 0 ? pieces : scales, PM_VK_TEXEL_U32X4};
    texels[1] = (pm_vk_texels){scales.bytes > 0 ? scales : pieces, PM_VK_TEXEL_U32X4};
    texels[2] = (pm_vk_texels){pm_slice_part(m->x, 0, x_bytes < x_most ? x_bytes : x_most), PM_VK_TEXEL_F32X4};
    texels[3] = (pm_vk_texels){table, PM_VK_TEXEL_U32};
    return table.bytes > 0 ? 4 : 3;
}

/* Turns of the loops along k: one for each 32 weights, and for every 8 of those two more where what they share is read
 * once, which is for some types. */
static uint64_t turns_of(const struct matmul_variant *v, uint32_t k)
{
    const uint64_t blocks = pm_div_up(k, 32);
    return is_texels(v) ? blocks + blocks / 8 * 2 + 1 : blocks;
}

/* How variant `index` is cut for m, or what it needs and device, build or m lacks. The key's
 * module is the caller's to fill in. */
static const char *cut_of(uint32_t index, const pm_vk_caps *caps, const pm_matmul *m, pm_matmul_cut *cut)
{
    const struct matmul_variant *v = &matmul_variants[index];
    char module[32];
    if ((caps->bits & families[v->family].caps) != families[v->family].caps ||
        caps->shared_bytes < families[v->family].shared_bytes || (is_texels(v) && !texels_fit(caps, m)) ||
        (v->family == LANES && caps->subgroup_max != 4) || (v->family == UNIFORM && !caps->uniform_loads) ||
        (v->family == DOT && m->x_q8.bytes == 0) ||
        pm_weight_module(families[v->family].module, m->weight.type, module, sizeof(module)) != PM_OK)
        return families[v->family].needs;
    if (!pm_vk_module_exists(module))
        return "a shader for weights of this type, and a glslang that compiles it";
    if (!pm_loops_fit(caps, turns_of(v, m->weight.k)))
        return "shorter rows: " PM_LOOPS_LACK;
    if (v->family == COOPMAT)
        return pm_matmul_cut_coopmat(caps, m, v->rows, cut);
    if (v->family == COOPMAT2)
        return pm_matmul_cut_coopmat2(caps, v->rows, cut);
    if (v->family == COOPMAT2_WG)
        return pm_matmul_cut_coopmat2_wg(caps, v->rows, cut);
    cut_plain(caps, m, v, cut);
    return NULL;
}

const char *pm_matmul_variant_lacks(uint32_t index, const pm_vk_caps *caps, const pm_matmul *m)
{
    pm_matmul_cut cut;
    pm_assert(index < VARIANTS);
    return cut_of(index, caps, m, &cut);
}

bool pm_matmul_variant_fits(uint32_t index, const pm_vk_caps *caps, const pm_matmul *m)
{
    return index < VARIANTS && pm_matmul_variant_lacks(index, caps, m) == NULL;
}

static pm_result refuse(const struct matmul_variant *v, const pm_matmul *m, const char *lacks)
{
    return pm_fail(PM_ERR_UNSUP, "matmul: variant %s on weights of type %s needs %s, which is not there", v->name,
                   pm_dtype_get(m->weight.type)->name, lacks);
}

pm_result pm_matmul_record_variant(pm_vk_recorder *recorder, const pm_matmul *m, uint32_t index)
{
    pm_assert(index < VARIANTS && m->x_stride % PM_ROW_ALIGN == 0 && m->x_stride >= m->weight.k);
    pm_assert(m->y_stride >= m->weight.n && m->rows_max > 0 && m->slices <= SLICES_MAX && (m->slices & (m->slices - 1)) == 0);
    pm_vk_device *device = pm_vk_recorder_device(recorder);
    const struct matmul_variant *v = &matmul_variants[index];
    char module[32];
    PM_TRY(pm_weight_module(families[v->family].module, m->weight.type, module, sizeof(module)));
    pm_matmul_cut cut;
    const char *lacks = cut_of(index, pm_vk_device_caps(device), m, &cut);
    if (lacks != NULL)
        return refuse(v, m, lacks);
    const bool q8 = families[v->family].numerics == PM_MATMUL_INT8;
    pm_assert(!q8 || m->x_q8.bytes >= pm_quantise_bytes(m->rows_max, m->weight.k));
    const pm_slice x = q8 ? m->x_q8 : m->x;
    const pm_weight_view view = pm_weight_view_of(&m->weight);
    cut.key.module = module;
    cut.key.push_bytes = sizeof(pm_push_matmul);
    const pm_push_matmul push = {
        .pieces = view.pieces,
        .scales = view.scales,
        .bias = pm_slice_address(m->bias),
        .x = pm_slice_address(x),
        .y = pm_slice_address(m->y),
        .rows = pm_slice_address(m->rows),
        .n = m->weight.n,
        .blocks = view.blocks,
        .group_pieces = view.group_pieces,
        .group_scales = view.group_scales,
        .x_stride = m->x_stride,
        .y_stride = m->y_stride,
    };
    pm_vk_dispatch dispatch = {
        .op = profile_name(m->weight.type),
        .push = &push,
        .groups = {pm_div_up(m->weight.n, cut.outputs), pm_div_up(m->rows_max, cut.rows), 1},
        .access_count = 5,
        .access = {{m->weight.data, false}, {m->bias, false}, {x, false}, {m->y, true}, {m->rows, false}},
        .bytes = pm_weight_read_bytes(&m->weight) + (uint64_t)m->rows_max * (q8 ? view.blocks * 40 : m->weight.k * 4) +
                 (uint64_t)m->rows_max * m->weight.n * 4,
        .flops = 2 * (uint64_t)m->rows_max * m->weight.n * m->weight.k,
    };
    if (is_texels(v))
        cut.key.texels = texels_of(m, dispatch.texels);
    PM_TRY(pm_vk_pipeline_get(device, &cut.key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}

/* Of a family the fewest rows that hold all of rows_max, else the most; VARIANTS when none fits
 * that is not off. */
static uint32_t pick_rows(matmul_family family, const pm_vk_caps *caps, const pm_matmul *m)
{
    uint32_t best = VARIANTS;
    for (uint32_t i = 0; i < VARIANTS; i++) {
        if (matmul_variants[i].family != family || !pm_matmul_variant_fits(i, caps, m) ||
            pm_variant_is_off(caps, PM_VARIANTS_MATMUL, m->weight.type, i))
            continue;
        best = i;
        if (matmul_variants[i].rows >= m->rows_max)
            break;
    }
    return best;
}

/* Where dot products of bytes are instructions of a GPU they serve all row counts: the
 * weights are read once up to 64 rows, a fourth of the instructions do, and a row costs the
 * same in any batch. */
static bool dot_pays(const pm_vk_caps *caps)
{
    return !caps->is_cpu && (caps->bits & PM_CAP_BIT(INT8DOT));
}

/* Masked dot products are not chosen either, though no kernel needs them. */
static bool may_choose(const pm_vk_caps *caps, const pm_choice *choice)
{
    return pm_matmul_variant_numerics(choice->variant) != PM_MATMUL_INT8 || (caps->bits & PM_CAP_BIT(INT8DOT)) != 0;
}

/* What was found best, else the best family for the device and so many rows; the others serve where that is off. On a CPU
 * driver a cooperative matrix is a detour through memory, and where lanes share registers staging it spills
 * (matmul_coopmat.comp has the numbers of both); those of NV cooperative matrix 2 are taken when asked for. When
 * deterministic, what is wanted does not depend on the rows: one family serves all of them, in an order that follows from
 * k, n and the device. */
static uint32_t pick(const pm_vk_caps *caps, const pm_matmul *m)
{
    const struct {
        matmul_family family;
        bool wanted;
    } order[] = {
        {UNIFORM, caps->is_cpu},
        {TEXELS, caps->is_cpu},
        {LANES, caps->is_cpu},
        {COOPMAT, !caps->is_cpu && !pm_vk_shares_registers(caps) && !m->deterministic && m->rows_max >= COOPMAT_ROWS_MIN},
        {DOT, dot_pays(caps)},
        {TILE, !caps->is_cpu && !m->deterministic && m->rows_max > ROWS_SKINNY},
        {ROWS, true},
        {TILE, true},
    };
    const pm_choice *choice = chosen(caps, m);
    if (choice != NULL && may_choose(caps, choice) && pm_matmul_variant_fits(choice->variant, caps, m) &&
        !pm_variant_is_off(caps, PM_VARIANTS_MATMUL, m->weight.type, choice->variant))
        return choice->variant;
    uint32_t best = VARIANTS;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && best == VARIANTS; i++)
        if (order[i].wanted)
            best = pick_rows(order[i].family, caps, m);
    return best;
}

static pm_result forced(uint32_t *index)
{
    const char *names[VARIANTS];
    for (uint32_t i = 0; i < VARIANTS; i++)
        names[i] = matmul_variants[i].name;
    return pm_variant_forced("matmul", names, VARIANTS, index);
}

pm_result pm_matmul_pick(const pm_vk_caps *caps, const pm_matmul *m, uint32_t *index)
{
    char module[32];
    PM_TRY(pm_weight_module("matmul", m->weight.type, module, sizeof(module)));
    PM_TRY(forced(index));
    if (*index != PM_VARIANT_FREE) {
        const char *lacks = pm_matmul_variant_lacks(*index, caps, m);
        return lacks == NULL ? PM_OK : refuse(&matmul_variants[*index], m, lacks);
    }
    *index = pick(caps, m);
    if (*index == VARIANTS)
        return pm_fail(PM_ERR_UNSUP, "matmul: no variant for weights of type %s and %u rows: each needs what the device "
                       "lacks, or is off there since it gave wrong results", pm_dtype_get(m->weight.type)->name,
                       m->rows_max);
    return PM_OK;
}

uint64_t pm_matmul_x_q8_bytes(const pm_vk_caps *caps, uint32_t rows_max, uint32_t k)
{
    uint32_t index;
    const bool is_forced = forced(&index) == PM_OK && index != PM_VARIANT_FREE;
    bool reads = is_forced ? pm_matmul_variant_numerics(index) == PM_MATMUL_INT8 : dot_pays(caps);
    for (uint32_t i = 0; !is_forced && caps->choices != NULL && i < caps->choices->count; i++) {
        const pm_choice *c = &caps->choices->list[i];
        reads |= c->op == PM_CHOICE_MATMUL && may_choose(caps, c) &&
                 pm_matmul_variant_numerics(c->variant) == PM_MATMUL_INT8;
    }
    return reads ? pm_quantise_bytes(rows_max, k) : 0;
}

pm_result pm_matmul_record(pm_vk_recorder *recorder, const pm_matmul *m)
{
    uint32_t index;
    PM_TRY(pm_matmul_pick(pm_vk_device_caps(pm_vk_recorder_device(recorder)), m, &index));
    return pm_matmul_record_variant(recorder, m, index);
}
