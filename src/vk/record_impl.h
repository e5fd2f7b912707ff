/* vk/record_impl.h - what record.c hands to commands.c. Floor 1, inside vk/ only. */
#ifndef PM_VK_RECORD_IMPL_H
#define PM_VK_RECORD_IMPL_H

#include "vk/device_impl.h"
#include "vk/record.h"

typedef struct pm_vk_node {
    const char *op;
    const pm_vk_pipeline *pipeline; /* NULL = a copy of data, else access[1], to access[0] */
    const void *data;
    uint8_t push[128];
    pm_vk_texels texels[PM_VK_TEXELS_MAX]; /* as many as the pipeline takes */
    uint32_t groups[3];
    pm_vk_access access[PM_VK_ACCESS_MAX];
    uint32_t access_count;
    uint64_t bytes, flops;
    bool segment_end;              /* a submission may end behind it */
} pm_vk_node;

struct pm_vk_recorder {
    pm_vk_device *device;
    pm_vk_node *nodes;
    uint32_t count, capacity;
};

#endif /* PM_VK_RECORD_IMPL_H */
