/* op/vk_common.h - what the tests of src/vk share: a device for the whole program, and
 * buffers that run y = times y + x + add in wrapping u32. */
#ifndef PM_TEST_VK_COMMON_H
#define PM_TEST_VK_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "push_vk_test.h"
#include "vk/record.h"
#include "vk/upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failure prints the library's message. */
#define ok(call) assert_ok((call), #call, __LINE__)

static inline void assert_ok(pm_result result, const char *call, int line)
{
    if (result != PM_OK)
        fail_msg("line %d: %s: %s: %s", line, call, pm_result_name(result), pm_error_message());
}

/* The message of the last failure has this text. */
static inline void assert_says(const char *text)
{
    if (strstr(pm_error_message(), text) == NULL)
        fail_msg("'%s' is not in '%s'", text, pm_error_message());
}

static inline pm_vk_buffer *make_buffer(pm_vk_device *device, uint64_t bytes, pm_vk_memory memory)
{
    pm_vk_buffer *buffer = NULL;
    ok(pm_vk_buffer_create(device, bytes, memory, "test", &buffer));
    return buffer;
}

static inline const pm_vk_pipeline *mix_pipeline(pm_vk_device *device, uint32_t add)
{
    const pm_vk_pipeline *pipeline = NULL;
    const pm_vk_pipeline_key key = {.module = "vk_test",
                                    .spec_count = 2,
                                    .spec = {{PM_SPEC_LOCAL_X, 32}, {PM_SPEC_VK_TEST_ADD, add}},
                                    .push_bytes = sizeof(pm_push_vk_test)};
    ok(pm_vk_pipeline_get(device, &key, &pipeline));
    return pipeline;
}

/* y = times y + x + add over the slices' u32s, recorded. */
static inline void record_mix(pm_vk_recorder *recorder, pm_slice x, pm_slice y, uint32_t times, uint32_t add)
{
    const uint32_t count = (uint32_t)(y.bytes / 4);
    const pm_push_vk_test push = {pm_slice_address(x), pm_slice_address(y), count, times};
    const pm_vk_dispatch dispatch = {.op = "vk_test",
                                     .pipeline = mix_pipeline(pm_vk_recorder_device(recorder), add),
                                     .push = &push,
                                     .groups = {(count + 31) / 32, 1, 1},
                                     .access_count = 3,
                                     .access = {{x, false}, {y, false}, {y, true}},
                                     .bytes = 3 * y.bytes,
                                     .flops = 3 * count};
    ok(pm_vk_record(recorder, &dispatch));
}

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif /* PM_TEST_VK_COMMON_H */
