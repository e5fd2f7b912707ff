/* vk/peaks.h - the most that a device computes, measured. Floor 1. */
#ifndef PM_VK_PEAKS_H
#define PM_VK_PEAKS_H

#include "vk/device.h"

/* Operations per second, a multiply-add being two; 0 = the device or this build has none. */
typedef struct pm_vk_peaks {
    double f32, f16;               /* multiply-adds (shaders/peak.comp) */
    double int8;                   /* packed dot products of 4 bytes, eight each */
    double matrix;                 /* cooperative matrices f16 x f16 -> f32, the fastest of the device's shapes */
    pm_vk_matrix shape;            /* that shape */
} pm_vk_peaks;

/* Best of five runs each. Errors: PM_ERR_NOMEM, PM_ERR_DEVICE, PM_ERR_LOST, PM_ERR_DEVMEM. */
PM_MUST_USE pm_result pm_vk_peaks_measure(pm_vk_device *device, pm_vk_peaks *out);

#endif /* PM_VK_PEAKS_H */
