/* vk/peaks.c - the most that a device computes, measured. */
#include "vk/peaks.h"

#include "base/clock.h"
#include "push_peak.h"
#include "vk/record.h"

#define RUN_NS 20000000.0          /* a run takes at least this long, so that its start is no part of it */
#define TURNS_FIRST 32u
#define TURNS_MAX 60000u           /* CPU drivers may end loops after 65,535 */
#define RUNS 5
#define SUBGROUPS 4u               /* of a workgroup that multiplies matrices */

/* One kernel and what one turn of all its lanes computes. */
typedef struct peak_kernel {
    pm_vk_pipeline_key key;
    uint32_t groups;
    double turn_ops;
    float a, b;
} peak_kernel;

static pm_result time_run(pm_vk_commands *commands, int runs, double *ns)
{
    for (int i = 0; i <= runs; i++) { /* the first warms up */
        const uint64_t start_ns = pm_clock_ns();
        PM_TRY(pm_vk_commands_run(commands));
        const double run_ns = (double)(pm_clock_ns() - start_ns + 1);
        *ns = i <= 1 || run_ns < *ns ? run_ns : *ns;
    }
    return PM_OK;
}

static pm_result time_turns(pm_vk_device *device, const peak_kernel *kernel, pm_slice y, uint32_t turns, int runs,
                            double *ns)
{
    const pm_push_peak push = {.y = pm_slice_address(y), .a = kernel->a, .b = kernel->b, .turns = turns};
    pm_vk_dispatch dispatch = {.op = "peak", .push = &push, .groups = {kernel->groups, 1, 1}, .access_count = 1,
                               .access = {{y, true}}, .flops = (uint64_t)(kernel->turn_ops * turns)};
    pm_vk_recorder *recorder = NULL;
    pm_vk_commands *commands = NULL;
    PM_TRY(pm_vk_recorder_create(device, &recorder));
    pm_result result = pm_vk_pipeline_get(device, &kernel->key, &dispatch.pipeline);
    if (result == PM_OK)
        result = pm_vk_record(recorder, &dispatch);
    if (result == PM_OK)
        result = pm_vk_recorder_end(recorder, &commands);
    if (result == PM_OK)
        result = time_run(commands, runs, ns);
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    return result;
}

static pm_result measure(pm_vk_device *device, const peak_kernel *kernel, pm_slice y, double *per_s)
{
    double ns = 1.0;
    PM_TRY(time_turns(device, kernel, y, TURNS_FIRST, 1, &ns));
    const double wanted = RUN_NS / ns * TURNS_FIRST;
    const uint32_t turns = wanted < TURNS_FIRST ? TURNS_FIRST : wanted < TURNS_MAX ? (uint32_t)wanted : TURNS_MAX;
    PM_TRY(time_turns(device, kernel, y, turns, RUNS, &ns));
    const double rate = kernel->turn_ops * turns * 1e9 / ns;
    *per_s = rate > *per_s ? rate : *per_s;
    return PM_OK;
}

/* ops: of one chain's number in one step. */
static pm_result measure_lanes(pm_vk_device *device, pm_slice y, const char *module, double ops, double *per_s)
{
    const pm_vk_caps *caps = pm_vk_device_caps(device);
    const uint32_t lanes = caps->is_cpu ? 64 : caps->workgroup_max < 256 ? caps->workgroup_max : 256;
    const uint32_t groups = caps->is_cpu ? 64 : 4096;
    const peak_kernel kernel = {
        .key = {.module = module, .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, lanes}},
                .push_bytes = sizeof(pm_push_peak)},
        .groups = groups,
        .turn_ops = ops * 4 * PM_PEAK_CHAINS * PM_PEAK_UNROLL * lanes * groups,
        .a = 0.5f, .b = 0.25f};    /* x goes to 1/2 and stays */
    return pm_vk_module_exists(module) ? measure(device, &kernel, y, per_s) : PM_OK;
}

/* CPU drivers unroll matrices, which takes long to compile: there the first shape speaks for all. */
static pm_result measure_matrices(pm_vk_device *device, pm_slice y, pm_vk_peaks *out)
{
    const pm_vk_caps *caps = pm_vk_device_caps(device);
    const uint32_t lanes = pm_vk_matrix_lanes(caps), groups = caps->is_cpu ? 16 : 2048;
    for (uint32_t i = 0; i < caps->matrix_count && i < (caps->is_cpu ? 1 : PM_VK_MATRICES_MAX); i++) {
        const pm_vk_matrix *m = &caps->matrix[i];
        const double before = out->matrix;
        const peak_kernel kernel = {
            .key = {.module = "peak_coopmat", .spec_count = 4, .push_bytes = sizeof(pm_push_peak), .subgroup = lanes,
                    .spec = {{PM_SPEC_LOCAL_X, lanes * SUBGROUPS}, {PM_SPEC_OP, m->m}, {PM_SPEC_OP + 1, m->n},
                             {PM_SPEC_OP + 2, m->k}}},
            .groups = groups,
            .turn_ops = 2.0 * m->m * m->n * m->k * PM_PEAK_MATRICES * SUBGROUPS * groups,
            .a = 0x1p-6f, .b = 1.0f};
        if (!pm_vk_module_exists("peak_coopmat"))
            return PM_OK;
        PM_TRY(measure(device, &kernel, y, &out->matrix));
        out->shape = out->matrix > before ? *m : out->shape;
    }
    return PM_OK;
}

pm_result pm_vk_peaks_measure(pm_vk_device *device, pm_vk_peaks *out)
{
    pm_vk_buffer *y = NULL;
    pm_vk_peaks peaks = {0};
    PM_TRY(pm_vk_buffer_create(device, 4096, PM_VK_DEVICE, "peaks", &y));
    const pm_slice slice = pm_vk_buffer_all(y);
    pm_result result = measure_lanes(device, slice, "peak_f32", 2.0, &peaks.f32);
    if (result == PM_OK && (pm_vk_device_caps(device)->bits & PM_CAP_BIT(F16)) != 0)
        result = measure_lanes(device, slice, "peak_f16", 2.0, &peaks.f16);
    if (result == PM_OK)
        result = measure_lanes(device, slice, "peak_dot", 8.0, &peaks.int8);
    if (result == PM_OK)
        result = measure_matrices(device, slice, &peaks);
    pm_vk_buffer_destroy(y);
    PM_TRY(result);
    *out = peaks;
    return PM_OK;
}
