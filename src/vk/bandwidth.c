/* vk/bandwidth.c - the device's memory bandwidth, measured. */
#include "vk/bandwidth.h"

#include "base/clock.h"
#include "push_bandwidth.h"
#include "vk/record.h"

#define BYTES_MAX (UINT64_C(256) << 20)
#define LOCAL_X 64u
#define PER_LANE 64u
#define CHUNK (LOCAL_X * PER_LANE * 16u) /* bytes of one workgroup */
#define RUN_NS 20000000.0          /* a run takes at least this long, so that its start is no part of it */
#define PASSES_MAX 128u

/* One pass moves all bytes of x: reads them, or copies one half over the other. */
static pm_result record_pass(pm_vk_recorder *recorder, pm_slice x, pm_slice y, bool copy)
{
    const uint64_t half = x.bytes / 2;
    if (copy)
        return pm_vk_record_copy(recorder, pm_slice_part(x, 0, half), pm_slice_part(x, half, half));
    const pm_vk_pipeline_key key = {.module = "bandwidth", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, LOCAL_X}},
                                    .push_bytes = sizeof(pm_push_bandwidth)};
    const pm_push_bandwidth push = {.x = pm_slice_address(x), .y = pm_slice_address(y), .per_lane = PER_LANE};
    pm_vk_dispatch dispatch = {.op = "bandwidth", .push = &push, .groups = {(uint32_t)(x.bytes / CHUNK), 1, 1},
                               .access_count = 2, .access = {{x, false}, {y, true}}, .bytes = x.bytes};
    PM_TRY(pm_vk_pipeline_get(pm_vk_recorder_device(recorder), &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}

/* Least time of `runs` runs of `passes` passes, after one to warm up. */
static pm_result time_passes(pm_vk_device *device, pm_slice x, pm_slice y, bool copy, uint32_t passes, int runs,
                             double *ns)
{
    pm_vk_recorder *recorder = NULL;
    pm_vk_commands *commands = NULL;
    PM_TRY(pm_vk_recorder_create(device, &recorder));
    pm_result result = PM_OK;
    for (uint32_t i = 0; i < passes && result == PM_OK; i++)
        result = record_pass(recorder, x, y, copy);
    if (result == PM_OK)
        result = pm_vk_recorder_end(recorder, &commands);
    for (int i = 0; i <= runs && result == PM_OK; i++) {
        const uint64_t start_ns = pm_clock_ns();
        result = pm_vk_commands_run(commands);
        const double run_ns = (double)(pm_clock_ns() - start_ns + 1);
        *ns = i <= 1 || run_ns < *ns ? run_ns : *ns;
    }
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    return result;
}

static pm_result measure(pm_vk_device *device, pm_slice x, pm_slice y, bool copy, double *bytes_per_second)
{
    double ns = 1.0;
    PM_TRY(time_passes(device, x, y, copy, 1, 1, &ns));
    const uint32_t passes = ns * PASSES_MAX < RUN_NS ? PASSES_MAX : (uint32_t)(RUN_NS / ns) + 1;
    PM_TRY(time_passes(device, x, y, copy, passes, 5, &ns));
    *bytes_per_second = (double)x.bytes * passes * 1e9 / ns;
    return PM_OK;
}

pm_result pm_vk_bandwidths(pm_vk_device *device, double *read, double *copy)
{
    const uint64_t groups_max = pm_vk_device_caps(device)->groups_max[0];
    uint64_t groups = pm_vk_device_free_bytes(device) / 4 / CHUNK;
    groups = groups < BYTES_MAX / CHUNK ? groups : BYTES_MAX / CHUNK;
    groups = groups < groups_max ? groups : groups_max;
    if (groups == 0)
        return pm_fail(PM_ERR_DEVMEM, "bandwidth: no device memory left to read");
    pm_vk_buffer *x = NULL, *y = NULL;
    pm_result result = pm_vk_buffer_create(device, groups * CHUNK, PM_VK_DEVICE, "bandwidth", &x);
    if (result == PM_OK)
        result = pm_vk_buffer_create(device, groups * 4, PM_VK_DEVICE, "bandwidth", &y);
    if (result == PM_OK)
        result = measure(device, pm_vk_buffer_all(x), pm_vk_buffer_all(y), false, read);
    if (result == PM_OK)
        result = measure(device, pm_vk_buffer_all(x), pm_vk_buffer_all(y), true, copy);
    pm_vk_buffer_destroy(x);
    pm_vk_buffer_destroy(y);
    return result;
}

pm_result pm_vk_bandwidth(pm_vk_device *device, double *bytes_per_second)
{
    double read = 0.0, copy = 0.0;
    PM_TRY(pm_vk_bandwidths(device, &read, &copy));
    *bytes_per_second = read > copy ? read : copy;
    return PM_OK;
}
