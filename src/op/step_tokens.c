/* op/step_tokens.c - tokens that the batch before has picked. */
#include "op/step_tokens.h"

#include "op/lanes.h"
#include "push_step_tokens.h"

pm_result pm_step_tokens_record(pm_vk_recorder *recorder, const pm_step_tokens *s)
{
    const pm_vk_pipeline_key key = {.module = "step_tokens", .push_bytes = sizeof(pm_push_step_tokens)};
    const pm_push_step_tokens push = {
        .tokens = pm_slice_address(s->tokens),
        .from = pm_slice_address(s->from),
        .picked = pm_slice_address(s->picked),
        .rows = pm_slice_address(s->rows),
        .vocab = s->vocab,
    };
    pm_vk_dispatch dispatch = {
        .op = "step_tokens",
        .push = &push,
        .groups = {pm_div_up(s->rows_max, 64), 1, 1},
        .access_count = 5,
        .access = {{s->tokens, false}, {s->tokens, true}, {s->from, false}, {s->picked, false}, {s->rows, false}},
        .bytes = (uint64_t)s->rows_max * 12,
    };
    PM_TRY(pm_vk_pipeline_get(pm_vk_recorder_device(recorder), &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
