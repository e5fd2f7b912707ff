/* vk/api.h - Vulkan itself, and how its failures become ours. Floor 1, inside vk/ only. */
#ifndef PM_VK_API_H
#define PM_VK_API_H

#include "base/error.h"

#include <volk.h>

/* "VK_ERROR_DEVICE_LOST". Static storage. */
const char *pm_vk_result_name(VkResult result);

/* PM_OK for success codes; else records "<what>: <VkResult>" and returns PM_ERR_LOST,
 * PM_ERR_DEVMEM, PM_ERR_NOMEM or PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_vk_check(VkResult result, const char *what);

/* The process's VkInstance, made for the first user and destroyed with the last; with
 * the validation layer when PUMICE_VALIDATE=1. Thread-safe.
 * Errors: PM_ERR_UNSUP (no loader, no layer: says how to get it), PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_vk_instance_acquire(VkInstance *out);
void pm_vk_instance_release(void);

#endif /* PM_VK_API_H */
