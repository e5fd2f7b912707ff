/* op/rmsnorm.c - residual add and RMS norm in one pass. */
#include "op/rmsnorm.h"

#include "op/lanes.h"
#include "op/texels.h"
#include "push_rmsnorm.h"

/* The pipeline of a device and shape, and the textures that it reads. */
static pm_vk_pipeline_key key_of(const pm_vk_caps *caps, const pm_rmsnorm *n, pm_vk_texels *texels)
{
    const pm_slice read[] = {n->x, n->w, n->add.buffer != NULL ? n->add : n->x};
    if (n->dim % 4 == 0 && n->x_stride % 4 == 0 && n->y_stride % 4 == 0 && pm_loops_fit(caps, n->y_stride / 8 + 3) &&
        pm_op_texels(caps, read, 3, texels))
        return (pm_vk_pipeline_key){.module = "rmsnorm_texels", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, pm_texels_lanes(caps)}},
                                    .push_bytes = sizeof(pm_push_rmsnorm), .texels = 3};
    return (pm_vk_pipeline_key){.module = "rmsnorm", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, pm_lanes_for(caps, n->dim)}},
                                .push_bytes = sizeof(pm_push_rmsnorm)};
}

pm_result pm_rmsnorm_record(pm_vk_recorder *recorder, const pm_rmsnorm *n)
{
    pm_assert(n->dim > 0 && n->x_stride >= n->dim && n->y_stride >= n->dim && n->rows_max > 0);
    pm_vk_device *device = pm_vk_recorder_device(recorder);
    const bool has_add = n->add.buffer != NULL;
    const pm_push_rmsnorm push = {
        .x = pm_slice_address(n->x),
        .add = pm_slice_address(n->add),
        .w = pm_slice_address(n->w),
        .y = pm_slice_address(n->y),
        .index = pm_slice_address(n->index),
        .rows = pm_slice_address(n->rows),
        .dim = n->dim,
        .x_stride = n->x_stride,
        .y_stride = n->y_stride,
        .epsilon = n->epsilon,
    };
    pm_vk_dispatch dispatch = {
        .op = "rmsnorm",
        .push = &push,
        .groups = {n->rows_max, 1, 1},
        .access_count = 6,
        .access = {{n->x, has_add}, {n->add, false}, {n->w, false}, {n->y, true}, {n->index, false}, {n->rows, false}},
        .bytes = (uint64_t)n->rows_max * n->dim * 4 * (has_add ? 4 : 2) + (uint64_t)n->dim * 4,
        .flops = (uint64_t)n->rows_max * n->dim * 4,
    };
    const pm_vk_pipeline_key key = key_of(pm_vk_device_caps(device), n, dispatch.texels);
    PM_TRY(pm_vk_pipeline_get(device, &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
