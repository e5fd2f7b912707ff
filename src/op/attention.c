/* op/attention.c - causal attention over paged KV. */
#include "op/attention.h"

#include "op/attention_cut.h"
#include "op/choice.h"
#include "op/lanes.h"
#include "op/loops.h"
#include "op/texels.h"
#include "op/variant.h"
#include "push_attention.h"

#define LANES 32u                  /* of a workgroup of attention.comp, and tokens of its tile */
#define LANES_WIDE 64u             /* the same, for subgroups of 64 */
#define TILE 32u                   /* tokens, of the other kernels */
#define PARTS 4u                   /* as there */
#define SPLITS_MAX 32u
#define COOPMAT_ROWS_MIN 16u       /* of a sequence: below, a tile of matrices is mostly empty */
#define GROUPS_WANTED 512u         /* workgroups that fill a wide device */
#define RUN_LEAST 8u               /* tiles of a run, where sums are cut into runs */

/* The first six run the same shader and need nothing but the floor; with as many lanes they add in the same order. TEXELS,
 * for CPU drivers, serves rows that decode and prompts alike, in an order of additions of its own. */
enum { DECODE, SPLIT, PREFILL, DECODE_WIDE, SPLIT_WIDE, PREFILL_WIDE, PREFILL_COOPMAT, TEXELS, VARIANTS };
#define WIDE DECODE_WIDE           /* less the same of LANES */
static const struct {
    const char *name, *text, *needs;
} variants[VARIANTS] = {
    [DECODE] = {"decode", "a row at a time, with the heads that share keys", "nothing optional"},
    [SPLIT] = {"split", "as decode, a row's pages over several workgroups, for wide devices", "nothing optional"},
    [PREFILL] = {"prefill", "several rows of a prompt share keys", "nothing optional"},
    [DECODE_WIDE] = {"decode64", "as decode, by 64 lanes, for subgroups of as many", "nothing optional"},
    [SPLIT_WIDE] = {"split64", "as split, by 64 lanes", "nothing optional"},
    [PREFILL_WIDE] = {"prefill64", "as prefill, by 64 lanes", "nothing optional"},
    [PREFILL_COOPMAT] = {"prefill_coopmat", "rows of a prompt on KHR cooperative matrices of f16",
                         "KHR cooperative matrices, and pages of f16"},
    [TEXELS] = {"texels", "buffer textures, q passed round by a vector's lanes, for CPUs",
                "a CPU driver, buffer textures that hold pages and q, subgroups of 4, 8 or 16 with shuffle, and "
                "64-bit integers"},
};

const char *pm_attention_variant(uint32_t index)
{
    return index < VARIANTS ? variants[index].name : NULL;
}

const char *pm_attention_variant_text(uint32_t index)
{
    return index < VARIANTS ? variants[index].text : NULL;
}

const char *pm_attention_variant_needs(uint32_t index)
{
    return index < VARIANTS ? variants[index].needs : NULL;
}

/* Rows x heads of one workgroup at most. Twice as many of long heads would take all registers: 240 to 256 of AMD's for pages of
 * q8_0 and q4_0, which leaves 3 or 4 waves, and more than Intel and Apple have (bench/results/static-*.csv). */
static uint32_t queries_of(const pm_attention *a)
{
    return a->layout.head_dim > 128 ? 4 : 8;
}

/* How a variant of attention.comp cuts the work. */
typedef struct shape {
    uint32_t lanes;                /* of one workgroup, and tokens of a tile */
    uint32_t rows, heads;          /* of one workgroup */
    uint32_t splits;
    uint32_t run;                  /* tiles summed apart from the others; 0 = as the splits cut */
} shape;

/* The largest divisor of n that is at most `most`. */
static uint32_t divisor(uint32_t n, uint32_t most)
{
    uint32_t d = n < most ? n : most;
    while (n % d != 0)
        d--;
    return d;
}

/* What tuning found for a, as in matmul.c. */
static const pm_choice *chosen(const pm_vk_caps *caps, const pm_attention *a)
{
    const pm_choice key = {.op = PM_CHOICE_ATTENTION, .type = a->layout.type, .decode = a->rows_per_seq_max == 1,
                           .shape = {a->heads, a->layout.kv_heads, a->layout.head_dim}, .rows_first = a->rows_max};
    return a->deterministic ? NULL : pm_choices_find(caps->choices, &key);
}

/* a's own, else as many as were found best, else by shape. */
static uint32_t splits_of(const pm_vk_caps *caps, const pm_attention *a, uint32_t variant, uint32_t lanes, uint64_t groups)
{
    const uint32_t most = pm_div_up(a->kv_len_max, 2 * lanes);
    const pm_choice *choice = chosen(caps, a);
    uint32_t splits = a->splits;
    if (splits == 0 && choice != NULL && choice->variant == variant)
        splits = choice->splits;
    splits = splits > 0 ? splits : (uint32_t)(GROUPS_WANTED / groups);
    splits = splits > SPLITS_MAX ? SPLITS_MAX : splits;
    splits = splits > most ? most : splits;
    return splits < 1 ? 1 : splits;
}

/* Turns of the loops that zero what of `rows` rows lies past the last head. */
static uint64_t pad_turns_of(const pm_attention *a, uint32_t rows, uint32_t lanes)
{
    const uint32_t used = a->heads * a->layout.head_dim, pads = a->out_stride > used ? a->out_stride - used : 0;
    return (uint64_t)rows * (pads / lanes + 3) + 1;
}

/* Turns that a lane of attention.comp takes at most, nothing unrolled that does not say so: each row of a
 * workgroup may be of another sequence, and take a pass of its own. */
static uint64_t turns_of(const pm_attention *a, const shape *s)
{
    const uint32_t page = a->layout.page_tokens, quads = a->layout.head_dim / 4;
    const uint32_t pieces = a->layout.head_dim / pm_kv_piece_elements(a->layout.type);
    const uint64_t seen = a->window > 0 && a->window < a->kv_len_max ? (uint64_t)a->window + s->rows : a->kv_len_max;
    const uint64_t tiles = seen / s->lanes + 2, passes = s->rows < a->seqs_max ? s->rows : a->seqs_max;
    const uint64_t share = s->splits == 1 ? tiles : s->run > 0 ? s->run : tiles / s->splits + 1;
    const uint64_t runs = s->run > 0 ? share / s->run + 2 : 1;
    const uint64_t tile = 1 + (s->lanes / PARTS + 1) + (pieces + 1) + (s->lanes / page + 1) +
                          s->lanes / page * (page + 1);
    const uint64_t around = (uint64_t)s->rows * s->heads * quads / s->lanes + pad_turns_of(a, s->rows, s->lanes) + 4;
    return passes * (share * tile + runs + around) + 1;
}

/* On a CPU driver, so that no loop is cut short: fewer rows in a workgroup, which change no bit, where the
 * runs are given; else, and where one row is too much, splits. False: not even so. */
static bool keep_to_loops(const pm_vk_caps *caps, const pm_attention *a, shape *s)
{
    const uint32_t tiles = pm_div_up(a->kv_len_max, s->lanes), rows = s->rows;
    while (s->run > 0 && s->rows > 1 && !pm_loops_fit(caps, turns_of(a, s)))
        s->rows /= 2;
    if (pm_loops_fit(caps, turns_of(a, s)))
        return true;
    for (s->rows = rows; s->rows >= 1; s->rows /= 2)
        for (uint32_t splits = s->splits; splits <= SPLITS_MAX; splits *= 2) {
            const shape tried = {s->lanes, s->rows, s->heads, s->run > 0 ? pm_div_up(tiles, s->run) : splits, s->run};
            if (!pm_loops_fit(caps, turns_of(a, &tried)))
                continue;
            *s = tried;
            return true;
        }
    s->rows = 1;
    return false;
}

/* *whole: false where the driver would end loops too soon. */
static shape shape_with(const pm_vk_caps *caps, const pm_attention *a, uint32_t variant, bool *whole)
{
    const uint32_t group = a->heads / a->layout.kv_heads, kind = variant % WIDE;
    shape s = {.lanes = variant < WIDE ? LANES : LANES_WIDE, .rows = 1, .heads = divisor(group, queries_of(a)), .splits = 1};
    const uint32_t tiles = pm_div_up(a->kv_len_max, s.lanes);
    if (kind == PREFILL) {
        s.heads = divisor(group, 2);
        s.rows = queries_of(a) / s.heads;
    }
    if (a->deterministic) {
        s.run = pm_div_up(tiles, SPLITS_MAX);
        s.run = s.run < RUN_LEAST ? RUN_LEAST : s.run;
    }
    if (kind == SPLIT)
        s.splits = a->deterministic ? pm_div_up(tiles, s.run)
                                    : splits_of(caps, a, variant, s.lanes, (uint64_t)a->heads / s.heads * a->rows_max);
    *whole = keep_to_loops(caps, a, &s);
    return s;
}

/* As attention.comp declares it; PARTS of a tile's tokens for the maximum. */
static uint32_t shared_bytes(const pm_attention *a, const shape *s)
{
    const uint32_t scales = pm_kv_type_has_scales(a->layout.type) ? a->layout.head_dim / PM_KV_BLOCK * s->lanes * 4 : 0;
    return s->rows * s->heads * (a->layout.head_dim + s->lanes + PARTS) * 4 + scales;
}

static const char *whole_heads(const pm_attention *a)
{
    if (a->layout.head_dim % 8 != 0 || a->layout.head_dim > 256)
        return "heads that are a multiple of 8 up to 256";
    return pm_kv_type_has_scales(a->layout.type) && a->layout.head_dim % PM_KV_BLOCK != 0
               ? "heads that are a multiple of 32 for pages of q8_0 or q4_0" : NULL;
}

/* Modules of a type of pages. */
static const struct {
    const char *plain, *texels;
} modules[] = {
    [PM_KV_F16] = {"attention_f16", "attention_texels_f16"},
    [PM_KV_F32] = {"attention_f32", "attention_texels_f32"},
    [PM_KV_Q8_0] = {"attention_q8_0", "attention_texels_q8_0"},
    [PM_KV_Q4_0] = {"attention_q4_0", "attention_texels_q4_0"},
};

/* attention.comp in one of its variants. */
static const char *cut_plain(const pm_vk_caps *caps, const pm_attention *a, uint32_t variant, pm_attention_cut *out)
{
    const char *lacks = whole_heads(a);
    bool whole;
    if (lacks != NULL)
        return lacks;
    const shape s = shape_with(caps, a, variant, &whole);
    if (!whole)
        return "a shorter context: " PM_LOOPS_LACK;
    if (caps->shared_bytes < shared_bytes(a, &s))
        return "more shared memory";
    *out = (pm_attention_cut){
        .rows = s.rows,
        .heads = s.heads,
        .splits = s.splits,
        .key = {.module = modules[a->layout.type].plain,
                .spec_count = 6,
                .spec = {{PM_SPEC_LOCAL_X, s.lanes}, {PM_SPEC_ATTENTION_HEAD_DIM, a->layout.head_dim},
                         {PM_SPEC_ATTENTION_ROWS, s.rows}, {PM_SPEC_ATTENTION_HEADS, s.heads},
                         {PM_SPEC_ATTENTION_PAGE, a->layout.page_tokens}, {PM_SPEC_ATTENTION_RUN, s.run}}},
    };
    return NULL;
}

/* Turns that a lane of attention_texels.comp takes at most, as turns_of(). */
static uint64_t texels_turns_of(const pm_attention *a, uint32_t lanes, uint32_t rows, uint32_t heads)
{
    const uint32_t dim = a->layout.head_dim, parts = pm_div_up(dim, 4 * lanes);
    const bool kept = rows * heads * dim > PM_ATTENTION_UNROLLED;
    const uint32_t keys = parts + 1 + (kept ? parts * (lanes / 2 + 1) : 0), values = kept ? TILE / lanes + 1 : 0;
    const uint64_t seen = a->window > 0 && a->window < a->kv_len_max ? (uint64_t)a->window + rows : a->kv_len_max;
    const uint64_t passes = rows < a->seqs_max ? rows : a->seqs_max;
    return passes * ((seen / TILE + 2) * (1 + keys + values) + pad_turns_of(a, rows, lanes) + 4) + 1;
}

/* The pages and q as attention_texels.comp binds them. */
static void texels_of(const pm_attention *a, pm_vk_texels texels[2])
{
    texels[0] = (pm_vk_texels){a->kv, PM_VK_TEXEL_U32X4};
    texels[1] = (pm_vk_texels){pm_slice_part(a->q, 0, a->q.bytes / 16 * 16), PM_VK_TEXEL_F32X4};
}

/* attention_texels.comp. */
static const char *cut_texels(const pm_vk_caps *caps, const pm_attention *a, pm_attention_cut *out)
{
    const uint32_t group = a->heads / a->layout.kv_heads, most = queries_of(a);
    const uint32_t lanes = pm_texels_lanes(caps);
    uint32_t heads = divisor(group, a->rows_per_seq_max > 1 ? 2 : most);
    uint32_t rows = a->rows_per_seq_max > 1 ? most / heads : 1;
    const char *lacks = whole_heads(a);
    pm_vk_texels texels[2];
    texels_of(a, texels);
    if (!(caps->bits & PM_CAP_BIT(SUBGROUP)) || !(caps->bits & PM_CAP_BIT(INT64)) || lanes == 0 ||
        a->q_stride % 4 != 0 || a->out_stride % 4 != 0 ||
        !pm_vk_texels_fit(caps, texels[0]) || !pm_vk_texels_fit(caps, texels[1]))
        return variants[TEXELS].needs;
    if (a->layout.page_tokens < lanes || TILE % a->layout.page_tokens != 0)
        return "pages of 16 or 32 tokens, or of 8 where a subgroup has no more lanes";
    if (lacks != NULL)
        return lacks;
    while (rows > 1 && !pm_loops_fit(caps, texels_turns_of(a, lanes, rows, heads)))
        rows /= 2;
    while (heads > 1 && !pm_loops_fit(caps, texels_turns_of(a, lanes, rows, heads))) /* fewer share a read, and fewer loops stay */
        heads = divisor(group, heads - 1);
    if (!pm_loops_fit(caps, texels_turns_of(a, lanes, rows, heads)))
        return "a shorter context: " PM_LOOPS_LACK;
    *out = (pm_attention_cut){
        .rows = rows,
        .heads = heads,
        .splits = 1,
        .key = {.module = modules[a->layout.type].texels,
                .spec_count = 5,
                .spec = {{PM_SPEC_LOCAL_X, lanes}, {PM_SPEC_ATTENTION_HEAD_DIM, a->layout.head_dim},
                         {PM_SPEC_ATTENTION_ROWS, rows}, {PM_SPEC_ATTENTION_HEADS, heads},
                         {PM_SPEC_ATTENTION_PAGE, a->layout.page_tokens}},
                .texels = 2},
    };
    return NULL;
}

/* How variant `index` is cut, or what device, build or shape lacks. */
static const char *cut_of(uint32_t index, const pm_vk_caps *caps, const pm_attention *a, pm_attention_cut *out)
{
    pm_assert(index < VARIANTS);
    if (index == TEXELS)
        return cut_texels(caps, a, out);
    if (index != PREFILL_COOPMAT)
        return cut_plain(caps, a, index, out);
    return a->deterministic ? "leave to add in an order of its own, which deterministic does not give"
                            : pm_attention_cut_coopmat(caps, a, out);
}

const char *pm_attention_variant_lacks(uint32_t index, const pm_vk_caps *caps, const pm_attention *a)
{
    pm_attention_cut cut;
    return cut_of(index, caps, a, &cut);
}

bool pm_attention_variant_fits(uint32_t index, const pm_vk_caps *caps, const pm_attention *a)
{
    return index < VARIANTS && pm_attention_variant_lacks(index, caps, a) == NULL;
}

/* Whether all that run attention.comp have 64 lanes: where subgroups have no fewer, 32 would leave half of one idle. One
 * that is off takes the others with it, whose order of additions differs. */
static bool is_wide(const pm_vk_caps *caps, const pm_attention *a)
{
    bool wide = caps->subgroup_min >= LANES_WIDE;
    for (uint32_t v = WIDE; v < 2 * WIDE; v++)
        wide = wide && pm_attention_variant_fits(v, caps, a) && !pm_variant_is_off(caps, PM_VARIANTS_ATTENTION, a->layout.type, v);
    return wide;
}

/* Rows that decode read their KV alone; prompt rows share it. A split pays where one
 * workgroup for each row and KV head does not fill the device. */
static uint32_t best_of(const pm_vk_caps *caps, const pm_attention *a)
{
    const uint32_t wide = is_wide(caps, a) ? WIDE : 0;
    if (pm_attention_variant_fits(TEXELS, caps, a))
        return TEXELS;
    if (a->rows_per_seq_max >= COOPMAT_ROWS_MIN && !caps->is_cpu && !pm_vk_shares_registers(caps) &&
        pm_attention_variant_fits(PREFILL_COOPMAT, caps, a))
        return PREFILL_COOPMAT;
    if (a->rows_per_seq_max > 1)
        return PREFILL + wide;
    pm_attention_cut split;
    if (caps->is_cpu || cut_of(SPLIT + wide, caps, a, &split) != NULL)
        return DECODE + wide;
    const uint64_t groups = (uint64_t)a->heads / split.heads * a->rows_max;
    return (split.splits > 1 && groups <= GROUPS_WANTED / 2 ? SPLIT : DECODE) + wide;
}

/* What was found best, else the best, else the first that is not off: all serve any batch. */
static uint32_t choose(const pm_vk_caps *caps, const pm_attention *a)
{
    const pm_choice *choice = chosen(caps, a);
    if (choice != NULL && pm_attention_variant_fits(choice->variant, caps, a) &&
        !pm_variant_is_off(caps, PM_VARIANTS_ATTENTION, a->layout.type, choice->variant))
        return choice->variant;
    const uint32_t best = best_of(caps, a);
    if (!pm_variant_is_off(caps, PM_VARIANTS_ATTENTION, a->layout.type, best))
        return best;
    for (uint32_t v = 0; v < VARIANTS; v++)
        if (pm_attention_variant_fits(v, caps, a) && !pm_variant_is_off(caps, PM_VARIANTS_ATTENTION, a->layout.type, v))
            return v;
    return VARIANTS;
}

static pm_result refuse(uint32_t index, const pm_attention *a, const char *lacks)
{
    return pm_fail(PM_ERR_UNSUP, "attention: variant %s needs %s; heads have %u elements in %s here",
                   variants[index].name, lacks, a->layout.head_dim, pm_kv_type_name(a->layout.type));
}

pm_result pm_attention_pick(const pm_vk_caps *caps, const pm_attention *a, uint32_t *variant)
{
    const char *names[VARIANTS];
    for (uint32_t i = 0; i < VARIANTS; i++)
        names[i] = variants[i].name;
    PM_TRY(pm_variant_forced("attention", names, VARIANTS, variant));
    if (*variant != PM_VARIANT_FREE) {
        const char *lacks = pm_attention_variant_lacks(*variant, caps, a);
        return lacks == NULL ? PM_OK : refuse(*variant, a, lacks);
    }
    *variant = choose(caps, a);
    if (*variant == VARIANTS)
        return pm_fail(PM_ERR_UNSUP, "attention: no variant is left for heads of %u elements: all are off on this device "
                       "since they gave wrong results", a->layout.head_dim);
    return PM_OK;
}

static uint64_t scratch_bytes(const pm_attention *a, const pm_attention_cut *cut)
{
    return cut->splits == 1 ? 0 : (uint64_t)a->rows_max * a->heads * cut->splits * (a->layout.head_dim + 2) * 4;
}

uint64_t pm_attention_variant_scratch_bytes(const pm_vk_caps *caps, const pm_attention *a, uint32_t index)
{
    pm_attention_cut cut;
    return cut_of(index, caps, a, &cut) == NULL ? scratch_bytes(a, &cut) : 0;
}

uint32_t pm_attention_variant_rows(uint32_t index, const pm_vk_caps *caps, const pm_attention *a)
{
    pm_attention_cut cut;
    return cut_of(index, caps, a, &cut) == NULL ? cut.rows : 1;
}

uint32_t pm_attention_variant_splits(uint32_t index, const pm_vk_caps *caps, const pm_attention *a)
{
    pm_attention_cut cut;
    return cut_of(index, caps, a, &cut) == NULL ? cut.splits : 1;
}

uint64_t pm_attention_scratch_bytes(const pm_vk_caps *caps, const pm_attention *a)
{
    uint32_t variant;
    if (pm_attention_pick(caps, a, &variant) != PM_OK)
        return 0;
    return pm_attention_variant_scratch_bytes(caps, a, variant);
}

static pm_result record_reduce(pm_vk_recorder *recorder, const pm_attention *a, const pm_push_attention *push)
{
    const pm_vk_pipeline_key key = {.module = "attention_reduce", .spec_count = 1,
                                    .spec = {{PM_SPEC_ATTENTION_HEAD_DIM, a->layout.head_dim}},
                                    .push_bytes = sizeof(*push)};
    pm_vk_dispatch dispatch = {
        .op = "attention_reduce",
        .push = push,
        .groups = {a->heads, a->rows_max, 1},
        .access_count = 3,
        .access = {{a->scratch, false}, {a->out, true}, {a->rows, false}},
        .bytes = (uint64_t)a->rows_max * a->heads * (push->splits + 1) * a->layout.head_dim * 4,
        .flops = 2 * (uint64_t)a->rows_max * a->heads * push->splits * a->layout.head_dim,
    };
    PM_TRY(pm_vk_pipeline_get(pm_vk_recorder_device(recorder), &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}

pm_result pm_attention_record_variant(pm_vk_recorder *recorder, const pm_attention *a, uint32_t index)
{
    pm_vk_device *device = pm_vk_recorder_device(recorder);
    pm_attention_cut cut;
    const char *lacks = cut_of(index, pm_vk_device_caps(device), a, &cut);
    if (lacks != NULL)
        return refuse(index, a, lacks);
    pm_assert(a->heads % a->layout.kv_heads == 0 && a->out_stride >= a->heads * a->layout.head_dim);
    pm_assert(TILE % a->layout.page_tokens == 0 && a->scratch.bytes >= scratch_bytes(a, &cut));
    cut.key.push_bytes = sizeof(pm_push_attention);
    const pm_push_attention push = {
        .q = pm_slice_address(a->q),
        .out_ = pm_slice_address(a->out),
        .kv = pm_slice_address(a->kv),
        .block_tables = pm_slice_address(a->block_tables),
        .row_seq = pm_slice_address(a->row_seq),
        .row_start = pm_slice_address(a->row_start),
        .kv_len = pm_slice_address(a->kv_len),
        .rows = pm_slice_address(a->rows),
        .scratch = pm_slice_address(a->scratch),
        .q_stride = a->q_stride,
        .out_stride = a->out_stride,
        .table_stride = a->table_stride,
        .page_bytes = (uint32_t)pm_kv_page_bytes(&a->layout),
        .heads = a->heads,
        .kv_heads = a->layout.kv_heads,
        .splits = cut.splits,
        .window = a->window,
        .scale = a->scale,
    };
    const uint64_t kv_bytes = pm_kv_page_bytes(&a->layout) / a->layout.page_tokens * a->kv_len_max;
    pm_vk_dispatch dispatch = {
        .op = "attention",
        .push = &push,
        .groups = {a->heads / cut.heads, pm_div_up(a->rows_max, cut.rows), cut.splits},
        .access_count = 8,
        .access = {{a->q, false}, {cut.splits > 1 ? a->scratch : a->out, true}, {a->kv, false}, {a->block_tables, false},
                   {a->row_seq, false}, {a->row_start, false}, {a->kv_len, false}, {a->rows, false}},
        .bytes = pm_div_up(a->rows_max, cut.rows) * kv_bytes,
        .flops = 4 * (uint64_t)a->rows_max * a->heads * a->layout.head_dim * a->kv_len_max,
    };
    if (cut.key.texels > 0)
        texels_of(a, dispatch.texels);
    PM_TRY(pm_vk_pipeline_get(device, &cut.key, &dispatch.pipeline));
    PM_TRY(pm_vk_record(recorder, &dispatch));
    return cut.splits > 1 ? record_reduce(recorder, a, &push) : PM_OK;
}

pm_result pm_attention_record(pm_vk_recorder *recorder, const pm_attention *a)
{
    uint32_t variant;
    PM_TRY(pm_attention_pick(pm_vk_device_caps(pm_vk_recorder_device(recorder)), a, &variant));
    return pm_attention_record_variant(recorder, a, variant);
}
