/* vk/buffer_impl.h - what the files of vk/ share about pm_vk_buffer. Floor 1, inside vk/ only. */
#ifndef PM_VK_BUFFER_IMPL_H
#define PM_VK_BUFFER_IMPL_H

#include "vk/device_impl.h"
#include "vk/texels.h"

#define PM_VK_TEXELS_ROOM 256      /* bytes behind a buffer of a device with TEXELS, see vk/texels.c */

/* A part of a buffer as a buffer texture. */
typedef struct pm_vk_view {
    VkBufferView handle;
    uint64_t offset, bytes;
    pm_vk_texel_format format;
} pm_vk_view;

struct pm_vk_buffer {
    pm_vk_device *device;
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t address;
    uint64_t bytes;                /* asked for */
    uint64_t size;                 /* of the VkBuffer, a multiple of 16 */
    uint64_t held;                 /* of the heap */
    uint32_t heap;
    void *host;                    /* NULL where it is not mapped */
    uint64_t mapped_bytes;         /* of vk/host_memory.h; else 0 */
    pm_vk_view *views;             /* made as they are asked for; they live as long as the buffer */
    uint32_t view_count, view_capacity;
};

/* Zeroes the buffer on the device and waits. */
PM_MUST_USE pm_result pm_vk_fill_zero(pm_vk_device *device, VkBuffer buffer, uint64_t bytes);

/* They fit (asserted). *out: borrowed, for the buffer's life. Not thread-safe. vk/texels.c.
 * Errors: PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_vk_texels_view(pm_vk_texels texels, VkBufferView *out);

#endif /* PM_VK_BUFFER_IMPL_H */
