/* vk/buffer.c - device memory as addresses. */
#include "vk/buffer_impl.h"

#include "base/alloc.h"
#include "vk/host_memory.h"

#include <string.h>

/* Kinds of memory that need an extension or a queue that we do not have. */
#define NEVER (VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT | \
               VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD)

#define WISHES 3

/* What the memory should be, best first. Drivers list the plainest type of equals first,
 * so that the first type that fits is the one. UPLOAD prefers the part of the device's
 * own memory that the host can write (all of it on a UMA device or with a resizable BAR). */
static const VkMemoryPropertyFlags wishes[][WISHES] = {
#define LOCAL VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT
#define HOST (VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)
#define CACHED VK_MEMORY_PROPERTY_HOST_CACHED_BIT
    [PM_VK_DEVICE] = {LOCAL, 0, 0},
    [PM_VK_UPLOAD] = {HOST | LOCAL, HOST, HOST},
    [PM_VK_READBACK] = {HOST | CACHED, HOST, HOST},
#undef LOCAL
#undef HOST
#undef CACHED
};

static bool find_type(const pm_vk_device *d, uint32_t allowed, VkMemoryPropertyFlags wish, uint32_t *out)
{
    for (uint32_t i = 0; i < d->memory.memoryTypeCount; i++) {
        const VkMemoryPropertyFlags flags = d->memory.memoryTypes[i].propertyFlags;
        if ((allowed >> i & 1) && (flags & wish) == wish && !(flags & NEVER)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static pm_result too_big(const pm_vk_device *d, uint64_t bytes, const char *what)
{
    return pm_fail(PM_ERR_DEVMEM, "%s: %llu bytes of device memory wanted, %llu free, %llu at most in one piece", what,
                   (unsigned long long)bytes, (unsigned long long)pm_vk_device_free_bytes(d),
                   (unsigned long long)d->caps.buffer_bytes_max);
}

static bool is_full(VkResult result)
{
    return result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY ||
           result == VK_ERROR_TOO_MANY_OBJECTS;
}

/* Memory of the best kind that is not full. */
static pm_result allocate(pm_vk_buffer *b, pm_vk_memory memory, const char *what)
{
    pm_vk_device *d = b->device;
    VkMemoryRequirements need;
    d->vk.vkGetBufferMemoryRequirements(d->handle, b->handle, &need);
    VkResult result = VK_ERROR_FEATURE_NOT_PRESENT;
    for (int w = 0; w < WISHES; w++) {
        uint32_t type;
        if ((w > 0 && wishes[memory][w] == wishes[memory][w - 1]) ||
            !find_type(d, need.memoryTypeBits, wishes[memory][w], &type))
            continue;
        const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                                 .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
        const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                           .pNext = &flags,
                                           .allocationSize = need.size,
                                           .memoryTypeIndex = type};
        result = d->vk.vkAllocateMemory(d->handle, &info, NULL, &b->memory);
        if (result == VK_SUCCESS) {
            b->heap = d->memory.memoryTypes[type].heapIndex;
            b->held = need.size;
            d->heap_held[b->heap] += need.size;
            return PM_OK;
        }
        if (!is_full(result) || memory == PM_VK_DEVICE) /* weights in host memory would only crawl */
            break;
    }
    return is_full(result) ? too_big(d, b->bytes, what) : pm_vk_check(result, "vkAllocateMemory");
}

/* Pages of the process, or, where they do not serve or the driver does not take them, the driver's own memory. */
static pm_result obtain(pm_vk_buffer *b, pm_vk_memory memory, const char *what)
{
    pm_vk_device *d = b->device;
    VkMemoryRequirements need;
    if (!pm_vk_host_memory_serves(d))
        return allocate(b, memory, what);
    d->vk.vkGetBufferMemoryRequirements(d->handle, b->handle, &need);
    const VkResult result = pm_vk_host_memory_allocate(b, need.size);
    if (result == VK_ERROR_INVALID_EXTERNAL_HANDLE)
        return allocate(b, memory, what);
    if (result != VK_SUCCESS)
        return is_full(result) ? too_big(d, b->bytes, what) : pm_vk_check(result, "vkAllocateMemory");
    b->held = b->mapped_bytes;
    d->heap_held[b->heap] += b->held;
    return PM_OK;
}

/* Memory for the buffer, bound, and mapped where the host may see it. */
static pm_result back(pm_vk_buffer *b, pm_vk_memory memory, const char *what)
{
    pm_vk_device *d = b->device;
    PM_TRY(obtain(b, memory, what));
    PM_TRY(pm_vk_check(d->vk.vkBindBufferMemory(d->handle, b->handle, b->memory, 0), "vkBindBufferMemory"));
    if (memory != PM_VK_DEVICE && b->host == NULL)
        PM_TRY(pm_vk_check(d->vk.vkMapMemory(d->handle, b->memory, 0, VK_WHOLE_SIZE, 0, &b->host), "vkMapMemory"));
    const VkBufferDeviceAddressInfo address = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                               .buffer = b->handle};
    b->address = d->vk.vkGetBufferDeviceAddress(d->handle, &address);
    pm_assert(b->address % PM_VK_ALIGNMENT == 0);
    return PM_OK;
}

static pm_result fill_zero(pm_vk_buffer *b)
{
    if (b->mapped_bytes > 0)           /* is zero */
        return PM_OK;
    if (b->host == NULL)
        return pm_vk_fill_zero(b->device, b->handle, b->size);
    memset(b->host, 0, b->size);
    return PM_OK;
}

/* Of the VkBuffer: at most buffer_bytes_max, which is a multiple of 16. With room for textures it is no power of
 * two either: that is another thing for which Mesa's llvmpipe compiles anew. */
static uint64_t size_for(const pm_vk_caps *caps, uint64_t bytes)
{
    const uint64_t size = (bytes + 15) / 16 * 16;
    if (!(caps->bits & PM_CAP_BIT(TEXELS)) || size > caps->buffer_bytes_max - 2 * PM_VK_TEXELS_ROOM)
        return size;
    const uint64_t more = size + PM_VK_TEXELS_ROOM;
    return (more & (more - 1)) == 0 ? more + PM_VK_TEXELS_ROOM : more;
}

pm_result pm_vk_buffer_create(pm_vk_device *device, uint64_t bytes, pm_vk_memory memory, const char *what,
                              pm_vk_buffer **out)
{
    pm_assert(bytes > 0);
    if (bytes > device->caps.buffer_bytes_max ||
        (memory == PM_VK_DEVICE && bytes > pm_vk_device_free_bytes(device)))
        return too_big(device, bytes, what);
    pm_vk_buffer *b = pm_alloc(1, sizeof(*b), "buffer");
    if (b == NULL)
        return PM_ERR_NOMEM;
    b->device = device;
    b->bytes = bytes;
    b->size = size_for(&device->caps, bytes);
    const VkExternalMemoryBufferCreateInfo pages = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT};
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .pNext = pm_vk_host_memory_serves(device) ? &pages : NULL,
                                     .size = b->size,
                                     .usage = (device->caps.bits & PM_CAP_BIT(TEXELS)
                                                   ? VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT : 0) |
                                              VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                                              VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    const VkResult created = device->vk.vkCreateBuffer(device->handle, &info, NULL, &b->handle);
    pm_result result = is_full(created) ? too_big(device, bytes, what) : pm_vk_check(created, "vkCreateBuffer");
    if (result == PM_OK)
        result = back(b, memory, what);
    if (result == PM_OK)
        result = fill_zero(b);
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
    for (uint32_t i = 0; i < buffer->view_count; i++)
        d->vk.vkDestroyBufferView(d->handle, buffer->views[i].handle, NULL);
    pm_free(buffer->views);
    d->vk.vkDestroyBuffer(d->handle, buffer->handle, NULL);
    d->vk.vkFreeMemory(d->handle, buffer->memory, NULL);
    pm_vk_host_memory_free(buffer);
    d->heap_held[buffer->heap] -= buffer->held;
    pm_free(buffer);
}

void pm_vk_buffer_use_all(pm_vk_buffer *buffer)
{
    if (buffer->mapped_bytes > 0)
        pm_vk_host_memory_use_all(buffer);
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

bool pm_slice_is_mapped(pm_slice slice)
{
    return slice.buffer != NULL && slice.buffer->host != NULL;
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
