/* op/weight.c - a weight matrix on the device, in its packed layout. */
#include "op/weight.h"

#include "gguf/codebook.h"
#include "op/lanes.h"
#include "op/weight_layout.h"
#include "push_pack.h"

#include <stdio.h>

/* One row for each type that kernels read; shaders/include/weight_<stem>.glsl decodes it. */
static const pm_weight_layout layouts[] = {
    /*  type             unit  pieces scales pack module   */
    {PM_DTYPE_F32,        32,    8,     0, "pack_f32"},
    {PM_DTYPE_F16,        32,    4,     0, "pack_f16"},
    {PM_DTYPE_BF16,       32,    4,     0, "pack_f16"},
    {PM_DTYPE_Q8_0,       64,    4,     1, "pack_q8_0"},
    {PM_DTYPE_Q4_0,       64,    2,     1, "pack_q4_0"},
    {PM_DTYPE_Q4_K,      256,    8,     4, "pack_q4_k"},
    {PM_DTYPE_Q6_K,      256,   12,     5, "pack_q6_k"},
    {PM_DTYPE_Q4_1,       32,    1,     1, "pack_q4_1"},
    {PM_DTYPE_Q5_0,       64,    2,     3, "pack_q5_0"},
    {PM_DTYPE_Q5_1,       32,    1,     2, "pack_q5_1"},
    {PM_DTYPE_Q2_K,      256,    0,    21, "pack_q2_k"},
    {PM_DTYPE_Q3_K,      256,    0,    28, "pack_q3_k"},
    {PM_DTYPE_Q5_K,      256,    8,    12, "pack_q5_k"},
    {PM_DTYPE_IQ4_NL,     64,    2,     1, "pack_q4_0"},
    {PM_DTYPE_IQ4_XS,    256,    8,     2, "pack_iq4_xs"},
    {PM_DTYPE_MXFP4,     128,    4,     1, "pack_mxfp4"},
    {PM_DTYPE_IQ1_S,     512,    0,    25, "pack_grid"},
    {PM_DTYPE_IQ1_M,     256,    0,    14, "pack_grid"},
    {PM_DTYPE_IQ2_XXS,   512,    0,    33, "pack_grid"},
    {PM_DTYPE_IQ2_XS,    512,    0,    37, "pack_grid"},
    {PM_DTYPE_IQ2_S,     512,    0,    41, "pack_grid"},
    {PM_DTYPE_IQ3_XXS,   512,    0,    49, "pack_grid"},
    {PM_DTYPE_IQ3_S,     512,    0,    55, "pack_grid"},
};

const pm_weight_layout *pm_weight_layout_of(pm_dtype type)
{
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
        if (layouts[i].type == type)
            return &layouts[i];
    return NULL;
}

bool pm_weight_supported(pm_dtype type)
{
    return pm_weight_layout_of(type) != NULL;
}

/* Bytes of a codebook type's table, which lies before the pieces; 0 for others. */
static uint32_t table_bytes(pm_dtype type)
{
    uint32_t count;
    pm_codebook_get(type, &count);
    return count * 4;
}

pm_weight_view pm_weight_view_of(const pm_weight *weight)
{
    const pm_weight_layout *layout = pm_weight_layout_of(weight->type);
    pm_assert(layout != NULL);
    const uint32_t units = pm_div_up(weight->k, layout->unit), groups = pm_div_up(weight->n, PM_WEIGHT_GROUP);
    const uint32_t group_pieces = units * layout->pieces * PM_WEIGHT_GROUP * 16;
    const uint64_t address = pm_slice_address(weight->data) + table_bytes(weight->type);
    return (pm_weight_view){
        .pieces = address,
        .scales = address + (uint64_t)groups * group_pieces,
        .group_pieces = group_pieces,
        .group_scales = units * layout->scales * PM_WEIGHT_GROUP * 4,
        .blocks = pm_div_up(weight->k, 32),
    };
}

uint64_t pm_weight_bytes(pm_dtype type, uint32_t n, uint32_t k)
{
    const pm_weight weight = {.type = type, .n = n, .k = k};
    const pm_weight_view view = pm_weight_view_of(&weight);
    return table_bytes(type) + (uint64_t)pm_div_up(n, PM_WEIGHT_GROUP) * ((uint64_t)view.group_pieces + view.group_scales);
}

uint64_t pm_weight_read_bytes(const pm_weight *weight)
{
    const pm_weight_view view = pm_weight_view_of(weight);
    return ((uint64_t)view.group_pieces + view.group_scales) / PM_WEIGHT_GROUP * weight->n;
}

pm_result pm_weight_module(const char *op, pm_dtype type, char *name, size_t capacity)
{
    const pm_dtype_info *info = pm_dtype_get(type);
    snprintf(name, capacity, "%s_%s", op, info != NULL ? info->stem : "?");
    if (!pm_weight_supported(type))
        return pm_fail(PM_ERR_UNSUP, "%s: no kernel for weights of type %s", op, info != NULL ? info->name : "?");
    return PM_OK;
}

static pm_result write_table(pm_vk_recorder *recorder, const pm_weight *weight)
{
    uint32_t count;
    const uint32_t *table = pm_codebook_get(weight->type, &count);
    return table == NULL ? PM_OK : pm_vk_record_write(recorder, pm_slice_part(weight->data, 0, count * 4), table);
}

pm_result pm_weight_pack_record(pm_vk_recorder *recorder, const pm_weight *weight, uint32_t row_base, uint32_t rows,
                                pm_slice raw)
{
    const pm_weight_layout *layout = pm_weight_layout_of(weight->type);
    const pm_dtype_info *info = pm_dtype_get(weight->type);
    if (layout == NULL)
        return pm_fail(PM_ERR_UNSUP, "pack: no kernel for weights of type %s", info != NULL ? info->name : "?");
    const uint64_t row_bytes = pm_dtype_row_bytes(weight->type, weight->k);
    const uint32_t lanes = 32, rows_max = pm_vk_device_caps(pm_vk_recorder_device(recorder))->groups_max[0];
    pm_assert(row_base + rows <= weight->n && raw.bytes >= rows * row_bytes && row_bytes <= UINT32_MAX);
    if (row_base == 0)
        PM_TRY(write_table(recorder, weight));
    const pm_weight_view view = pm_weight_view_of(weight);
    const pm_vk_pipeline_key key = {.module = layout->pack, .spec_count = 2,
                                    .spec = {{PM_SPEC_LOCAL_X, lanes}, {PM_SPEC_PACK_BYTES, info->bytes}},
                                    .push_bytes = sizeof(pm_push_pack)};
    for (uint32_t done = 0; done < rows;) {
        const uint32_t count = rows - done < rows_max ? rows - done : rows_max;
        const pm_push_pack push = {
            .raw = pm_slice_address(raw) + done * row_bytes,
            .pieces = view.pieces,
            .scales = view.scales,
            .row_base = row_base + done,
            .rows = count,
            .row_bytes = (uint32_t)row_bytes,
            .k = weight->k,
            .group_pieces = view.group_pieces,
            .group_scales = view.group_scales,
        };
        pm_vk_dispatch dispatch = {
            .op = "pack",
            .push = &push,
            .groups = {count, pm_div_up(pm_div_up(weight->k, layout->unit), lanes), 1},
            .access_count = 2,
            .access = {{raw, false}, {weight->data, true}},
            .bytes = 2 * count * row_bytes,
        };
        PM_TRY(pm_vk_pipeline_get(pm_vk_recorder_device(recorder), &key, &dispatch.pipeline));
        PM_TRY(pm_vk_record(recorder, &dispatch));
        done += count;
    }
    return PM_OK;
}
