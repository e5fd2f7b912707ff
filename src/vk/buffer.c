/* vk/buffer.c - device memory as addresses. */
#include "vk/buffer_impl.h"

#include "base/alloc.h"

#include <string.h>

static bool heap_fits(const pm_vk_device *d, uint32_t type, VkMemoryPropertyFlags flags)
{
    return (d->memory.memoryTypes[type].propertyFlags & flags) == flags;
}

/* The first memory type that the buffer may use with the best flags there are. */
static bool choose_type(const pm_vk_device *d, uint32_t allowed, pm_vk_memory memory, uint32_t *out)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                cached = host | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const VkMemoryPropertyFlags wishes[][3] = {
        [PM_VK_DEVICE] = {local, 0, 0},
        [PM_VK_UPLOAD] = {host | local, host, host},
        [PM_VK_READBACK] = {cached, host, host},
    };
    for (int w = 0; w < 3; w++)
        for (uint32_t i = 0; i < d->memory.memoryTypeCount; i++)
            if ((allowed >> i & 1) && heap_fits(d, i, wishes[memory][w])) {
                *out = i;
                return true;
            }
    return false;
}

static pm_result too_big(const pm_vk_device *d, uint64_t bytes, const char *what)
{
    const uint64_t limit = d->allocation_max < d->buffer_max ? d->allocation_max : d->buffer_max;
    return pm_fail(PM_ERR_DEVMEM, "%s: %llu bytes of device memory wanted, %llu free, %llu at most in one piece", what,
                   (unsigned long long)bytes, (unsigned long long)pm_vk_device_free_bytes(d),
                   (unsigned long long)limit);
}

/* Memory for the buffer, bound, mapped where the host may see it. */
static pm_result allocate(pm_vk_buffer *b, pm_vk_memory memory, const char *what)
{
    pm_vk_device *d = b->device;
    VkMemoryRequirements need;
    d->vk.vkGetBufferMemoryRequirements(d->handle, b->handle, &need);
    uint32_t type;
    if (!choose_type(d, need.memoryTypeBits, memory, &type))
        return pm_fail(PM_ERR_UNSUP, "%s: the device has no memory type for it", what);
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                             .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &flags,
                                       .allocationSize = need.size,
                                       .memoryTypeIndex = type};
    const VkResult result = d->vk.vkAllocateMemory(d->handle, &info, NULL, &b->memory);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
        return too_big(d, b->bytes, what);
    PM_TRY(pm_vk_check(result, "vkAllocateMemory"));
    b->heap = d->memory.memoryTypes[type].heapIndex;
    b->held = need.size;
    d->heap_held[b->heap] += need.size;
    PM_TRY(pm_vk_check(d->vk.vkBindBufferMemory(d->handle, b->handle, b->memory, 0), "vkBindBufferMemory"));
    if (memory != PM_VK_DEVICE)
        PM_TRY(pm_vk_check(d->vk.vkMapMemory(d->handle, b->memory, 0, VK_WHOLE_SIZE, 0, &b->host), "vkMapMemory"));
    const VkBufferDeviceAddressInfo address = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                               .buffer = b->handle};
    b->address = d->vk.vkGetBufferDeviceAddress(d->handle, &address);
    return PM_OK;
}

pm_result pm_vk_buffer_create(pm_vk_device *device, uint64_t bytes, pm_vk_memory memory, const char *what,
                              pm_vk_buffer **out)
{
    pm_assert(bytes > 0);
    const uint64_t size = (bytes + 15) / 16 * 16;
    if (size > device->buffer_max || size > device->allocation_max)
        return too_big(device, bytes, what);
    if (memory == PM_VK_DEVICE && size > pm_vk_device_free_bytes(device))
        return too_big(device, bytes, what);
    pm_vk_buffer *b = pm_alloc(1, sizeof(*b), "buffer");
    if (b == NULL)
        return PM_ERR_NOMEM;
    b->device = device;
    b->bytes = bytes;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = size,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                                              VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    pm_result result = pm_vk_check(device->vk.vkCreateBuffer(device->handle, &info, NULL, &b->handle), "vkCreateBuffer");
    if (result == PM_OK)
        result = allocate(b, memory, what);
    if (result == PM_OK && b->host != NULL)
        memset(b->host, 0, size);
    if (result == PM_OK && b->host == NULL)
        result = pm_vk_fill_zero(device, b->handle, size);
    if (result != PM_OK) {
        pm_vk_buffer_destroy(b);
        return result;
    }
    *out = b;
    return PM_OK;
}

void pm_vk_buffer_destroy(pm_vk_buffer *buffer)
{
    if (buffer == NULL)
        return;
    pm_vk_device *d = buffer->device;
    d->vk.vkDestroyBuffer(d->handle, buffer->handle, NULL);
    d->vk.vkFreeMemory(d->handle, buffer->memory, NULL);
    d->heap_held[buffer->heap] -= buffer->held;
    pm_free(buffer);
}

pm_slice pm_vk_buffer_slice(pm_vk_buffer *buffer, uint64_t offset, uint64_t bytes)
{
    pm_assert(offset <= buffer->bytes && bytes <= buffer->bytes - offset);
    return (pm_slice){buffer, offset, bytes};
}

pm_slice pm_vk_buffer_all(pm_vk_buffer *buffer)
{
    return (pm_slice){buffer, 0, buffer->bytes};
}

pm_slice pm_slice_part(pm_slice slice, uint64_t offset, uint64_t bytes)
{
    pm_assert(offset <= slice.bytes && bytes <= slice.bytes - offset);
    return (pm_slice){slice.buffer, slice.offset + offset, bytes};
}

uint64_t pm_slice_address(pm_slice slice)
{
    return slice.buffer != NULL ? slice.buffer->address + slice.offset : 0;
}

void *pm_slice_host(pm_slice slice)
{
    pm_assert(slice.buffer->host != NULL);
    return (uint8_t *)slice.buffer->host + slice.offset;
}
