/* op/harness.c - what the op tests share. */
#include "op/harness.h"

#include "base/hash.h"
#include "input_value.h"
#include "modules.h"
#include "push_input.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANARY_BYTES 1024u

static pm_vk_device *device;

void harness_ok(pm_result result, const char *call, const char *file, int line)
{
    if (result != PM_OK)
        fail_msg("%s:%d: %s: %s: %s", file, line, call, pm_result_name(result), pm_error_message());
}

__attribute__((constructor)) static void set_filter(void)
{
    const char *pattern = getenv("PUMICE_TEST_FILTER");
    if (pattern != NULL)
        cmocka_set_test_filter(pattern);
}

pm_vk_device *harness_device(void)
{
    if (device == NULL) {
        const size_t modules = test_modules_serve();
        if (modules > 0)
            print_message("%zu modules of PUMICE_TEST_MODULES\n", modules);
        ok(pm_vk_device_open(NULL, false, &device));
        const pm_device_info *info = pm_vk_device_info(device);
        print_message("device %s, %s; seed %llu\n", info->name, info->driver, (unsigned long long)harness_seed());
        const char *lanes = getenv("PUMICE_TEST_LANES"); /* of a subgroup, which tests/CMakeLists.txt asks a driver for */
        if (lanes != NULL && strtoul(lanes, NULL, 10) != info->subgroup_min) {
            print_message("skipped: subgroups of %s lanes: here they have %u\n", lanes, info->subgroup_min);
            exit(77);
        }
    }
    return device;
}

void harness_close(void)
{
    pm_vk_device_close(device);
    device = NULL;
}

int harness_finish(void **state)
{
    (void)state;
    harness_close();
    return 0;
}

uint64_t harness_seed(void)
{
    const char *text = getenv("PUMICE_TEST_SEED");
    return text != NULL ? strtoull(text, NULL, 0) : 20261124;
}

/* ---------------------------------------------------------------- buffers */

static test_buffer make_filled(const void *data, uint64_t bytes)
{
    test_buffer b = {0};
    const uint64_t padded = (bytes + 3) / 4 * 4, all = padded + 2 * CANARY_BYTES;
    uint32_t *words = malloc(all);
    assert_non_null(words);
    for (uint64_t i = 0; i < all / 4; i++)
        words[i] = CANARY_WORD;
    if (data != NULL)
        memcpy((uint8_t *)words + CANARY_BYTES, data, bytes);
    ok(pm_vk_buffer_create(harness_device(), all, PM_VK_DEVICE, "test", &b.buffer));
    ok(pm_vk_upload(harness_device(), pm_vk_buffer_all(b.buffer), words, all));
    b.slice = pm_vk_buffer_slice(b.buffer, CANARY_BYTES, bytes);
    free(words);
    return b;
}

test_buffer buffer_make(uint64_t bytes)
{
    return make_filled(NULL, bytes);
}

test_buffer buffer_from(const void *data, uint64_t bytes)
{
    return make_filled(data, bytes);
}

void buffer_read(const test_buffer *b, void *data)
{
    const uint64_t bytes = b->slice.bytes, padded = (bytes + 3) / 4 * 4, all = padded + 2 * CANARY_BYTES;
    uint32_t *words = malloc(all);
    assert_non_null(words);
    ok(pm_vk_download(harness_device(), words, pm_vk_buffer_all(b->buffer), all));
    for (uint64_t i = 0; i < CANARY_BYTES / 4; i++) {
        if (words[i] != CANARY_WORD)
            fail_msg("the canary before the buffer was written at word %llu", (unsigned long long)i);
        if (words[(CANARY_BYTES + padded) / 4 + i] != CANARY_WORD)
            fail_msg("the canary behind the buffer was written at word %llu", (unsigned long long)i);
    }
    memcpy(data, (uint8_t *)words + CANARY_BYTES, bytes);
    free(words);
}

void buffer_free(test_buffer *b)
{
    pm_vk_buffer_destroy(b->buffer);
    *b = (test_buffer){0};
}

pm_vk_recorder *make_recorder(void)
{
    pm_vk_recorder *recorder = NULL;
    ok(pm_vk_recorder_create(harness_device(), &recorder));
    return recorder;
}

void run_recorder(pm_vk_recorder *recorder)
{
    pm_vk_commands *commands = NULL;
    ok(pm_vk_recorder_end(recorder, &commands));
    ok(pm_vk_commands_run(commands));
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
}

/* ----------------------------------------------------------------- inputs */

static double uniform(uint64_t seed, uint64_t i)
{
    return ((double)(pm_mix64(pm_mix64(seed) ^ i) >> 11) + 0.5) * 0x1p-53;
}

uint32_t input_index(uint64_t seed, uint64_t i, uint32_t limit)
{
    return (uint32_t)(uniform(seed, i) * limit);
}

float input_value(input_kind kind, uint64_t seed, uint64_t i)
{
    return pm_f32_from_bits(
        pm_input_bits(kind, (uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)i, (uint32_t)(i >> 32)));
}

const char *input_name(input_kind kind)
{
    static const char *const names[] = {"normal", "outliers", "zeros", "tiny", "large", "zero blocks", "scales", "masked"};
    return names[kind];
}

float input_at(input_kind kind, uint64_t seed, uint32_t row, uint32_t column)
{
    return input_value(kind, seed, (uint64_t)row << PM_INPUT_ROW_SHIFT | column);
}

void slice_input(pm_slice slice, input_kind kind, uint64_t seed, uint32_t rows, uint32_t columns, uint32_t stride)
{
    assert_true(columns <= 1u << PM_INPUT_ROW_SHIFT && rows <= 65535 && slice.bytes >= (uint64_t)rows * stride * 4);
    const pm_vk_pipeline_key key = {.module = "input", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, 64}},
                                    .push_bytes = sizeof(pm_push_input)};
    const pm_push_input push = {.y = pm_slice_address(slice), .seed_low = (uint32_t)seed,
                                .seed_high = (uint32_t)(seed >> 32), .kind = kind, .columns = columns, .stride = stride};
    pm_vk_dispatch dispatch = {.op = "input", .push = &push, .groups = {(stride + 63) / 64, rows, 1}, .access_count = 1,
                               .access = {{slice, true}}, .bytes = slice.bytes};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_vk_pipeline_get(harness_device(), &key, &dispatch.pipeline));
    ok(pm_vk_record(recorder, &dispatch));
    run_recorder(recorder);
}

test_buffer buffer_input(input_kind kind, uint64_t seed, uint32_t rows, uint32_t columns, uint32_t stride)
{
    test_buffer b = buffer_make((uint64_t)rows * stride * 4);
    slice_input(b.slice, kind, seed, rows, columns, stride);
    return b;
}

void input_fill(float *x, uint64_t count, input_kind kind, uint64_t seed)
{
    for (uint64_t i = 0; i < count; i++)
        x[i] = input_value(kind, seed, i);
}

/* ------------------------------------------------------------- comparison */

static double worst_seen, worst_new, error_squares, want_squares;

void compare(const float *got, const double *want, const double *scale, uint64_t count, double rtol, double atol,
             const char *what)
{
    double worst = -1.0, errors = 0.0, wants = 0.0;
    uint64_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        const double size = scale != NULL ? scale[i] : fabs(want[i]);
        const double error = fabs((double)got[i] - want[i]);
        const double share = isfinite(got[i]) ? error / (atol + rtol * size) : INFINITY;
        if (share > worst) {
            worst = share;
            at = i;
        }
        errors += error * error;
        wants += want[i] * want[i];
        if (isfinite(got[i]) && size > 0.0 && error > atol && (error - atol) / size > worst_new)
            worst_new = (error - atol) / size;
    }
    worst_seen = worst_new > worst_seen ? worst_new : worst_seen;
    if (worst > 1.0)
        fail_msg("%s: element %llu of %llu is %.9g, expected %.9g: %.2f times the bound; NMSE %.2e", what,
                 (unsigned long long)at, (unsigned long long)count, (double)got[at], want[at], worst,
                 wants > 0.0 ? errors / wants : errors);
    error_squares += errors;
    want_squares += wants;
}

/* The worst |x - want| / scale; *at: where. */
static double worst_share(const float *x, const double *want, const double *scale, uint64_t count, uint64_t *at)
{
    double worst = 0.0;
    for (uint64_t i = 0; i < count; i++) {
        const double size = scale != NULL ? scale[i] : fabs(want[i]), error = fabs((double)x[i] - want[i]);
        if (size > 0.0 && error / size > worst) {
            worst = error / size;
            *at = i;
        }
    }
    return worst;
}

void compare_rule(const float *got, const float *trusted, const double *want, const double *scale, uint64_t count,
                  double slack, const char *what)
{
    uint64_t at = 0, trusted_at = 0;
    const double worst = worst_share(got, want, scale, count, &at);
    const double most = 2.0 * worst_share(trusted, want, scale, count, &trusted_at) + slack;
    if (worst > most)
        fail_msg("%s: element %llu of %llu errs by %.2e of the terms' sum; twice the trusted implementation's worst is %.2e",
                 what, (unsigned long long)at, (unsigned long long)count, worst, most);
}

double compare_worst(void)
{
    const double worst = worst_new;
    worst_new = 0.0;
    return worst;
}

void compare_report(const char *test)
{
    print_message("%s: worst error %.2e of the terms' sum, NMSE %.1e\n", test, worst_seen,
                  want_squares > 0.0 ? error_squares / want_squares : error_squares);
    worst_seen = error_squares = want_squares = 0.0;
}
