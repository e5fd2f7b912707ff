/* op/matmul.c - y = x W^T + bias, for any number of rows. */
#include "op/matmul.h"

#include "op/lanes.h"
#include "op/variant.h"
#include "op/weight_layout.h"
#include "push_matmul.h"


/* A variant is a shader and how many rows of x stay in registers while a block of weights is
 * there. "rows" needs nothing but the floor; "lanes" wants subgroups of 8 with shuffle, and
 * pays where lanes are a CPU's vector. Within a shader, ascending. */
static const struct matmul_variant {
    const char *name, *module;
    uint32_t tokens;
    bool lanes;
} matmul_variants[] = {
    {"rows1", "matmul", 1, false},        {"rows2", "matmul", 2, false},
    {"rows4", "matmul", 4, false},        {"rows8", "matmul", 8, false},
    {"rows16", "matmul", 16, false},      {"lanes1", "matmul_lanes", 1, true},
    {"lanes2", "matmul_lanes", 2, true},  {"lanes4", "matmul_lanes", 4, true},
    {"lanes8", "matmul_lanes", 8, true},  {"lanes16", "matmul_lanes", 16, true},
};

#define VARIANTS (sizeof(matmul_variants) / sizeof(matmul_variants[0]))

const char *pm_matmul_variant(uint32_t index)
{
    return index < VARIANTS ? matmul_variants[index].name : NULL;
}

bool pm_matmul_variant_fits(uint32_t index, const pm_vk_caps *caps, const pm_matmul *m)
{
    (void)m;
    if (index >= VARIANTS)
        return false;
    if (matmul_variants[index].lanes)
        return (caps->bits & PM_CAP_BIT(SUBGROUP)) && caps->subgroup_min >= 8;
    return caps->shared_bytes >= matmul_variants[index].tokens * 256 * 4;
}

/* Slices of k, so that a wide device has enough lanes where outputs alone are too few; one
 * where lanes are a loop (CPU). */
static uint32_t slices_for(const pm_vk_caps *caps, const pm_matmul *m, const struct matmul_variant *v, uint32_t blocks)
{
    if (caps->is_cpu || v->lanes)
        return 1;
    const uint64_t tiles = (uint64_t)pm_div_up(m->weight.n, PM_WEIGHT_GROUP) * pm_div_up(m->rows_max, v->tokens);
    uint32_t slices = 1;
    while (slices < 8 && slices * 2 <= blocks && tiles * slices < 4096 && slices * 2 * PM_WEIGHT_GROUP <= caps->workgroup_max)
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

pm_result pm_matmul_record_variant(pm_vk_recorder *recorder, const pm_matmul *m, uint32_t index)
{
    pm_assert(index < VARIANTS && m->x_stride % PM_ROW_ALIGN == 0 && m->x_stride >= m->weight.k);
    pm_assert(m->y_stride >= m->weight.n && m->rows_max > 0);
    pm_vk_device *device = pm_vk_recorder_device(recorder);
    if (!pm_matmul_variant_fits(index, pm_vk_device_caps(device), m))
        return pm_fail(PM_ERR_UNSUP, "matmul: variant %s needs %s, which the device lacks", matmul_variants[index].name,
                       matmul_variants[index].lanes ? "subgroups of 8 with shuffle" : "more shared memory");
    const pm_weight_view view = pm_weight_view_of(&m->weight);
    const struct matmul_variant *v = &matmul_variants[index];
    const uint32_t slices = slices_for(pm_vk_device_caps(device), m, v, view.blocks);
    char module[32];
    PM_TRY(pm_weight_module(v->module, m->weight.type, module, sizeof(module)));
    const pm_vk_pipeline_key key = {
        .module = module,
        .spec_count = v->lanes ? 1 : 3,
        .spec = {{PM_SPEC_MATMUL_TOKENS, v->tokens}, {PM_SPEC_LOCAL_X, PM_WEIGHT_GROUP * slices},
                 {PM_SPEC_MATMUL_SLICES, slices}},
        .push_bytes = sizeof(pm_push_matmul),
    };
    const pm_push_matmul push = {
        .pieces = view.pieces,
        .scales = view.scales,
        .bias = pm_slice_address(m->bias),
        .x = pm_slice_address(m->x),
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
        .groups = {pm_div_up(m->weight.n, PM_WEIGHT_GROUP), pm_div_up(m->rows_max, v->tokens), 1},
        .access_count = 5,
        .access = {{m->weight.data, false}, {m->bias, false}, {m->x, false}, {m->y, true}, {m->rows, false}},
        .bytes = pm_weight_read_bytes(&m->weight) + (uint64_t)m->rows_max * (m->weight.k + m->weight.n) * 4,
        .flops = 2 * (uint64_t)m->rows_max * m->weight.n * m->weight.k,
    };
    PM_TRY(pm_vk_pipeline_get(device, &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}

/* Of one shader, the fewest rows that hold all of rows_max, else the most; VARIANTS when none
 * fits. */
static uint32_t choose_of(const pm_vk_caps *caps, const pm_matmul *m, bool lanes)
{
    uint32_t best = VARIANTS;
    for (uint32_t i = 0; i < VARIANTS; i++) {
        if (matmul_variants[i].lanes != lanes || !pm_matmul_variant_fits(i, caps, m) ||
            pm_variant_is_off(caps, PM_VARIANTS_MATMUL, m->weight.type, i))
            continue;
        best = i;
        if (matmul_variants[i].tokens >= m->rows_max)
            break;
    }
    return best;
}

/* The shader for this kind of device, else the other. */
static uint32_t choose(const pm_vk_caps *caps, const pm_matmul *m)
{
    const uint32_t best = choose_of(caps, m, caps->is_cpu);
    return best < VARIANTS ? best : choose_of(caps, m, !caps->is_cpu);
}

pm_result pm_matmul_pick(const pm_vk_caps *caps, const pm_matmul *m, uint32_t *index)
{
    const char *names[VARIANTS];
    for (uint32_t i = 0; i < VARIANTS; i++)
        names[i] = matmul_variants[i].name;
    PM_TRY(pm_variant_forced("matmul", names, VARIANTS, index));
    if (*index == PM_VARIANT_FREE)
        *index = choose(caps, m);
    if (*index == VARIANTS)
        return pm_fail(PM_ERR_UNSUP, "matmul: no variant for weights of type %s and %u rows: each needs what the device "
                       "lacks, or is off there since it gave wrong results", pm_dtype_get(m->weight.type)->name,
                       m->rows_max);
    return PM_OK;
}

pm_result pm_matmul_record(pm_vk_recorder *recorder, const pm_matmul *m)
{
    uint32_t index;
    PM_TRY(pm_matmul_pick(pm_vk_device_caps(pm_vk_recorder_device(recorder)), m, &index));
    return pm_matmul_record_variant(recorder, m, index);
}
