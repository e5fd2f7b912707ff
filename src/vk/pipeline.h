/* vk/pipeline.h - compute pipelines by module and specialization. Floor 1.
 *
 * A pipeline is asked for while a plan is being drawn and compiled later, together
 * with all others, on all cores (pm_vk_pipelines_build()). Asking twice for the
 * same module, constants and subgroup size gives the same handle. Compiled code is
 * kept in a VkPipelineCache on disk, keyed by device UUID, driver version and the
 * hash of all shaders; a damaged file is ignored and rewritten.
 */
#ifndef PM_VK_PIPELINE_H
#define PM_VK_PIPELINE_H

#include "vk/device.h"
#include "vk/shader_table.h"
#include "vk/texels.h"

#define PM_SPEC_MAX 16

typedef struct pm_vk_pipeline pm_vk_pipeline;

typedef struct pm_vk_pipeline_key {
    const char *module;            /* first column of shaders/variants.txt */
    uint32_t spec_count;           /* <= PM_SPEC_MAX */
    struct { uint32_t id, value; } spec[PM_SPEC_MAX]; /* 32-bit constants; floats as bits */
    uint32_t push_bytes;           /* <= 128 */
    uint32_t subgroup;             /* required size, full subgroups; 0 = any */
    uint32_t texels;               /* buffer textures at set 0, binding 0 .. texels - 1; <= PM_VK_TEXELS_MAX, and
                                      0 where the device lacks PM_CAP_TEXELS */
} pm_vk_pipeline_key;

/* True when this build has the module (its glslang could compile it). */
bool pm_vk_module_exists(const char *module);

/* Serves these modules in place of the build's of the same names, to every device opened
 * afterwards; count 0 takes them away. Borrowed. Not thread-safe. For tests that plant a
 * fault: nothing in the library calls it. */
void pm_vk_modules_override(const pm_shader_module *modules, size_t count);

/* *out: borrowed, for the device's life. Errors: PM_ERR_UNSUP (no such module),
 * PM_ERR_NOMEM. Compiles nothing. */
PM_MUST_USE pm_result pm_vk_pipeline_get(pm_vk_device *device, const pm_vk_pipeline_key *key,
                                         const pm_vk_pipeline **out);

/* Compiles everything asked for since the last time, in parallel, then saves the
 * cache file if anything was new. Errors: PM_ERR_DEVICE (names module and
 * constants); what was built stays, and what was not is left to the recorders that
 * use it. progress may be NULL; it is called on this thread. */
PM_MUST_USE pm_result pm_vk_pipelines_build(pm_vk_device *device, pm_progress *progress, void *context);

#endif /* PM_VK_PIPELINE_H */
