/* vk/buffer_impl.h - what the files of vk/ share about pm_vk_buffer. Floor 1, inside vk/ only. */
#ifndef PM_VK_BUFFER_IMPL_H
#define PM_VK_BUFFER_IMPL_H

#include "vk/device_impl.h"

struct pm_vk_buffer {
    pm_vk_device *device;
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t address;
    uint64_t bytes;                /* asked for; the VkBuffer has up to 15 more */
    uint64_t held;                 /* of the heap */
    uint32_t heap;
    void *host;                    /* NULL for PM_VK_DEVICE */
};

/* Zeroes the buffer on the device and waits. */
PM_MUST_USE pm_result pm_vk_fill_zero(pm_vk_device *device, VkBuffer buffer, uint64_t bytes);

#endif /* PM_VK_BUFFER_IMPL_H */
