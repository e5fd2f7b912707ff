/* vk/host_memory.h - memory of this process as device memory. Floor 1, inside vk/ only.
 *
 * What a CPU driver calls device memory is host memory in any case. Pages that the process maps for itself are zero
 * without being written, cost nothing until they are touched, may be large ones, and can be filled by the host in
 * place. */
#ifndef PM_VK_HOST_MEMORY_H
#define PM_VK_HOST_MEMORY_H

#include "vk/buffer_impl.h"

/* True where buffers are to be made of it: on a CPU driver with PM_CAP_HOSTMEM. */
bool pm_vk_host_memory_serves(const pm_vk_device *device);

/* Maps zeroed pages for the buffer, of at least `bytes`: b->host and b->mapped_bytes, and imports them as b->memory.
 * VK_SUCCESS, or as vkAllocateMemory(): VK_ERROR_INVALID_EXTERNAL_HANDLE where the driver does not take such pages. */
VkResult pm_vk_host_memory_allocate(pm_vk_buffer *b, uint64_t bytes);

/* Asks for large pages, before the first is touched. */
void pm_vk_host_memory_use_all(pm_vk_buffer *b);

/* Once vkFreeMemory() is done. */
void pm_vk_host_memory_free(pm_vk_buffer *b);

#endif /* PM_VK_HOST_MEMORY_H */
