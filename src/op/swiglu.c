/* op/swiglu.c - y = silu(gate) * up. */
#include "op/swiglu.h"

#include "op/lanes.h"
#include "push_swiglu.h"

#define PER_LANE 4u                /* as in swiglu.comp */

pm_result pm_swiglu_record(pm_vk_recorder *recorder, const pm_swiglu *s)
{
    pm_assert(s->hidden > 0 && s->x_stride >= 2 * s->hidden && s->y_stride >= s->hidden);
    pm_vk_device *device = pm_vk_recorder_device(recorder);
    const uint32_t lanes = pm_lanes_for(pm_vk_device_caps(device), s->y_stride / PER_LANE);
    const pm_vk_pipeline_key key = {.module = "swiglu", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, lanes}},
                                    .push_bytes = sizeof(pm_push_swiglu)};
    const pm_push_swiglu push = {
        .x = pm_slice_address(s->gate_up),
        .y = pm_slice_address(s->y),
        .rows = pm_slice_address(s->rows),
        .hidden = s->hidden,
        .x_stride = s->x_stride,
        .y_stride = s->y_stride,
    };
    pm_vk_dispatch dispatch = {
        .op = "swiglu",
        .push = &push,
        .groups = {pm_div_up(s->y_stride, lanes * PER_LANE), s->rows_max, 1},
        .access_count = 3,
        .access = {{s->gate_up, false}, {s->y, true}, {s->rows, false}},
        .bytes = (uint64_t)s->rows_max * s->hidden * 12,
        .flops = (uint64_t)s->rows_max * s->hidden * 5,
    };
    PM_TRY(pm_vk_pipeline_get(device, &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
