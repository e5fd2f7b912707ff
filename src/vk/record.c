/* vk/record.c - the list of dispatches that a command buffer will be made of. */
#include "vk/record_impl.h"

#include "base/alloc.h"
#include "vk/pipeline_impl.h"

#include <string.h>

pm_result pm_vk_recorder_create(pm_vk_device *device, pm_vk_recorder **out)
{
    pm_vk_recorder *recorder = pm_alloc(1, sizeof(*recorder), "recorder");
    if (recorder == NULL)
        return PM_ERR_NOMEM;
    recorder->device = device;
    *out = recorder;
    return PM_OK;
}

void pm_vk_recorder_destroy(pm_vk_recorder *recorder)
{
    if (recorder == NULL)
        return;
    pm_free(recorder->nodes);
    pm_free(recorder);
}

pm_vk_device *pm_vk_recorder_device(const pm_vk_recorder *recorder)
{
    return recorder->device;
}

static pm_result add_node(pm_vk_recorder *r, pm_vk_node **out)
{
    if (r->count == r->capacity) {
        const uint32_t capacity = r->capacity ? r->capacity * 2 : 64;
        pm_vk_node *grown = pm_realloc(r->nodes, capacity, sizeof(*grown), "recorder");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        r->nodes = grown;
        r->capacity = capacity;
    }
    *out = &r->nodes[r->count++];
    memset(*out, 0, sizeof(**out));
    return PM_OK;
}

pm_result pm_vk_record(pm_vk_recorder *recorder, const pm_vk_dispatch *dispatch)
{
    const uint32_t *limit = recorder->device->caps.groups_max;
    for (int i = 0; i < 3; i++)
        if (dispatch->groups[i] == 0 || dispatch->groups[i] > limit[i])
            return pm_fail(PM_ERR_UNSUP, "%s: a grid of %u x %u x %u workgroups, expected 1 to %u x %u x %u",
                           dispatch->op, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2], limit[0],
                           limit[1], limit[2]);
    pm_assert(dispatch->access_count <= PM_VK_ACCESS_MAX);
    pm_vk_node *n;
    PM_TRY(add_node(recorder, &n));
    n->op = dispatch->op;
    n->pipeline = dispatch->pipeline;
    if (dispatch->pipeline->key.push_bytes > 0)
        memcpy(n->push, dispatch->push, dispatch->pipeline->key.push_bytes);
    memcpy(n->texels, dispatch->texels, sizeof(n->texels));
    memcpy(n->groups, dispatch->groups, sizeof(n->groups));
    memcpy(n->access, dispatch->access, dispatch->access_count * sizeof(n->access[0]));
    n->access_count = dispatch->access_count;
    n->bytes = dispatch->bytes;
    n->flops = dispatch->flops;
    return PM_OK;
}

pm_result pm_vk_record_copy(pm_vk_recorder *recorder, pm_slice dst, pm_slice src)
{
    pm_assert(dst.bytes == src.bytes && dst.bytes % 4 == 0);
    pm_vk_node *n;
    PM_TRY(add_node(recorder, &n));
    n->op = "copy";
    n->access[0] = (pm_vk_access){dst, true};
    n->access[1] = (pm_vk_access){src, false};
    n->access_count = 2;
    n->bytes = 2 * dst.bytes;
    return PM_OK;
}

pm_result pm_vk_record_write(pm_vk_recorder *recorder, pm_slice dst, const void *data)
{
    pm_assert(dst.bytes > 0 && dst.bytes <= 65536 && dst.bytes % 4 == 0);
    pm_vk_node *n;
    PM_TRY(add_node(recorder, &n));
    n->op = "write";
    n->data = data;
    n->access[0] = (pm_vk_access){dst, true};
    n->access_count = 1;
    n->bytes = dst.bytes;
    return PM_OK;
}

void pm_vk_record_segment(pm_vk_recorder *recorder)
{
    if (recorder->count > 0)
        recorder->nodes[recorder->count - 1].segment_end = true;
}
