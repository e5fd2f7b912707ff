/* vk/device_impl.h - what the files of vk/ share about pm_vk_device. Floor 1, inside vk/ only. */
#ifndef PM_VK_DEVICE_IMPL_H
#define PM_VK_DEVICE_IMPL_H

#include "vk/api.h"
#include "vk/device.h"

#include <pthread.h>
#include <stdatomic.h>

struct pm_vk_device {
    VkPhysicalDevice physical;
    VkDevice handle;
    struct VolkDeviceTable vk;     /* the device's functions; tests swap pointers here */
    pthread_mutex_t queue_lock;    /* of queue, timeline and staging; recursive */
    VkQueue queue;                 /* compute and transfer */
    uint32_t queue_family;
    VkSemaphore timeline;          /* null until the first submission */
    uint64_t timeline_value;       /* of the last submission */
    _Atomic uint64_t waited_ns;    /* when the last wait for commands ended */
    uint64_t submit_ns;            /* a submission should take no longer */

    pm_device_info info;
    pm_vk_caps caps;
    VkPhysicalDeviceMemoryProperties memory;
    _Atomic uint64_t heap_held[VK_MAX_MEMORY_HEAPS]; /* bytes this object allocated */
    uint64_t import_alignment;     /* bytes, of host memory with PM_CAP_HOSTMEM */
    float timestamp_ns;            /* of one tick; 0 = no timestamps */
    uint32_t timestamp_bits;
    uint32_t driver_version;
    uint8_t cache_uuid[VK_UUID_SIZE];

    pthread_mutex_t pipelines_lock; /* recursive */
    struct pm_vk_pipeline_table *pipelines; /* vk/pipeline.c */
    struct pm_vk_staging *staging; /* vk/upload.c; made on first use */
    bool profile;
    bool statistics;               /* pipelines keep them: vk/statistics.h */
    struct pm_vk_profile_table *profile_table; /* vk/profile.c */
};

/* Submits command buffers after all earlier ones; signals ++timeline_value. After a
 * failure of this or of the wait nothing is in flight any more: the caller may free what
 * the device used. */
PM_MUST_USE pm_result pm_vk_submit(pm_vk_device *device, const VkCommandBufferSubmitInfo *buffers, uint32_t count);

/* Waits until nothing is in flight, whatever happens to it. */
void pm_vk_drain(pm_vk_device *device);

/* Waits until the submission with this value has ended. */
PM_MUST_USE pm_result pm_vk_wait(pm_vk_device *device, uint64_t value);

/* Destroyers of what hangs on the device; all take NULL tables. */
void pm_vk_pipelines_finish(pm_vk_device *device);
void pm_vk_staging_finish(pm_vk_device *device);
void pm_vk_profile_finish(pm_vk_device *device);

#endif /* PM_VK_DEVICE_IMPL_H */
