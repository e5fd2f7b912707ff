/* op/quantise.c - activations to 8-bit blocks. */
#include "op/quantise.h"

#include "op/lanes.h"
#include "op/weight.h"
#include "push_quantise.h"

#define BLOCKS_PER_GROUP 8u        /* as in quantise.comp */

uint64_t pm_quantise_bytes(uint32_t rows_max, uint32_t k)
{
    return (uint64_t)pm_div_up(rows_max, PM_Q8_CHUNK) * pm_div_up(k, 32) * PM_Q8_WORDS * 4;
}

pm_result pm_quantise_record(pm_vk_recorder *recorder, const pm_quantise *q)
{
    pm_assert(q->x_stride % PM_ROW_ALIGN == 0 && q->x_stride >= q->k && q->rows_max > 0);
    pm_assert(q->y.bytes >= pm_quantise_bytes(q->rows_max, q->k));
    const pm_vk_pipeline_key key = {.module = "quantise", .push_bytes = sizeof(pm_push_quantise)};
    const pm_push_quantise push = {
        .x = pm_slice_address(q->x),
        .y = pm_slice_address(q->y),
        .rows = pm_slice_address(q->rows),
        .blocks = pm_div_up(q->k, 32),
        .x_stride = q->x_stride,
    };
    pm_vk_dispatch dispatch = {
        .op = "quantise",
        .push = &push,
        .groups = {pm_div_up(push.blocks, BLOCKS_PER_GROUP), q->rows_max, 1},
        .access_count = 3,
        .access = {{q->x, false}, {q->y, true}, {q->rows, false}},
        .bytes = (uint64_t)q->rows_max * push.blocks * (32 * 4 + 40),
    };
    PM_TRY(pm_vk_pipeline_get(pm_vk_recorder_device(recorder), &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
