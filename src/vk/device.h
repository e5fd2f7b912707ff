/* vk/device.h - choosing and opening a Vulkan 1.3 device. Floor 1.
 *
 * Required, and mandatory in Vulkan 1.3: buffer device address, subgroup size
 * control, synchronization2, timeline semaphores, maintenance4, integer dot
 * product. Everything else is a capability (vk/caps.h).
 *
 * Threads may share a device, with recorders, commands and buffers of their own: each pipeline is made once for all of
 * them. What says "before anything is recorded" is for one thread, and profiles are of all that ran.
 */
#ifndef PM_VK_DEVICE_H
#define PM_VK_DEVICE_H

#include "vk/buffer.h"
#include "vk/caps.h"

/* Physical devices, best first; see pm_devices_list() in pumice.h. */
PM_MUST_USE pm_result pm_vk_devices_list(pm_device_info *infos, size_t capacity, size_t *count);

/* selector: index, part of the name (any case) or UUID; NULL = PUMICE_DEVICE,
 * else the first usable device.
 * Errors: PM_ERR_UNSUP (no driver, or the device lacks a required feature, by
 * name), PM_ERR_ARG (selector matches none or several; the message lists them). */
PM_MUST_USE pm_result pm_vk_device_open(const char *selector, bool profile, pm_vk_device **out);
void pm_vk_device_close(pm_vk_device *device);       /* NULL is fine; waits */

const pm_device_info *pm_vk_device_info(const pm_vk_device *device);
const pm_vk_caps *pm_vk_device_caps(const pm_vk_device *device);

/* Device-local bytes that can still be allocated, by budget where the driver
 * tells it, else heap size less what this device object holds; on a CPU driver
 * without a budget at least what the host has free. */
uint64_t pm_vk_device_free_bytes(const pm_vk_device *device);

/* Bytes that this device object has allocated and not freed, of all heaps. */
uint64_t pm_vk_device_held_bytes(const pm_vk_device *device);

/* Adds to pm_vk_caps.off; more than PM_VK_OFF_MAX are asserted not to come. Before anything
 * is recorded. */
void pm_vk_device_switch_off(pm_vk_device *device, uint32_t id);

/* Sets pm_vk_caps.choices: borrowed for the device's life, NULL = none. Before anything is recorded. */
void pm_vk_device_choose(pm_vk_device *device, const struct pm_choices *choices);

/* Whether it was opened with profile, and has timestamps. */
bool pm_vk_device_is_profiled(const pm_vk_device *device);

/* How long one submission should take at most; 100 ms until told otherwise. Desktop drivers
 * end a submission that takes seconds. */
void pm_vk_device_limit_submissions(pm_vk_device *device, uint32_t ms);

/* "<cache home>/pumice/<stem>-<device>-<driver>-<shaders>.<extension>": a file about this
 * device, this driver and this build's shaders. Errors: PM_ERR_STATE (PUMICE_CACHE=0),
 * PM_ERR_IO, PM_ERR_ARG. */
PM_MUST_USE pm_result pm_vk_device_cache_path(const pm_vk_device *device, const char *stem, const char *extension,
                                              char *path, size_t capacity);

/* Validation messages seen so far (PUMICE_VALIDATE=1). */
uint32_t pm_vk_validation_messages(void);

#endif /* PM_VK_DEVICE_H */
