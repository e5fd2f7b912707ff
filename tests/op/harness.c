/* op/harness.c - what the op tests share. */
#include "op/harness.h"

#include "base/hash.h"

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

pm_vk_device *harness_device(void)
{
    if (device == NULL) {
        ok(pm_vk_device_open(NULL, false, &device));
        const pm_device_info *info = pm_vk_device_info(device);
        print_message("device %s, %s; seed %llu\n", info->name, info->driver, (unsigned long long)harness_seed());
    }
    return device;
}

void harness_close(void)
{
    pm_vk_device_close(device);
    device = NULL;
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
    const double normal = sqrt(-2.0 * log(uniform(seed, 2 * i))) * cos(6.283185307179586 * uniform(seed, 2 * i + 1));
    switch (kind) {
    case INPUT_OUTLIERS: return (float)(normal * (i % 64 == 7 ? 100.0 : 1.0));
    case INPUT_ZEROS: return 0.0f;
    case INPUT_TINY: return (float)(normal * 1e-38);
    case INPUT_LARGE: return normal > 0.0 ? 65504.0f : -65504.0f;
    default: return (float)normal;
    }
}

void input_fill(float *x, uint64_t count, input_kind kind, uint64_t seed)
{
    for (uint64_t i = 0; i < count; i++)
        x[i] = input_value(kind, seed, i);
}

/* ------------------------------------------------------------- comparison */

static double worst_seen;

void compare(const float *got, const double *want, const double *scale, uint64_t count, double rtol, double atol,
             const char *what)
{
    double worst = -1.0;
    uint64_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        const double size = scale != NULL ? scale[i] : fabs(want[i]);
        const double error = fabs((double)got[i] - want[i]);
        const double share = isfinite(got[i]) ? error / (atol + rtol * size) : INFINITY;
        if (share > worst) {
            worst = share;
            at = i;
        }
        if (isfinite(got[i]) && size > 0.0 && error > atol && (error - atol) / size > worst_seen)
            worst_seen = (error - atol) / size;
    }
    if (worst > 1.0)
        fail_msg("%s: element %llu of %llu is %.9g, expected %.9g: %.2f times the bound", what, (unsigned long long)at,
                 (unsigned long long)count, (double)got[at], want[at], worst);
}

void compare_report(const char *test)
{
    print_message("%s: worst error %.2e of the terms' sum\n", test, worst_seen);
    worst_seen = 0.0;
}
