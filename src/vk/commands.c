/* vk/commands.c - command buffers made of a recorded list, and their replay in
 * submissions of bounded time. */
#include "vk/record_impl.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "vk/buffer_impl.h"
#include "vk/hazard.h"
#include "vk/pipeline_impl.h"
#include "vk/profile.h"

#include <string.h>

#define GATHER_MAX 256u            /* command buffers of one submission */

/* A segment: the commands between two marks, one command buffer. */
struct pm_vk_commands {
    pm_vk_device *device;
    VkCommandPool pool;
    pm_arena memory;               /* of the arrays of segments */
    VkCommandBuffer *segments;     /* [segment_count] */
    VkCommandBufferSubmitInfo *submits; /* [segment_count], made once */
    uint64_t *times;               /* [segment_count + 1] ticks at their borders; scratch of a run */
    bool *cut;                     /* [segment_count] a submission ends behind it */
    uint32_t segment_count;
    uint64_t lead_ns, tail_ns;     /* of the first and the last submission, run alone; UINT64_MAX = not known */
    uint64_t start_ns, value;      /* of the run in flight: when it was submitted, the timeline at its end */
    uint32_t dispatches, barriers;
    VkQueryPool borders;           /* segment_count + 1; null without timestamps */
    VkQueryPool queries;           /* 2 per dispatch when profiling */
    pm_vk_profile_entry *entries;  /* [dispatches] when profiling */
};

/* ---------------------------------------------------------------- record */

static void memory_barrier(const pm_vk_device *d, VkCommandBuffer commands, VkPipelineStageFlags2 to_stage,
                           VkAccessFlags2 to_access)
{
    const VkMemoryBarrier2 barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
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
    const VkAccessFlags2 textures = d->caps.bits & PM_CAP_BIT(TEXELS) ? VK_ACCESS_2_SHADER_SAMPLED_READ_BIT : 0;
    memory_barrier(d, commands, VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
                   VK_ACCESS_2_SHADER_STORAGE_READ_BIT | VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT | textures |
                       VK_ACCESS_2_TRANSFER_READ_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT);
}

/* The time when everything before has finished. */
static void timestamp(const pm_vk_device *d, VkCommandBuffer commands, VkQueryPool pool, uint32_t index)
{
    if (pool != VK_NULL_HANDLE)
        d->vk.vkCmdWriteTimestamp2(commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, pool, index);
}

static pm_result push_texels(const pm_vk_device *d, VkCommandBuffer commands, const pm_vk_node *n)
{
    VkBufferView views[PM_VK_TEXELS_MAX];
    VkWriteDescriptorSet writes[PM_VK_TEXELS_MAX];
    const uint32_t count = n->pipeline->key.texels;
    for (uint32_t i = 0; i < count; i++) {
        PM_TRY(pm_vk_texels_view(n->texels[i], &views[i]));
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
                                           .pTexelBufferView = &views[i]};
    }
    d->vk.vkCmdPushDescriptorSetKHR(commands, VK_PIPELINE_BIND_POINT_COMPUTE, n->pipeline->layout, 0, count, writes);
    return PM_OK;
}

static pm_result emit_node(const pm_vk_device *d, VkCommandBuffer commands, const pm_vk_node *n)
{
    if (n->pipeline != NULL) {
        const pm_vk_pipeline *p = n->pipeline;
        d->vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, p->handle);
        if (p->key.push_bytes > 0)
            d->vk.vkCmdPushConstants(commands, p->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, p->key.push_bytes, n->push);
        if (p->key.texels > 0)
            PM_TRY(push_texels(d, commands, n));
        d->vk.vkCmdDispatch(commands, n->groups[0], n->groups[1], n->groups[2]);
    } else if (n->data != NULL) {
        const pm_slice dst = n->access[0].slice;
        d->vk.vkCmdUpdateBuffer(commands, dst.buffer->handle, dst.offset, dst.bytes, n->data);
    } else {
        const pm_slice dst = n->access[0].slice, src = n->access[1].slice;
        const VkBufferCopy region = {.srcOffset = src.offset, .dstOffset = dst.offset, .size = dst.bytes};
        d->vk.vkCmdCopyBuffer(commands, src.buffer->handle, dst.buffer->handle, 1, &region);
    }
    return PM_OK;
}

static pm_result begin_segment(const pm_vk_commands *c, uint32_t segment)
{
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    return pm_vk_check(c->device->vk.vkBeginCommandBuffer(c->segments[segment], &begin), "vkBeginCommandBuffer");
}

static pm_result end_segment(const pm_vk_commands *c, uint32_t segment)
{
    timestamp(c->device, c->segments[segment], c->borders, segment + 1);
    return pm_vk_check(c->device->vk.vkEndCommandBuffer(c->segments[segment]), "vkEndCommandBuffer");
}

/* Records all nodes: barriers only where ranges overlap. Segments run in order on one
 * queue, and barriers reach across submissions, so hazards are kept across them. */
static pm_result emit_all(pm_vk_commands *c, const pm_vk_recorder *r)
{
    const pm_vk_device *d = c->device;
    pm_hazards hazards;
    pm_hazards_clear(&hazards);
    uint32_t segment = 0;
    PM_TRY(begin_segment(c, 0));
    device_barrier(d, c->segments[0]); /* after whatever ran before */
    timestamp(d, c->segments[0], c->borders, 0);
    for (uint32_t i = 0; i < r->count; i++) {
        const pm_vk_node *n = &r->nodes[i];
        if (pm_hazards_conflict(&hazards, n->access, n->access_count)) {
            device_barrier(d, c->segments[segment]);
            pm_hazards_clear(&hazards);
            c->barriers++;
        }
        pm_hazards_note(&hazards, n->access, n->access_count);
        timestamp(d, c->segments[segment], c->queries, 2 * i);
        PM_TRY(emit_node(d, c->segments[segment], n));
        timestamp(d, c->segments[segment], c->queries, 2 * i + 1);
        if (n->segment_end && i + 1 < r->count) {
            PM_TRY(end_segment(c, segment++));
            PM_TRY(begin_segment(c, segment));
        }
    }
    memory_barrier(d, c->segments[segment], VK_PIPELINE_STAGE_2_HOST_BIT, VK_ACCESS_2_HOST_READ_BIT);
    return end_segment(c, segment);
}

/* ---------------------------------------------------------------- create */

static uint32_t count_segments(const pm_vk_recorder *r)
{
    uint32_t count = 1;
    for (uint32_t i = 0; i + 1 < r->count; i++)
        count += r->nodes[i].segment_end;
    return count;
}

static pm_result create_buffers(pm_vk_commands *c)
{
    const pm_vk_device *d = c->device;
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = d->queue_family};
    PM_TRY(pm_vk_check(d->vk.vkCreateCommandPool(d->handle, &pool, NULL, &c->pool), "vkCreateCommandPool"));
    pm_arena_init(&c->memory, (c->segment_count + (size_t)4) * (sizeof(*c->segments) + sizeof(*c->submits) +
                                                               sizeof(*c->times) + 16)); /* one piece */
    c->segments = pm_arena_alloc(&c->memory, c->segment_count, sizeof(*c->segments), "command buffers");
    c->submits = pm_arena_alloc(&c->memory, c->segment_count, sizeof(*c->submits), "command buffers");
    c->times = pm_arena_alloc(&c->memory, c->segment_count + (size_t)1, sizeof(*c->times), "command buffers");
    c->cut = pm_arena_alloc(&c->memory, c->segment_count, sizeof(*c->cut), "command buffers");
    if (c->segments == NULL || c->submits == NULL || c->times == NULL || c->cut == NULL)
        return PM_ERR_NOMEM;
    const VkCommandBufferAllocateInfo buffers = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                 .commandPool = c->pool,
                                                 .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                 .commandBufferCount = c->segment_count};
    PM_TRY(pm_vk_check(d->vk.vkAllocateCommandBuffers(d->handle, &buffers, c->segments), "vkAllocateCommandBuffers"));
    for (uint32_t i = 0; i < c->segment_count; i++) {
        c->submits[i] = (VkCommandBufferSubmitInfo){.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
                                                    .commandBuffer = c->segments[i]};
        c->cut[i] = !d->caps.is_cpu || i + 1 == c->segment_count; /* until a run is measured */
    }
    c->lead_ns = c->tail_ns = d->caps.is_cpu ? 0 : UINT64_MAX;
    return PM_OK;
}

static pm_result create_query_pool(const pm_vk_device *d, uint32_t count, VkQueryPool *out)
{
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                        .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                        .queryCount = count};
    return pm_vk_check(d->vk.vkCreateQueryPool(d->handle, &info, NULL, out), "vkCreateQueryPool");
}

static pm_result create_queries(pm_vk_commands *c, const pm_vk_recorder *r)
{
    pm_vk_device *d = c->device;
    if (d->timestamp_ns > 0.0f && c->segment_count > 1 && !d->caps.is_cpu) /* lavapipe waits for all of the queue before
                                      it tells of a query */
        PM_TRY(create_query_pool(d, c->segment_count + 1, &c->borders));
    if (!d->profile || r->count == 0)
        return PM_OK;
    PM_TRY(create_query_pool(d, 2 * r->count, &c->queries));
    c->entries = pm_alloc(r->count, sizeof(*c->entries), "profile entries");
    if (c->entries == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t i = 0; i < r->count; i++) {
        const pm_vk_node *n = &r->nodes[i];
        c->entries[i] = (pm_vk_profile_entry){.bytes = n->bytes, .flops = n->flops};
        PM_TRY(pm_vk_profile_row(d, n->op, &c->entries[i].row));
    }
    return PM_OK;
}

static pm_result build_pipelines(const pm_vk_recorder *r)
{
    const pm_vk_pipeline **list = pm_alloc(r->count > 0 ? r->count : 1, sizeof(*list), "pipelines");
    uint32_t count = 0;
    if (list == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->nodes[i].pipeline != NULL)
            list[count++] = r->nodes[i].pipeline;
    const pm_result result = pm_vk_pipelines_build_these(r->device, list, count);
    pm_free(list);
    return result;
}

pm_result pm_vk_recorder_end(pm_vk_recorder *recorder, pm_vk_commands **out)
{
    PM_TRY(build_pipelines(recorder));
    pm_vk_commands *c = pm_alloc(1, sizeof(*c), "commands");
    if (c == NULL)
        return PM_ERR_NOMEM;
    c->device = recorder->device;
    c->segment_count = count_segments(recorder);
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
    pm_vk_drain(d);
    d->vk.vkDestroyQueryPool(d->handle, c->queries, NULL);
    d->vk.vkDestroyQueryPool(d->handle, c->borders, NULL);
    d->vk.vkDestroyCommandPool(d->handle, c->pool, NULL);
    pm_free(c->entries);
    pm_arena_finish(&c->memory);
    pm_free(c);
}

/* ------------------------------------------------------------------- run */

/* Marks where submissions end the next time: as late as the device's limit allows by the
 * times of this run; run_ns is all that is known where there are no timestamps. */
static pm_result regroup(pm_vk_commands *c, uint64_t run_ns)
{
    pm_vk_device *d = c->device;
    if (d->caps.is_cpu)            /* nothing ends long submissions there */
        return PM_OK;
    if (c->borders != VK_NULL_HANDLE)
        PM_TRY(pm_vk_timestamps(d, c->borders, 0, c->segment_count + 1, c->times));
    uint64_t sum_ns = 0;
    bool leads = true;
    for (uint32_t i = 0; i < c->segment_count; i++) {
        const uint64_t ns = c->borders != VK_NULL_HANDLE ? pm_vk_ticks_ns(d, c->times[i], c->times[i + 1])
                                                         : run_ns / c->segment_count;
        if (i > 0) {
            c->cut[i - 1] = sum_ns + ns > d->submit_ns;
            leads = leads && !c->cut[i - 1];
            sum_ns = c->cut[i - 1] ? 0 : sum_ns;
        }
        sum_ns += ns;
        c->lead_ns = leads ? sum_ns : c->lead_ns;
    }
    c->tail_ns = sum_ns;
    return PM_OK;
}

/* Command buffers on their way into one submission. */
typedef struct gather {
    VkCommandBufferSubmitInfo buffers[GATHER_MAX];
    uint32_t count;
    uint64_t tail_ns;              /* of the list that came last */
} gather;

static pm_result flush(pm_vk_device *d, gather *g)
{
    const uint32_t count = g->count;
    g->count = 0;
    return count > 0 ? pm_vk_submit(d, g->buffers, count) : PM_OK;
}

static pm_result gather_list(pm_vk_commands *c, gather *g)
{
    pm_vk_device *d = c->device;
    const bool joins = g->tail_ns <= d->submit_ns && c->lead_ns <= d->submit_ns - g->tail_ns;
    if (!joins)
        PM_TRY(flush(d, g));
    if (c->borders != VK_NULL_HANDLE)
        d->vk.vkResetQueryPool(d->handle, c->borders, 0, c->segment_count + 1);
    if (c->queries != VK_NULL_HANDLE)
        d->vk.vkResetQueryPool(d->handle, c->queries, 0, 2 * c->dispatches);
    for (uint32_t i = 0; i < c->segment_count; i++) {
        g->buffers[g->count++] = c->submits[i];
        if (g->count == GATHER_MAX || (c->cut[i] && i + 1 < c->segment_count))
            PM_TRY(flush(d, g));
    }
    g->tail_ns = c->tail_ns;
    return PM_OK;
}

static pm_result submit_all(pm_vk_device *d, pm_vk_commands *const *list, uint32_t count)
{
    gather g = {.count = 0};
    const uint64_t now_ns = pm_clock_ns();
    for (uint32_t i = 0; i < count; i++) {
        pm_assert(list[i]->value == 0);
        if (list[i]->dispatches > 0)
            PM_TRY(gather_list(list[i], &g));
    }
    PM_TRY(flush(d, &g));
    for (uint32_t i = 0; i < count; i++)
        if (list[i]->dispatches > 0) {
            list[i]->start_ns = now_ns;
            list[i]->value = d->timeline_value;
        }
    return PM_OK;
}

pm_result pm_vk_commands_submit(pm_vk_commands *const *list, uint32_t count)
{
    if (count == 0)
        return PM_OK;
    pm_vk_device *d = list[0]->device;
    pthread_mutex_lock(&d->queue_lock); /* so that the timeline's value is this run's */
    const pm_result result = submit_all(d, list, count);
    pthread_mutex_unlock(&d->queue_lock);
    return result;
}

pm_result pm_vk_commands_wait(pm_vk_commands *c)
{
    pm_vk_device *d = c->device;
    const uint64_t value = c->value;
    if (value == 0)
        return PM_OK;
    c->value = 0;
    PM_TRY(pm_vk_wait(d, value));
    const uint64_t now_ns = pm_clock_ns(), waited_ns = d->waited_ns;
    PM_TRY(regroup(c, now_ns - (c->start_ns > waited_ns ? c->start_ns : waited_ns)));
    d->waited_ns = now_ns;
    return c->queries != VK_NULL_HANDLE ? pm_vk_profile_collect(d, c->queries, c->entries, c->dispatches) : PM_OK;
}

pm_result pm_vk_commands_run(pm_vk_commands *c)
{
    PM_TRY(pm_vk_commands_submit(&c, 1));
    return pm_vk_commands_wait(c);
}

uint32_t pm_vk_commands_dispatches(const pm_vk_commands *commands)
{
    return commands->dispatches;
}

uint32_t pm_vk_commands_barriers(const pm_vk_commands *commands)
{
    return commands->barriers;
}

uint32_t pm_vk_commands_submissions(const pm_vk_commands *commands)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < commands->segment_count; i++)
        count += commands->cut[i];
    return count;
}
