/* vk/profile.h - device time by op, from timestamps. Floor 1, inside vk/ only. */
#ifndef PM_VK_PROFILE_H
#define PM_VK_PROFILE_H

#include "vk/device_impl.h"
#include "vk/record.h"

typedef struct pm_vk_profile_entry {
    uint32_t row;                  /* of the device's table */
    uint64_t bytes, flops;         /* of one dispatch */
} pm_vk_profile_entry;

/* Waits for queries first .. first + count - 1; ticks: [count]. Errors: PM_ERR_DEVICE,
 * PM_ERR_LOST. */
PM_MUST_USE pm_result pm_vk_timestamps(const pm_vk_device *device, VkQueryPool queries, uint32_t first, uint32_t count,
                                       uint64_t *ticks);
uint64_t pm_vk_ticks_ns(const pm_vk_device *device, uint64_t from, uint64_t to);

/* The row of this op, made if need be. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_vk_profile_row(pm_vk_device *device, const char *op, uint32_t *row);

/* Adds the times of a finished run: queries 2i and 2i + 1 stand around entry i.
 * Errors: PM_ERR_DEVICE, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_vk_profile_collect(pm_vk_device *device, VkQueryPool queries,
                                            const pm_vk_profile_entry *entries, uint32_t count);

#endif /* PM_VK_PROFILE_H */
