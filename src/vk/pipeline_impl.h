/* vk/pipeline_impl.h - what the files of vk/ share about pm_vk_pipeline. Floor 1, inside vk/ only. */
#ifndef PM_VK_PIPELINE_IMPL_H
#define PM_VK_PIPELINE_IMPL_H

#include "vk/device_impl.h"
#include "vk/pipeline.h"

struct pm_vk_pipeline {
    pm_vk_pipeline_key key;
    VkPipelineLayout layout;       /* borrowed */
    VkPipeline handle;             /* VK_NULL_HANDLE until built */
};

/* Of all modules of this build: names the file on disk. Computed once. */
uint64_t pm_shader_hash(void);

#endif /* PM_VK_PIPELINE_IMPL_H */
