/* vk/upload.c - host bytes to device memory through one staging buffer of two halves:
 * while the device copies one half, the host fills the other. */
#include "vk/upload.h"

#include "base/alloc.h"
#include "vk/buffer_impl.h"

#include <string.h>

#define HALF_BYTES (UINT64_C(16) << 20)

typedef struct pm_vk_staging {
    pm_vk_buffer *buffer;          /* 2 * HALF_BYTES, mapped */
    VkCommandPool pool;
    VkCommandBuffer commands[2];
    uint64_t value[2];             /* timeline value of each half's last use */
} pm_vk_staging;

void pm_vk_staging_finish(pm_vk_device *d)
{
    if (d->staging == NULL)
        return;
    d->vk.vkDestroyCommandPool(d->handle, d->staging->pool, NULL);
    pm_vk_buffer_destroy(d->staging->buffer);
    pm_free(d->staging);
    d->staging = NULL;
}

static pm_result create_pool(pm_vk_device *d, pm_vk_staging *s)
{
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                          .queueFamilyIndex = d->queue_family};
    PM_TRY(pm_vk_check(d->vk.vkCreateCommandPool(d->handle, &pool, NULL, &s->pool), "vkCreateCommandPool"));
    const VkCommandBufferAllocateInfo buffers = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                 .commandPool = s->pool,
                                                 .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                 .commandBufferCount = 2};
    return pm_vk_check(d->vk.vkAllocateCommandBuffers(d->handle, &buffers, s->commands), "vkAllocateCommandBuffers");
}

/* The staging object with its command buffers; its memory comes when first needed. */
static pm_result staging_get(pm_vk_device *d)
{
    if (d->staging != NULL)
        return PM_OK;
    d->staging = pm_alloc(1, sizeof(*d->staging), "staging");
    if (d->staging == NULL)
        return PM_ERR_NOMEM;
    const pm_result result = create_pool(d, d->staging);
    if (result != PM_OK)
        pm_vk_staging_finish(d);
    return result;
}

static pm_result staging_memory(pm_vk_device *d)
{
    PM_TRY(staging_get(d));
    if (d->staging->buffer != NULL)
        return PM_OK;
    return pm_vk_buffer_create(d, 2 * HALF_BYTES, PM_VK_READBACK, "staging", &d->staging->buffer);
}

/* The half's command buffer, no longer in use and begun. */
static pm_result begin(pm_vk_device *d, int half)
{
    PM_TRY(pm_vk_wait(d, d->staging->value[half]));
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                           .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    return pm_vk_check(d->vk.vkBeginCommandBuffer(d->staging->commands[half], &info), "vkBeginCommandBuffer");
}

/* Everything before, on the host or the device, happens before everything after. */
static void full_barrier(pm_vk_device *d, VkCommandBuffer commands)
{
    const VkMemoryBarrier2 barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
        .srcAccessMask = VK_ACCESS_2_MEMORY_WRITE_BIT,
        .dstStageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_2_HOST_BIT,
        .dstAccessMask = VK_ACCESS_2_MEMORY_READ_BIT | VK_ACCESS_2_MEMORY_WRITE_BIT | VK_ACCESS_2_HOST_READ_BIT};
    const VkDependencyInfo dependency = {.sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
                                         .memoryBarrierCount = 1,
                                         .pMemoryBarriers = &barrier};
    d->vk.vkCmdPipelineBarrier2(commands, &dependency);
}

static pm_result end(pm_vk_device *d, int half)
{
    full_barrier(d, d->staging->commands[half]);
    PM_TRY(pm_vk_check(d->vk.vkEndCommandBuffer(d->staging->commands[half]), "vkEndCommandBuffer"));
    const VkCommandBufferSubmitInfo buffer = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
                                              .commandBuffer = d->staging->commands[half]};
    PM_TRY(pm_vk_submit(d, &buffer, 1));
    d->staging->value[half] = d->timeline_value;
    return PM_OK;
}

static pm_result copy_half(pm_vk_device *d, int half, VkBuffer src, uint64_t src_offset, VkBuffer dst,
                           uint64_t dst_offset, uint64_t bytes)
{
    PM_TRY(begin(d, half));
    full_barrier(d, d->staging->commands[half]);
    const VkBufferCopy region = {.srcOffset = src_offset, .dstOffset = dst_offset, .size = bytes};
    d->vk.vkCmdCopyBuffer(d->staging->commands[half], src, dst, 1, &region);
    return end(d, half);
}

static pm_result upload_half(pm_vk_device *d, int half, pm_slice dst, uint64_t offset, const void *data, uint64_t bytes)
{
    const pm_slice stage = pm_vk_buffer_slice(d->staging->buffer, (uint64_t)half * HALF_BYTES, bytes);
    PM_TRY(pm_vk_wait(d, d->staging->value[half]));
    memcpy(pm_slice_host(stage), data, bytes);
    return copy_half(d, half, stage.buffer->handle, stage.offset, dst.buffer->handle, dst.offset + offset, bytes);
}

static pm_result upload(pm_vk_device *d, pm_slice dst, const void *data, uint64_t bytes)
{
    PM_TRY(staging_memory(d));
    pm_result result = PM_OK;
    int half = 0;
    for (uint64_t done = 0; done < bytes && result == PM_OK; half = !half) {
        const uint64_t part = bytes - done < HALF_BYTES ? bytes - done : HALF_BYTES;
        result = upload_half(d, half, dst, done, (const uint8_t *)data + done, part);
        done += part;
    }
    if (result == PM_OK)
        return pm_vk_wait(d, d->timeline_value);
    pm_vk_drain(d); /* the other half may be under way */
    return result;
}

pm_result pm_vk_upload(pm_vk_device *d, pm_slice dst, const void *data, uint64_t bytes)
{
    pm_assert(bytes <= dst.bytes);
    if (dst.buffer->host != NULL) {
        memcpy(pm_slice_host(dst), data, bytes);
        return PM_OK;
    }
    pthread_mutex_lock(&d->queue_lock);
    const pm_result result = upload(d, dst, data, bytes);
    pthread_mutex_unlock(&d->queue_lock);
    return result;
}

static pm_result download(pm_vk_device *d, void *data, pm_slice src, uint64_t bytes)
{
    PM_TRY(staging_memory(d));
    for (uint64_t done = 0; done < bytes;) {
        const uint64_t part = bytes - done < HALF_BYTES ? bytes - done : HALF_BYTES;
        const pm_slice stage = pm_vk_buffer_slice(d->staging->buffer, 0, part);
        PM_TRY(copy_half(d, 0, src.buffer->handle, src.offset + done, stage.buffer->handle, 0, part));
        PM_TRY(pm_vk_wait(d, d->timeline_value));
        memcpy((uint8_t *)data + done, pm_slice_host(stage), part);
        done += part;
    }
    return PM_OK;
}

pm_result pm_vk_download(pm_vk_device *d, void *data, pm_slice src, uint64_t bytes)
{
    pm_assert(bytes <= src.bytes);
    pthread_mutex_lock(&d->queue_lock);
    const pm_result result = download(d, data, src, bytes);
    pthread_mutex_unlock(&d->queue_lock);
    return result;
}

static pm_result fill_zero(pm_vk_device *d, VkBuffer buffer, uint64_t bytes)
{
    PM_TRY(staging_get(d));
    PM_TRY(begin(d, 0));
    d->vk.vkCmdFillBuffer(d->staging->commands[0], buffer, 0, bytes, 0);
    PM_TRY(end(d, 0));
    return pm_vk_wait(d, d->timeline_value);
}

pm_result pm_vk_fill_zero(pm_vk_device *d, VkBuffer buffer, uint64_t bytes)
{
    pthread_mutex_lock(&d->queue_lock);
    const pm_result result = fill_zero(d, buffer, bytes);
    pthread_mutex_unlock(&d->queue_lock);
    return result;
}
