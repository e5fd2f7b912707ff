/* op/argmax.c - the greedy token of each row. */
#include "op/argmax.h"

#include "op/lanes.h"
#include "op/texels.h"
#include "push_argmax.h"

/* The pipeline of a device and shape, and the texture that it reads. */
static pm_vk_pipeline_key key_of(const pm_vk_caps *caps, const pm_argmax *a, pm_vk_texels *texels)
{
    const uint32_t of_texels = pm_texels_lanes(caps);
    if (a->x_stride % 4 == 0 && pm_op_texels(caps, &a->x, 1, texels) && pm_loops_fit(caps, a->n / (4 * of_texels) + 1))
        return (pm_vk_pipeline_key){.module = "argmax_texels", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, of_texels}},
                                    .push_bytes = sizeof(pm_push_argmax), .texels = 1};
    return (pm_vk_pipeline_key){.module = "argmax", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, pm_lanes_for(caps, a->n)}},
                                .push_bytes = sizeof(pm_push_argmax)};
}

pm_result pm_argmax_record(pm_vk_recorder *recorder, const pm_argmax *a)
{
    pm_assert(a->n > 0 && a->x_stride >= a->n);
    pm_vk_device *device = pm_vk_recorder_device(recorder);
    const pm_push_argmax push = {
        .x = pm_slice_address(a->x),
        .tokens = pm_slice_address(a->tokens),
        .rows = pm_slice_address(a->rows),
        .n = a->n,
        .x_stride = a->x_stride,
    };
    pm_vk_dispatch dispatch = {
        .op = "argmax",
        .push = &push,
        .groups = {a->rows_max, 1, 1},
        .access_count = 3,
        .access = {{a->x, false}, {a->tokens, true}, {a->rows, false}},
        .bytes = (uint64_t)a->rows_max * a->n * 4,
        .flops = (uint64_t)a->rows_max * a->n,
    };
    const pm_vk_pipeline_key key = key_of(pm_vk_device_caps(device), a, dispatch.texels);
    PM_TRY(pm_vk_pipeline_get(device, &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
