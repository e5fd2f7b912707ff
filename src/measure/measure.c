/* measure/measure.c - pm_bench_device() and pm_bench_ops(): what a device can do, and what ops make of it. */
#include "measure/list.h"
#include "measure/roofline.h"

#include "base/alloc.h"
#include "op/attention.h"
#include "op/choice_file.h"
#include "op/matmul.h"
#include "vk/bandwidth.h"
#include "vk/peaks.h"

#include <stdio.h>
#include <string.h>

#define RUNS 5u
#define SCRUB_CPU (UINT64_C(64) << 20)  /* more than caches hold */
#define SCRUB_GPU (UINT64_C(512) << 20)

/* ------------------------------------------------------------------ peaks */

static pm_result measure_device(pm_vk_device *device, pm_bench_peaks *out)
{
    pm_vk_peaks peaks;
    snprintf(out->device, sizeof(out->device), "%s", pm_vk_device_info(device)->name);
    snprintf(out->driver, sizeof(out->driver), "%s", pm_vk_device_info(device)->driver);
    out->is_cpu = pm_vk_device_caps(device)->is_cpu;
    PM_TRY(pm_vk_bandwidths(device, &out->read_bytes_per_s, &out->copy_bytes_per_s));
    PM_TRY(pm_vk_peaks_measure(device, &peaks));
    out->f32_per_s = peaks.f32;
    out->f16_per_s = peaks.f16;
    out->int8_per_s = peaks.int8;
    out->matrix_per_s = peaks.matrix;
    if (peaks.matrix > 0.0)
        snprintf(out->matrix, sizeof(out->matrix), "%ux%ux%u", peaks.shape.m, peaks.shape.n, peaks.shape.k);
    return PM_OK;
}

pm_result pm_bench_device(const char *selector, pm_bench_peaks *out)
{
    pm_vk_device *device = NULL;
    pm_bench_peaks peaks = {0};
    PM_TRY(pm_vk_device_open(selector, false, &device));
    const pm_result result = measure_device(device, &peaks);
    pm_vk_device_close(device);
    PM_TRY(result);
    *out = peaks;
    return PM_OK;
}

/* -------------------------------------------------------------------- ops */

static bool has_matrices(const char *variant)
{
    return strstr(variant, "coopmat") != NULL;
}

static pm_arithmetic arithmetic_of(const pm_check *check)
{
    if (check->op == PM_CHECK_MATMUL)
        switch (pm_matmul_variant_numerics(check->variant)) {
        case PM_MATMUL_INT8: return PM_ARITHMETIC_INT8;
        case PM_MATMUL_MATRIX:
            return has_matrices(pm_matmul_variant(check->variant)) ? PM_ARITHMETIC_MATRIX : PM_ARITHMETIC_F16;
        default: return PM_ARITHMETIC_F32;
        }
    if (check->op == PM_CHECK_ATTENTION && has_matrices(pm_attention_variant(check->variant)))
        return PM_ARITHMETIC_MATRIX;
    return PM_ARITHMETIC_F32;
}

/* A part of the shape that plain C soon computes: the same k, heads and context. */
static pm_check small_part(const pm_check *check)
{
    pm_check part = *check;
    const uint32_t rows_max = check->op == PM_CHECK_MATMUL ? 64 : 5;
    part.rows = part.rows < rows_max ? part.rows : rows_max;
    if (check->op == PM_CHECK_MATMUL || check->op == PM_CHECK_EMBEDDING)
        part.n = part.n < 64 ? part.n : 64;
    return part;
}

static pm_result measure_error(pm_vk_device *device, const pm_check *check, double *error)
{
    const pm_check part = small_part(check);
    pm_check_result result;
    *error = -1.0;
    if (pm_check_lacks(&part, pm_vk_device_caps(device)) != NULL)
        return PM_OK;
    PM_TRY(pm_checks_run(device, &part, 1, true, false, &result));
    *error = result.error;
    return PM_OK;
}

static pm_result measure_row(pm_vk_device *device, const pm_check *check, pm_vk_buffer *scrub, uint32_t runs,
                             const pm_bench_peaks *peaks, pm_bench_row *row)
{
    pm_check_time time;
    *row = (pm_bench_row){.op = pm_check_op_name(check->op), .type = pm_check_type_name(check),
                          .variant = pm_check_variant_name(check),
                          .picked = pm_bench_picked(check, pm_vk_device_caps(device))};
    pm_check_shape(check, row->shape, sizeof(row->shape));
    PM_TRY(pm_check_measure(device, check, scrub, runs, &time));
    row->us = (double)time.ns * 1e-3;
    row->us_min = (double)time.ns_min * 1e-3;
    row->us_max = (double)time.ns_max * 1e-3;
    row->bytes = time.bytes;
    row->flops = time.flops;
    pm_roofline(row, peaks, arithmetic_of(check));
    return measure_error(device, check, &row->error);
}

static pm_result measure_list(pm_vk_device *device, const pm_check_list *list, uint32_t runs,
                              const pm_bench_peaks *peaks, pm_bench_sink *sink, void *context)
{
    const uint64_t wanted = pm_vk_device_caps(device)->is_cpu ? SCRUB_CPU : SCRUB_GPU;
    const uint64_t room = pm_vk_device_free_bytes(device) / 4;
    pm_vk_buffer *scrub = NULL;
    PM_TRY(pm_vk_buffer_create(device, wanted < room ? wanted : room, PM_VK_DEVICE, "scrub", &scrub));
    pm_result result = PM_OK;
    bool more = true;
    for (uint32_t i = 0; i < list->count && result == PM_OK && more; i++) {
        pm_bench_row row;
        result = measure_row(device, &list->checks[i], scrub, runs, peaks, &row);
        if (result == PM_OK)
            more = sink(context, &row);
    }
    pm_vk_buffer_destroy(scrub);
    return result;
}

pm_result pm_bench_ops(const pm_bench_params *params, const pm_bench_peaks *peaks, pm_bench_sink *sink, void *context)
{
    const uint32_t runs = params->runs != 0 ? params->runs : RUNS;
    pm_vk_device *device = NULL;
    pm_choices choices = {0};
    pm_check_list list;
    if (runs > PM_CHECK_RUNS_MAX)
        return pm_fail(PM_ERR_ARG, "%u runs, expected at most %u", runs, PM_CHECK_RUNS_MAX);
    PM_TRY(pm_vk_device_open(params->device, true, &device));
    pm_result result = pm_choices_load(device, &choices);
    pm_vk_device_choose(device, &choices);
    if (result == PM_OK)
        result = pm_bench_list_make(params, pm_vk_device_caps(device), &list);
    if (result == PM_OK) {
        result = measure_list(device, &list, runs, peaks, sink, context);
        pm_free(list.checks);
    }
    pm_vk_device_close(device);
    pm_choices_finish(&choices);
    return result;
}
