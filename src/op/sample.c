/* op/sample.c - the next token of each row of logits. */
#include "op/sample.h"

#include "op/lanes.h"
#include "push_sample.h"

_Static_assert(sizeof(pm_sample_row) == PM_SAMPLE_ROW_WORDS * 4 && sizeof(pm_sample_edit) == PM_SAMPLE_EDIT_WORDS * 4 &&
                   sizeof(pm_sample_logprobs) == PM_SAMPLE_LOGPROBS_WORDS * 4,
               "as shaders have them");

/* One part: its pipeline, and what it reads and writes. */
static pm_result record_part(pm_vk_recorder *recorder, const pm_sample_op *s, const pm_push_sample *push,
                             pm_vk_pipeline_key key, pm_vk_dispatch dispatch)
{
    key.push_bytes = sizeof(*push);
    dispatch.op = key.module;
    dispatch.push = push;
    dispatch.groups[0] = s->rows_max;
    dispatch.groups[1] = dispatch.groups[2] = 1;
    PM_TRY(pm_vk_pipeline_get(pm_vk_recorder_device(recorder), &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}

static pm_result record_edit(pm_vk_recorder *recorder, const pm_sample_op *s, const pm_push_sample *push, bool restore)
{
    const pm_vk_pipeline_key key = {.module = "sample_edit", .spec_count = 2,
                                    .spec = {{PM_SPEC_LOCAL_X, 32}, {PM_SPEC_OP, restore}}};
    const pm_vk_dispatch dispatch = {
        .access_count = 9,
        .access = {{s->logits, false}, {s->logits, true}, {s->params, false}, {s->rows, false}, {s->edits, false},
                   {s->saved, false}, {s->saved, !restore}, {s->inputs, false}, {s->input_rows, false}},
        .bytes = (uint64_t)s->rows_max * sizeof(pm_sample_row),
    };
    return record_part(recorder, s, push, key, dispatch);
}

pm_result pm_sample_record(pm_vk_recorder *recorder, const pm_sample_op *s)
{
    pm_assert(s->n > 0 && s->stride >= s->n && s->stride % 4 == 0 && s->rows_max > 0 &&
              (s->edits_max == 0 || s->saved.bytes >= pm_sample_saved_bytes(s->edits_max, s->rows_max)));
    if (s->n > PM_SAMPLE_VOCAB_MAX)
        return pm_fail(PM_ERR_UNSUP, "sampling on the device among %u tokens, at most %u", s->n, PM_SAMPLE_VOCAB_MAX);
    const uint32_t lanes =
        s->lanes != 0 ? s->lanes : pm_lanes_for_sample(pm_vk_device_caps(pm_vk_recorder_device(recorder)), s->n);
    const pm_push_sample push = {
        .logits = pm_slice_address(s->logits),
        .params = pm_slice_address(s->params),
        .masks = pm_slice_address(s->masks),
        .rows = pm_slice_address(s->rows),
        .tokens = pm_slice_address(s->tokens),
        .flags = pm_slice_address(s->flags),
        .logprobs = pm_slice_address(s->logprobs),
        .edits = pm_slice_address(s->edits),
        .saved = pm_slice_address(s->saved),
        .inputs = pm_slice_address(s->inputs),
        .input_rows = pm_slice_address(s->input_rows),
        .n = s->n,
        .stride = s->stride,
        .edits_max = s->edits_max,
    };
    const pm_vk_dispatch pick = {
        .access_count = 6,
        .access = {{s->logits, false}, {s->params, false}, {s->masks, false}, {s->rows, false}, {s->tokens, true},
                   {s->flags, true}},
        .bytes = (uint64_t)s->rows_max * s->n * 4,
        .flops = (uint64_t)s->rows_max * s->n,
    };
    const pm_vk_dispatch logprobs = {
        .access_count = 5,
        .access = {{s->logits, false}, {s->params, false}, {s->rows, false}, {s->tokens, false}, {s->logprobs, true}},
        .bytes = (uint64_t)s->rows_max * sizeof(pm_sample_row),
    };
    const pm_vk_pipeline_key pick_key = {.module = "sample", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, lanes}}};
    const pm_vk_pipeline_key logprobs_key = {.module = "sample_logprobs", .spec_count = 1,
                                             .spec = {{PM_SPEC_LOCAL_X, lanes}}};
    if (s->edits_max > 0)
        PM_TRY(record_edit(recorder, s, &push, false));
    PM_TRY(record_part(recorder, s, &push, pick_key, pick));
    if (s->edits_max > 0)
        PM_TRY(record_edit(recorder, s, &push, true));
    return s->logprobs.buffer == NULL ? PM_OK : record_part(recorder, s, &push, logprobs_key, logprobs);
}
