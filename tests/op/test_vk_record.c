/* Recording and replaying: order, barriers, segments, copies, the profile. */
#include "op/vk_common.h"

#include "base/alloc.h"

#define WORDS 4096u
#define PARTS 8u
#define STEPS 200u

static pm_vk_device *device;

static int open_device(void **state)
{
    (void)state;
    ok(pm_vk_device_open(NULL, true, &device));
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    pm_vk_device_close(device);
    return 0;
}

static uint64_t seed(void)
{
    const char *text = getenv("PUMICE_TEST_SEED");
    const uint64_t value = text != NULL ? strtoull(text, NULL, 0) : 1;
    printf("PUMICE_TEST_SEED=%llu\n", (unsigned long long)value);
    return value;
}

/* A random program of mixes and copies over overlapping parts of two buffers gives what
 * the host gives when it runs the steps one after the other, each time it is replayed. */
static void random_programs_run_in_order(void **state)
{
    (void)state;
    uint64_t random = seed();
    pm_vk_buffer *buffers[2] = {make_buffer(device, WORDS * 4, PM_VK_DEVICE), make_buffer(device, WORDS * 4, PM_VK_DEVICE)};
    static uint32_t host[2][WORDS], got[WORDS];
    for (uint32_t i = 0; i < 2 * WORDS; i++)
        host[i / WORDS][i % WORDS] = (uint32_t)next_random(&random);
    for (int b = 0; b < 2; b++)
        ok(pm_vk_upload(device, pm_vk_buffer_all(buffers[b]), host[b], WORDS * 4));

    struct { uint32_t from, to, x, y, count, times, add; bool copy; } steps[STEPS];
    pm_vk_recorder *recorder = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    for (uint32_t s = 0; s < STEPS; s++) {
        const uint64_t r = next_random(&random);
        steps[s].from = r & 1;
        steps[s].to = r >> 1 & 1;
        steps[s].copy = (r >> 2 & 7) == 0;
        steps[s].count = 64 + (uint32_t)(r >> 8 & 511);
        steps[s].x = (uint32_t)(r >> 20) % (WORDS - steps[s].count);
        steps[s].y = (uint32_t)(r >> 36) % (WORDS - steps[s].count);
        steps[s].times = (uint32_t)(r >> 50 & 7) | 1;
        steps[s].add = (uint32_t)(r >> 56 & 3);
        if (steps[s].from == steps[s].to && steps[s].x < steps[s].y + steps[s].count &&
            steps[s].y < steps[s].x + steps[s].count)
            steps[s].from = !steps[s].to; /* no dispatch races with itself */
        const pm_slice x = pm_vk_buffer_slice(buffers[steps[s].from], steps[s].x * 4, steps[s].count * 4);
        const pm_slice y = pm_vk_buffer_slice(buffers[steps[s].to], steps[s].y * 4, steps[s].count * 4);
        if (steps[s].copy)
            ok(pm_vk_record_copy(recorder, y, x));
        else
            record_mix(recorder, x, y, steps[s].times, steps[s].add);
        if ((r >> 60 & 3) == 0)
            pm_vk_record_segment(recorder);
    }
    pm_vk_commands *commands = NULL;
    ok(pm_vk_recorder_end(recorder, &commands));
    assert_int_equal(pm_vk_commands_dispatches(commands), STEPS);

    for (int run = 0; run < 3; run++) {
        ok(pm_vk_commands_run(commands));
        for (uint32_t s = 0; s < STEPS; s++)
            for (uint32_t i = 0; i < steps[s].count; i++) {
                const uint32_t x = host[steps[s].from][steps[s].x + i];
                uint32_t *y = &host[steps[s].to][steps[s].y + i];
                *y = steps[s].copy ? x : steps[s].times * *y + x + steps[s].add;
            }
        for (int b = 0; b < 2; b++) {
            ok(pm_vk_download(device, got, pm_vk_buffer_all(buffers[b]), WORDS * 4));
            assert_memory_equal(got, host[b], sizeof(got));
        }
    }
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(buffers[0]);
    pm_vk_buffer_destroy(buffers[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_programs_run_in_order),
    };
    return cmocka_run_group_tests_name("vk_record", tests, open_device, close_device);
}
