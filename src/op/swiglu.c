/* op/swiglu.c - y = silu(gate) * up. */
#include "op/swiglu.h"

#include "op/lanes.h"
#include "op/texels.h"
#include "push_swiglu.h"

#define PER_LANE 4u                /* elements, as in swiglu.comp */
#define PER_LANE_TEXELS 32u        /* likewise, as in swiglu_texels.comp */

/* The pipeline of a device and shape, the elements of one workgroup, and the texture that it reads. */
static pm_vk_pipeline_key key_of(const pm_vk_caps *caps, const pm_swiglu *s, uint32_t *per_group, pm_vk_texels *texels)
{
    if (s->hidden % 4 == 0 && s->x_stride % 4 == 0 && s->y_stride % 4 == 0 && pm_op_texels(caps, &s->gate_up, 1, texels)) {
        *per_group = pm_texels_lanes(caps) * PER_LANE_TEXELS;
        return (pm_vk_pipeline_key){.module = "swiglu_texels", .spec_count = 1,
                                    .spec = {{PM_SPEC_LOCAL_X, pm_texels_lanes(caps)}},
                                    .push_bytes = sizeof(pm_push_swiglu), .texels = 1};
    }
    const uint32_t lanes = pm_lanes_for(caps, s->y_stride / PER_LANE);
    *per_group = lanes * PER_LANE;
    return (pm_vk_pipeline_key){.module = "swiglu", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, lanes}},
                                .push_bytes = sizeof(pm_push_swiglu)};
}

pm_result pm_swiglu_record(pm_vk_recorder *recorder, const pm_swiglu *s)
{
    pm_assert(s->hidden > 0 && s->x_stride >= 2 * s->hidden && s->y_stride >= s->hidden);
    pm_vk_device *device = pm_vk_recorder_device(recorder);
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
        .access_count = 3,
        .access = {{s->gate_up, false}, {s->y, true}, {s->rows, false}},
        .bytes = (uint64_t)s->rows_max * s->hidden * 12,
        .flops = (uint64_t)s->rows_max * s->hidden * 5,
    };
    uint32_t per_group;
    const pm_vk_pipeline_key key = key_of(pm_vk_device_caps(device), s, &per_group, dispatch.texels);
    dispatch.groups[0] = pm_div_up(s->y_stride, per_group);
    dispatch.groups[1] = s->rows_max;
    dispatch.groups[2] = 1;
    PM_TRY(pm_vk_pipeline_get(device, &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
