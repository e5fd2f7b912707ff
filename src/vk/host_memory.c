/* vk/host_memory.c - memory of this process as device memory. */
#include "vk/host_memory.h"

#include <sys/mman.h>

#define LARGE_PAGE (UINT64_C(2) << 20)
#define HANDLE VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT

bool pm_vk_host_memory_serves(const pm_vk_device *d)
{
    return d->caps.is_cpu && (d->caps.bits & PM_CAP_BIT(HOSTMEM));
}

/* Weights are touched for the first time sooner, and read through fewer entries of the translation cache. A large page
 * that is touched in one place costs as much to clear as all of it: 40 to 100 ms of the first token, where the system had
 * to make room for the 24 that the first KV page of 12 layers touches. Failures do not matter. */
void pm_vk_host_memory_use_all(pm_vk_buffer *b)
{
#ifdef MADV_HUGEPAGE
    if (b->mapped_bytes >= LARGE_PAGE)
        (void)madvise(b->host, b->mapped_bytes, MADV_HUGEPAGE);
#else
    (void)b;
#endif
}

/* The first type of memory that the pages can be; false = none. */
static bool type_of(const pm_vk_buffer *b, uint32_t *out)
{
    pm_vk_device *d = b->device;
    VkMemoryRequirements need;
    VkMemoryHostPointerPropertiesEXT pages = {.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    d->vk.vkGetBufferMemoryRequirements(d->handle, b->handle, &need);
    if (d->vk.vkGetMemoryHostPointerPropertiesEXT(d->handle, HANDLE, b->host, &pages) != VK_SUCCESS)
        return false;
    for (uint32_t i = 0; i < d->memory.memoryTypeCount; i++)
        if (need.memoryTypeBits & pages.memoryTypeBits & UINT32_C(1) << i) {
            *out = i;
            return true;
        }
    return false;
}

static VkResult import(pm_vk_buffer *b)
{
    pm_vk_device *d = b->device;
    uint32_t type;
    if (!type_of(b, &type))
        return VK_ERROR_INVALID_EXTERNAL_HANDLE;
    const VkImportMemoryHostPointerInfoEXT pages = {.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
                                                    .handleType = HANDLE,
                                                    .pHostPointer = b->host};
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                             .pNext = &pages,
                                             .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &flags,
                                       .allocationSize = b->mapped_bytes,
                                       .memoryTypeIndex = type};
    const VkResult result = d->vk.vkAllocateMemory(d->handle, &info, NULL, &b->memory);
    if (result == VK_SUCCESS)
        b->heap = d->memory.memoryTypes[type].heapIndex;
    return result;
}

VkResult pm_vk_host_memory_allocate(pm_vk_buffer *b, uint64_t bytes)
{
    const uint64_t unit = b->device->import_alignment;
    const uint64_t mapped_bytes = (bytes + unit - 1) / unit * unit;
    void *host = mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (host == MAP_FAILED)
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    b->host = host;
    b->mapped_bytes = mapped_bytes;
    const VkResult result = import(b);
    if (result != VK_SUCCESS)
        pm_vk_host_memory_free(b);
    return result;
}

void pm_vk_host_memory_free(pm_vk_buffer *b)
{
    if (b->mapped_bytes > 0)
        (void)munmap(b->host, b->mapped_bytes);
    b->host = NULL;
    b->mapped_bytes = 0;
}
