/* op/embedding.c - y[r,:] = W[token[r],:]. */
#include "op/embedding.h"

#include "op/lanes.h"
#include "op/weight_layout.h"
#include "push_embedding.h"

pm_result pm_embedding_record(pm_vk_recorder *recorder, const pm_embedding *e)
{
    const pm_weight_view view = pm_weight_view_of(&e->weight);
    const uint32_t lanes = 32;
    pm_assert(e->y_stride == view.blocks * 32);
    char module[32];
    PM_TRY(pm_weight_module("embedding", e->weight.type, module, sizeof(module)));
    const pm_vk_pipeline_key key = {.module = module, .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, lanes}},
                                    .push_bytes = sizeof(pm_push_embedding)};
    const pm_push_embedding push = {
        .pieces = view.pieces,
        .scales = view.scales,
        .tokens = pm_slice_address(e->tokens),
        .y = pm_slice_address(e->y),
        .rows = pm_slice_address(e->rows),
        .blocks = view.blocks,
        .group_pieces = view.group_pieces,
        .group_scales = view.group_scales,
        .y_stride = e->y_stride,
    };
    pm_vk_dispatch dispatch = {
        .op = "embedding",
        .push = &push,
        .groups = {pm_div_up(8 * view.blocks, lanes), e->rows_max, 1},
        .access_count = 4,
        .access = {{e->weight.data, false}, {e->tokens, false}, {e->y, true}, {e->rows, false}},
        .bytes = e->rows_max * (pm_weight_read_bytes(&e->weight) / e->weight.n + (uint64_t)e->weight.k * 4),
    };
    PM_TRY(pm_vk_pipeline_get(pm_vk_recorder_device(recorder), &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
