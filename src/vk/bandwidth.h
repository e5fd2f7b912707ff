/* vk/bandwidth.h - the device's memory bandwidth, measured. Floor 1. */
#ifndef PM_VK_BANDWIDTH_H
#define PM_VK_BANDWIDTH_H

#include "vk/device.h"

/* Bytes per second: the better of a reading kernel and a copy, best of five each, over
 * 256 MiB (less where memory is short). Errors: PM_ERR_DEVMEM, PM_ERR_NOMEM, PM_ERR_DEVICE,
 * PM_ERR_LOST. */
PM_MUST_USE pm_result pm_vk_bandwidth(pm_vk_device *device, double *bytes_per_second);

/* The two of them apart; a copy's bytes are those read and those written. Likewise. */
PM_MUST_USE pm_result pm_vk_bandwidths(pm_vk_device *device, double *read, double *copy);

#endif /* PM_VK_BANDWIDTH_H */
