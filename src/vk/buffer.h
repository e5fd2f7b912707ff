/* vk/buffer.h - device memory as addresses. Floor 1.
 *
 * A buffer is one VkBuffer with a 64-bit device address over one allocation;
 * a slice is a byte range of it. Shaders see only addresses.
 */
#ifndef PM_VK_BUFFER_H
#define PM_VK_BUFFER_H

#include "base/error.h"

#include <stdint.h>

typedef struct pm_vk_device pm_vk_device;
typedef struct pm_vk_buffer pm_vk_buffer;

typedef enum pm_vk_memory {
    PM_VK_DEVICE,                  /* device local; mapped on CPU drivers alone */
    PM_VK_UPLOAD,                  /* mapped, written by the host, read by the device */
    PM_VK_READBACK,                /* mapped, host cached, written by the device */
} pm_vk_memory;

#define PM_VK_ALIGNMENT 256        /* of a buffer's address; bytes */

/* All zero is "no slice": address 0. */
typedef struct pm_slice {
    pm_vk_buffer *buffer;
    uint64_t offset, bytes;
} pm_slice;

/* bytes: >= 1; contents are zero. `what` names the buffer in messages.
 * *out: owned, pm_vk_buffer_destroy(), after every submission that uses it ended.
 * Errors: PM_ERR_DEVMEM (names bytes wanted and free: budget, heap or
 * maxMemoryAllocationSize), PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_vk_buffer_create(pm_vk_device *device, uint64_t bytes, pm_vk_memory memory,
                                          const char *what, pm_vk_buffer **out);
void pm_vk_buffer_destroy(pm_vk_buffer *buffer);     /* NULL is fine */

/* A hint right after creation: all of it will be written and read. On CPU drivers it may then have large pages. */
void pm_vk_buffer_use_all(pm_vk_buffer *buffer);

/* The whole buffer, or a part: offset + bytes within it (asserted). */
pm_slice pm_vk_buffer_slice(pm_vk_buffer *buffer, uint64_t offset, uint64_t bytes);
pm_slice pm_vk_buffer_all(pm_vk_buffer *buffer);

/* A part of a slice; offset counts from the slice's start (asserted). */
pm_slice pm_slice_part(pm_slice slice, uint64_t offset, uint64_t bytes);

/* Device address of the slice's first byte; 0 for no slice. Buffers start at
 * multiples of PM_VK_ALIGNMENT. */
uint64_t pm_slice_address(pm_slice slice);

/* Host pointer of a slice that is mapped (asserted); coherent. */
void *pm_slice_host(pm_slice slice);
bool pm_slice_is_mapped(pm_slice slice);

#endif /* PM_VK_BUFFER_H */
