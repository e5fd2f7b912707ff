/* vk/bandwidth.c - the device's memory bandwidth, measured. */
#include "vk/bandwidth.h"

#include "base/clock.h"
#include "push_bandwidth.h"
#include "vk/record.h"

#define BYTES_MAX (UINT64_C(256) << 20)
#define LOCAL_X 64u
#define PER_LANE 64u
#define CHUNK (LOCAL_X * PER_LANE * 16u) /* bytes of one workgroup */

static pm_result record(pm_vk_recorder *recorder, pm_slice x, pm_slice y)
{
    const pm_vk_pipeline_key key = {.module = "bandwidth", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, LOCAL_X}},
                                    .push_bytes = sizeof(pm_push_bandwidth)};
    const pm_push_bandwidth push = {.x = pm_slice_address(x), .y = pm_slice_address(y), .per_lane = PER_LANE};
    pm_vk_dispatch dispatch = {.op = "bandwidth", .push = &push, .groups = {(uint32_t)(x.bytes / CHUNK), 1, 1},
                               .access_count = 2, .access = {{x, false}, {y, true}}, .bytes = x.bytes};
    PM_TRY(pm_vk_pipeline_get(pm_vk_recorder_device(recorder), &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}

static pm_result measure(pm_vk_commands *commands, uint64_t bytes, double *best)
{
    *best = 0.0;
    for (int i = 0; i < 6; i++) { /* the first warms up */
        const uint64_t start_ns = pm_clock_ns();
        PM_TRY(pm_vk_commands_run(commands));
        const double rate = (double)bytes * 1e9 / (double)(pm_clock_ns() - start_ns + 1);
        *best = i > 0 && rate > *best ? rate : *best;
    }
    return PM_OK;
}

pm_result pm_vk_bandwidth(pm_vk_device *device, double *bytes_per_second)
{
    uint64_t bytes = pm_vk_device_free_bytes(device) / 4;
    bytes = (bytes < BYTES_MAX ? bytes : BYTES_MAX) / CHUNK * CHUNK;
    if (bytes == 0)
        return pm_fail(PM_ERR_DEVMEM, "bandwidth: no device memory left to read");
    pm_vk_buffer *x = NULL, *y = NULL;
    pm_vk_recorder *recorder = NULL;
    pm_vk_commands *commands = NULL;
    double best = 0.0;
    pm_result result = pm_vk_buffer_create(device, bytes, PM_VK_DEVICE, "bandwidth", &x);
    if (result == PM_OK)
        result = pm_vk_buffer_create(device, bytes / CHUNK * 4, PM_VK_DEVICE, "bandwidth", &y);
    if (result == PM_OK)
        result = pm_vk_recorder_create(device, &recorder);
    if (result == PM_OK)
        result = record(recorder, pm_vk_buffer_all(x), pm_vk_buffer_all(y));
    if (result == PM_OK)
        result = pm_vk_recorder_end(recorder, &commands);
    if (result == PM_OK)
        result = measure(commands, bytes, &best);
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(x);
    pm_vk_buffer_destroy(y);
    if (result == PM_OK)
        *bytes_per_second = best;
    return result;
}
