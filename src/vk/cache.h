/* vk/cache.h - compiled pipelines on disk. Floor 1, inside vk/ only.
 *
 * One file for each device UUID, driver version and set of shaders. It starts with a
 * header of ours, so that a damaged or foreign file is found out before the driver sees
 * it, and is then ignored and rewritten. PUMICE_CACHE=0 turns it off.
 */
#ifndef PM_VK_CACHE_H
#define PM_VK_CACHE_H

#include "vk/device_impl.h"

/* An empty cache when there is no usable file. Errors: PM_ERR_DEVICE, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_vk_cache_load(pm_vk_device *device, VkPipelineCache *out);

/* Writes the file, atomically. A failure is only logged: the next start is slower. */
void pm_vk_cache_save(pm_vk_device *device, VkPipelineCache cache);

#endif /* PM_VK_CACHE_H */
