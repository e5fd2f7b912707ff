/* vk/statistics.c - what the driver's compiler says of each pipeline. */
#include "vk/statistics.h"

#include "vk/pipeline_impl.h"

#include <stdio.h>

uint32_t pm_vk_pipeline_count(const pm_vk_device *device)
{
    return device->pipelines != NULL ? device->pipelines->count : 0;
}

const pm_vk_pipeline_key *pm_vk_pipeline_key_at(const pm_vk_device *device, uint32_t index)
{
    pm_assert(index < pm_vk_pipeline_count(device));
    return &device->pipelines->list[index]->key;
}

static double value_of(const VkPipelineExecutableStatisticKHR *s)
{
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: return s->value.b32 ? 1.0 : 0.0;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: return (double)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: return (double)s->value.u64;
    default: return s->value.f64;
    }
}

pm_result pm_vk_pipeline_statistics(pm_vk_device *d, uint32_t index, pm_vk_statistic *list, uint32_t *count,
                                    uint32_t *subgroup)
{
    if (!d->statistics)
        return pm_fail(PM_ERR_STATE, "the device was opened without statistics");
    pm_assert(index < pm_vk_pipeline_count(d) && d->pipelines->list[index]->handle != VK_NULL_HANDLE);
    const VkPipelineInfoKHR pipeline = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR,
                                        .pipeline = d->pipelines->list[index]->handle};
    VkPipelineExecutablePropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    uint32_t executables = 1; /* a compute pipeline has one */
    PM_TRY(pm_vk_check(d->vk.vkGetPipelineExecutablePropertiesKHR(d->handle, &pipeline, &executables, &properties),
                       "vkGetPipelineExecutablePropertiesKHR"));
    *subgroup = executables > 0 ? properties.subgroupSize : 0;

    VkPipelineExecutableStatisticKHR statistics[PM_VK_STATISTICS_MAX];
    for (uint32_t i = 0; i < PM_VK_STATISTICS_MAX; i++)
        statistics[i] = (VkPipelineExecutableStatisticKHR){.sType =
                                                               VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    const VkPipelineExecutableInfoKHR executable = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                                    .pipeline = pipeline.pipeline};
    *count = executables > 0 ? PM_VK_STATISTICS_MAX : 0;
    if (*count > 0)
        PM_TRY(pm_vk_check(d->vk.vkGetPipelineExecutableStatisticsKHR(d->handle, &executable, count, statistics),
                           "vkGetPipelineExecutableStatisticsKHR"));
    for (uint32_t i = 0; i < *count; i++) {
        snprintf(list[i].name, sizeof(list[i].name), "%.63s", statistics[i].name);
        list[i].value = value_of(&statistics[i]);
    }
    return PM_OK;
}
