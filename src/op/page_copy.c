/* op/page_copy.c - pages copied within a pool, or to and from host memory. */
#include "op/page_copy.h"

#include "op/lanes.h"
#include "push_page_copy.h"

pm_result pm_page_copy_record(pm_vk_recorder *recorder, const pm_page_copy_op *c)
{
    pm_assert(c->page_bytes > 0 && c->page_bytes % 16 == 0 && c->pairs.bytes >= (uint64_t)c->count_max * 8);
    const pm_vk_pipeline_key key = {.module = "page_copy", .push_bytes = sizeof(pm_push_page_copy)};
    const pm_push_page_copy push = {
        .from = pm_slice_address(c->from),
        .to = pm_slice_address(c->to),
        .pairs = pm_slice_address(c->pairs),
        .count = pm_slice_address(c->count),
        .page_bytes = c->page_bytes,
    };
    pm_vk_dispatch dispatch = {
        .op = "page_copy",
        .push = &push,
        .groups = {pm_div_up(c->page_bytes, 1024), c->count_max, 1},
        .access_count = 4,
        .access = {{c->from, false}, {c->to, true}, {c->pairs, false}, {c->count, false}},
        .bytes = 2 * (uint64_t)c->count_max * c->page_bytes,
    };
    PM_TRY(pm_vk_pipeline_get(pm_vk_recorder_device(recorder), &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
