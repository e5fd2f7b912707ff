/* vk/statistics.h - what the driver's compiler says of each pipeline. Floor 1.
 *
 * Registers, spills, code size and the like, through VK_KHR_pipeline_executable_properties
 * and under the driver's own names: they are for reading and for tests/offline, nothing is
 * decided by them. A device keeps them only when it is opened for it, since some drivers
 * then compile without their own caches.
 */
#ifndef PM_VK_STATISTICS_H
#define PM_VK_STATISTICS_H

#include "vk/pipeline.h"

/* As pm_vk_device_open(), for a device whose pipelines keep statistics.
 * Errors: also PM_ERR_UNSUP when the driver has none. */
PM_MUST_USE pm_result pm_vk_device_open_measured(const char *selector, pm_vk_device **out);

/* Pipelines asked for so far, in order of asking. */
uint32_t pm_vk_pipeline_count(const pm_vk_device *device);
const pm_vk_pipeline_key *pm_vk_pipeline_key_at(const pm_vk_device *device, uint32_t index);

typedef struct pm_vk_statistic {
    char name[64];                 /* as the driver has it: "Spilled VGPRs" */
    double value;
} pm_vk_statistic;

#define PM_VK_STATISTICS_MAX 64

/* Of pipeline `index`, which is built (asserted). list: [PM_VK_STATISTICS_MAX].
 * *subgroup: lanes that it was compiled for; 0 = the driver does not say.
 * Errors: PM_ERR_STATE (not opened by pm_vk_device_open_measured()), PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_vk_pipeline_statistics(pm_vk_device *device, uint32_t index, pm_vk_statistic *list,
                                                uint32_t *count, uint32_t *subgroup);

#endif /* PM_VK_STATISTICS_H */
