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

#define PM_VK_LAYOUTS_MAX 32       /* push sizes of 4 .. 128 bytes */

typedef struct pm_vk_pipeline_table {
    pm_vk_pipeline **list;         /* in order of asking; each its own block, so that handles stay */
    uint32_t count, capacity;
    uint32_t built;                /* so many were built or are left to the recorders that use them */
    VkDescriptorSetLayout sets[PM_VK_TEXELS_MAX + 1]; /* [texels], of push descriptors; none for 0 */
    VkPipelineLayout layouts[PM_VK_TEXELS_MAX + 1][PM_VK_LAYOUTS_MAX + 1]; /* [texels][push_bytes / 4] */
    VkPipelineCache cache;
} pm_vk_pipeline_table;

/* Compiles those of `wanted` that are not built, in parallel.
 * Errors: as pm_vk_pipelines_build(). */
PM_MUST_USE pm_result pm_vk_pipelines_build_these(pm_vk_device *device, const pm_vk_pipeline *const *wanted,
                                                  uint32_t count);

/* Of all modules that are served: names the file on disk. */
uint64_t pm_shader_hash(void);

#endif /* PM_VK_PIPELINE_IMPL_H */
