/* vk/upload.h - host bytes to device memory through one staging ring. Floor 1. */
#ifndef PM_VK_UPLOAD_H
#define PM_VK_UPLOAD_H

#include "vk/buffer.h"

/* Copies bytes of host memory (a mapped file, say) to dst, in pieces, and waits. Where dst is mapped the host writes at
 * once: nothing that uses it may be in flight.
 * Errors: PM_ERR_DEVMEM, PM_ERR_DEVICE, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_vk_upload(pm_vk_device *device, pm_slice dst, const void *data, uint64_t bytes);

/* The other way; for tests and dumps. */
PM_MUST_USE pm_result pm_vk_download(pm_vk_device *device, void *data, pm_slice src, uint64_t bytes);

#endif /* PM_VK_UPLOAD_H */
