/* vk/record.c - a list of dispatches, and the command buffers made of it. */
#include "vk/record.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "vk/buffer_impl.h"
#include "vk/hazard.h"
#include "vk/pipeline_impl.h"
#include "vk/profile.h"

#include <string.h>

#define SUBMIT_NS UINT64_C(100000000) /* a submission should take no longer */

/* ---------------------------------------------------------------- record */

typedef struct node {
    const char *op;
    const pm_vk_pipeline *pipeline; /* NULL = a copy of access[1] to access[0] */
    uint8_t push[128];
    uint32_t groups[3];
    pm_vk_access access[PM_VK_ACCESS_MAX];
    uint32_t access_count;
    uint64_t bytes, flops;
    bool segment_end;
} node;

struct pm_vk_recorder {
    pm_vk_device *device;
    node *nodes;
    uint32_t count, capacity;
};

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

static pm_result add_node(pm_vk_recorder *r, node **out)
{
    if (r->count == r->capacity) {
        const uint32_t capacity = r->capacity ? r->capacity * 2 : 64;
        node *grown = pm_realloc(r->nodes, capacity, sizeof(*grown), "recorder");
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
    node *n;
    PM_TRY(add_node(recorder, &n));
    n->op = dispatch->op;
    n->pipeline = dispatch->pipeline;
    memcpy(n->push, dispatch->push, dispatch->pipeline->key.push_bytes);
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
    node *n;
    PM_TRY(add_node(recorder, &n));
    n->op = "copy";
    n->access[0] = (pm_vk_access){dst, true};
    n->access[1] = (pm_vk_access){src, false};
    n->access_count = 2;
    n->bytes = 2 * dst.bytes;
    return PM_OK;
}

void pm_vk_record_segment(pm_vk_recorder *recorder)
{
    if (recorder->count > 0)
        recorder->nodes[recorder->count - 1].segment_end = true;
}

/* -------------------------------------------------------------- commands */

struct pm_vk_commands {
    pm_vk_device *device;
    VkCommandPool pool;
    VkCommandBuffer *segments;     /* [segment_count] */
    VkCommandBufferSubmitInfo *submits; /* [segment_count], made once */
    uint32_t segment_count;
    uint32_t per_submit;           /* segments of one submission; adapts to SUBMIT_NS */
    uint32_t dispatches, barriers;
    VkQueryPool queries;           /* 2 per node when profiling */
    pm_vk_profile_entry *entries;  /* [dispatches] when profiling */
};

static uint32_t count_segments(const pm_vk_recorder *r)
{
    uint32_t count = 1;
    for (uint32_t i = 0; i + 1 < r->count; i++)
        count += r->nodes[i].segment_end;
    return count;
}

static void memory_barrier(const pm_vk_device *d, VkCommandBuffer commands, VkPipelineStageFlags2 to_stage,
                           VkAccessFlags2 to_access)
{
    const VkMemoryBarrier2 barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_COPY_BIT,
        .srcAccessMask = VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT,
        .dstStageMask = to_stage,
        .dstAccessMask = to_access};
    const VkDependencyInfo dependency = {.sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
                                         .memoryBarrierCount = 1,
                                         .pMemoryBarriers = &barrier};
    d->vk.vkCmdPipelineBarrier2(commands, &dependency);
}

static void device_barrier(const pm_vk_device *d, VkCommandBuffer commands)
{
    memory_barrier(d, commands, VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_COPY_BIT,
                   VK_ACCESS_2_SHADER_STORAGE_READ_BIT | VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT |
                       VK_ACCESS_2_TRANSFER_READ_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT);
}

static void emit(const pm_vk_commands *c, VkCommandBuffer commands, const node *n, uint32_t index)
{
    const pm_vk_device *d = c->device;
    if (c->queries != VK_NULL_HANDLE)
        d->vk.vkCmdWriteTimestamp2(commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, c->queries, 2 * index);
    if (n->pipeline != NULL) {
        const pm_vk_pipeline *p = n->pipeline;
        d->vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, p->handle);
        if (p->key.push_bytes > 0)
            d->vk.vkCmdPushConstants(commands, p->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, p->key.push_bytes, n->push);
        d->vk.vkCmdDispatch(commands, n->groups[0], n->groups[1], n->groups[2]);
    } else {
        const pm_slice dst = n->access[0].slice, src = n->access[1].slice;
        const VkBufferCopy region = {.srcOffset = src.offset, .dstOffset = dst.offset, .size = dst.bytes};
        d->vk.vkCmdCopyBuffer(commands, src.buffer->handle, dst.buffer->handle, 1, &region);
    }
    if (c->queries != VK_NULL_HANDLE)
        d->vk.vkCmdWriteTimestamp2(commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, c->queries, 2 * index + 1);
}

/* Records all nodes: barriers only where ranges overlap. Segments run in order on one
 * queue, and barriers reach across submissions, so hazards are kept across them. */
static pm_result emit_all(pm_vk_commands *c, const pm_vk_recorder *r)
{
    const pm_vk_device *d = c->device;
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    pm_hazards hazards;
    pm_hazards_clear(&hazards);
    uint32_t segment = 0;
    PM_TRY(pm_vk_check(d->vk.vkBeginCommandBuffer(c->segments[0], &begin), "vkBeginCommandBuffer"));
    if (r->count > 0)
        device_barrier(d, c->segments[0]); /* after whatever ran before */
    for (uint32_t i = 0; i < r->count; i++) {
        const node *n = &r->nodes[i];
        if (pm_hazards_conflict(&hazards, n->access, n->access_count)) {
            device_barrier(d, c->segments[segment]);
            pm_hazards_clear(&hazards);
            c->barriers++;
        }
        pm_hazards_note(&hazards, n->access, n->access_count);
        emit(c, c->segments[segment], n, i);
        if (n->segment_end && i + 1 < r->count) {
            PM_TRY(pm_vk_check(d->vk.vkEndCommandBuffer(c->segments[segment++]), "vkEndCommandBuffer"));
            PM_TRY(pm_vk_check(d->vk.vkBeginCommandBuffer(c->segments[segment], &begin), "vkBeginCommandBuffer"));
        }
    }
    memory_barrier(d, c->segments[segment], VK_PIPELINE_STAGE_2_HOST_BIT, VK_ACCESS_2_HOST_READ_BIT);
    return pm_vk_check(d->vk.vkEndCommandBuffer(c->segments[segment]), "vkEndCommandBuffer");
}

static pm_result create_buffers(pm_vk_commands *c)
{
    const pm_vk_device *d = c->device;
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = d->queue_family};
    PM_TRY(pm_vk_check(d->vk.vkCreateCommandPool(d->handle, &pool, NULL, &c->pool), "vkCreateCommandPool"));
    c->segments = pm_alloc(c->segment_count, sizeof(*c->segments), "command buffers");
    c->submits = pm_alloc(c->segment_count, sizeof(*c->submits), "command buffers");
    if (c->segments == NULL || c->submits == NULL)
        return PM_ERR_NOMEM;
    const VkCommandBufferAllocateInfo buffers = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                 .commandPool = c->pool,
                                                 .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                 .commandBufferCount = c->segment_count};
    PM_TRY(pm_vk_check(d->vk.vkAllocateCommandBuffers(d->handle, &buffers, c->segments), "vkAllocateCommandBuffers"));
    for (uint32_t i = 0; i < c->segment_count; i++)
        c->submits[i] = (VkCommandBufferSubmitInfo){.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
                                                    .commandBuffer = c->segments[i]};
    return PM_OK;
}

static pm_result create_queries(pm_vk_commands *c, const pm_vk_recorder *r)
{
    pm_vk_device *d = c->device;
    if (!d->profile || r->count == 0)
        return PM_OK;
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                        .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                        .queryCount = 2 * r->count};
    PM_TRY(pm_vk_check(d->vk.vkCreateQueryPool(d->handle, &info, NULL, &c->queries), "vkCreateQueryPool"));
    c->entries = pm_alloc(r->count, sizeof(*c->entries), "profile entries");
    if (c->entries == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t i = 0; i < r->count; i++) {
        const node *n = &r->nodes[i];
        c->entries[i] = (pm_vk_profile_entry){.bytes = n->bytes, .flops = n->flops};
        PM_TRY(pm_vk_profile_row(d, n->op, &c->entries[i].row));
    }
    return PM_OK;
}

pm_result pm_vk_recorder_end(pm_vk_recorder *recorder, pm_vk_commands **out)
{
    PM_TRY(pm_vk_pipelines_build(recorder->device, NULL, NULL));
    pm_vk_commands *c = pm_alloc(1, sizeof(*c), "commands");
    if (c == NULL)
        return PM_ERR_NOMEM;
    c->device = recorder->device;
    c->segment_count = count_segments(recorder);
    c->per_submit = c->device->caps.is_cpu ? c->segment_count : 1; /* until a run is measured */
    c->dispatches = recorder->count;
    pm_result result = create_buffers(c);
    if (result == PM_OK)
        result = create_queries(c, recorder);
    if (result == PM_OK)
        result = emit_all(c, recorder);
    recorder->count = 0;
    if (result != PM_OK) {
        pm_vk_commands_destroy(c);
        return result;
    }
    *out = c;
    return PM_OK;
}

void pm_vk_commands_destroy(pm_vk_commands *c)
{
    if (c == NULL)
        return;
    pm_vk_device *d = c->device;
    d->vk.vkDestroyQueryPool(d->handle, c->queries, NULL);
    d->vk.vkDestroyCommandPool(d->handle, c->pool, NULL);
    pm_free(c->entries);
    pm_free(c->submits);
    pm_free(c->segments);
    pm_free(c);
}

/* ------------------------------------------------------------------- run */

static pm_result submit(pm_vk_commands *c, uint32_t first, uint32_t count)
{
    pm_vk_device *d = c->device;
    const VkSemaphoreSubmitInfo signal = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
                                          .semaphore = d->timeline,
                                          .value = d->timeline_value + 1,
                                          .stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT};
    const VkSubmitInfo2 info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
                                .commandBufferInfoCount = count,
                                .pCommandBufferInfos = &c->submits[first],
                                .signalSemaphoreInfoCount = 1,
                                .pSignalSemaphoreInfos = &signal};
    PM_TRY(pm_vk_check(d->vk.vkQueueSubmit2(d->queue, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit2"));
    d->timeline_value++;
    return PM_OK;
}

/* Fewer segments a submission after a slow run, more after a fast one. */
static void adapt(pm_vk_commands *c, uint64_t run_ns)
{
    const uint64_t per_segment = run_ns / c->segment_count + 1;
    const uint64_t fit = SUBMIT_NS / per_segment;
    c->per_submit = fit < 1 ? 1 : fit > c->segment_count ? c->segment_count : (uint32_t)fit;
}

pm_result pm_vk_commands_run(pm_vk_commands *c)
{
    pm_vk_device *d = c->device;
    if (c->dispatches == 0)
        return PM_OK;
    const uint64_t start_ns = pm_clock_ns();
    if (c->queries != VK_NULL_HANDLE)
        d->vk.vkResetQueryPool(d->handle, c->queries, 0, 2 * c->dispatches);
    for (uint32_t i = 0; i < c->segment_count; i += c->per_submit) {
        const uint32_t left = c->segment_count - i;
        PM_TRY(submit(c, i, left < c->per_submit ? left : c->per_submit));
    }
    PM_TRY(pm_vk_wait(d, d->timeline_value));
    adapt(c, pm_clock_ns() - start_ns);
    return c->queries != VK_NULL_HANDLE ? pm_vk_profile_collect(d, c->queries, c->entries, c->dispatches) : PM_OK;
}

uint32_t pm_vk_commands_dispatches(const pm_vk_commands *commands)
{
    return commands->dispatches;
}

uint32_t pm_vk_commands_barriers(const pm_vk_commands *commands)
{
    return commands->barriers;
}
