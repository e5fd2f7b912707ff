/* engine/devices.c - the devices that an engine can run on. */
#include "pumice.h"

#include "vk/device.h"

pm_result pm_devices_list(pm_device_info *infos, size_t capacity, size_t *count)
{
    return pm_vk_devices_list(infos, capacity, count);
}
