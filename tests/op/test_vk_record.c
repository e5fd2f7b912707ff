/* Recording and replaying: order, barriers, segments, copies, the profile. */
#include "op/vk_common.h"

#include "base/alloc.h"
#include "vk/bandwidth.h"

#define WORDS 4096u
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

/* A random program of mixes, copies and writes over overlapping parts of two buffers gives what
 * the host gives when it runs the steps one after the other, each time it is replayed. */
static void random_programs_run_in_order(void **state)
{
    (void)state;
    uint64_t random = seed();
    pm_vk_buffer *buffers[2] = {make_buffer(device, WORDS * 4, PM_VK_DEVICE), make_buffer(device, WORDS * 4, PM_VK_DEVICE)};
    static uint32_t host[2][WORDS], got[WORDS], words[WORDS], written[WORDS];
    for (uint32_t i = 0; i < 2 * WORDS; i++)
        host[i / WORDS][i % WORDS] = (uint32_t)next_random(&random);
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = written[i] = (uint32_t)next_random(&random);
    for (int b = 0; b < 2; b++)
        ok(pm_vk_upload(device, pm_vk_buffer_all(buffers[b]), host[b], WORDS * 4));

    struct { uint32_t from, to, x, y, count, times, add; bool copy, write; } steps[STEPS];
    pm_vk_recorder *recorder = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    for (uint32_t s = 0; s < STEPS; s++) {
        const uint64_t r = next_random(&random);
        steps[s].from = r & 1;
        steps[s].to = r >> 1 & 1;
        steps[s].copy = (r >> 2 & 7) == 0;
        steps[s].write = (r >> 2 & 7) == 1;
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
        else if (steps[s].write)
            ok(pm_vk_record_write(recorder, y, &words[steps[s].x]));
        else
            record_mix(recorder, x, y, steps[s].times, steps[s].add);
        if ((r >> 60 & 3) == 0)
            pm_vk_record_segment(recorder);
    }
    pm_vk_commands *commands = NULL;
    ok(pm_vk_recorder_end(recorder, &commands));
    assert_int_equal(pm_vk_commands_dispatches(commands), STEPS);
    memset(words, 0, sizeof(words)); /* they have been read */

    for (int run = 0; run < 3; run++) {
        ok(pm_vk_commands_run(commands));
        for (uint32_t s = 0; s < STEPS; s++)
            for (uint32_t i = 0; i < steps[s].count; i++) {
                const uint32_t x = steps[s].write ? written[steps[s].x + i] : host[steps[s].from][steps[s].x + i];
                uint32_t *y = &host[steps[s].to][steps[s].y + i];
                *y = steps[s].copy || steps[s].write ? x : steps[s].times * *y + x + steps[s].add;
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

static pm_vk_commands *finish(pm_vk_recorder *recorder)
{
    pm_vk_commands *commands = NULL;
    ok(pm_vk_recorder_end(recorder, &commands));
    return commands;
}

static void barriers_stand_only_where_ranges_overlap(void **state)
{
    (void)state;
    pm_vk_buffer *x = make_buffer(device, 4096, PM_VK_DEVICE), *y = make_buffer(device, 4096, PM_VK_DEVICE);
    pm_vk_recorder *recorder = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    for (uint32_t i = 0; i < 8; i++) /* eight disjoint parts: no barrier */
        record_mix(recorder, pm_vk_buffer_slice(x, 0, 512), pm_vk_buffer_slice(y, i * 512, 512), 1, i);
    record_mix(recorder, pm_vk_buffer_slice(y, 0, 512), pm_vk_buffer_slice(x, 512, 512), 1, 0); /* reads y: one */
    record_mix(recorder, pm_vk_buffer_slice(y, 0, 512), pm_vk_buffer_slice(x, 1024, 512), 1, 0); /* reads y: none */
    record_mix(recorder, pm_vk_buffer_slice(x, 0, 512), pm_vk_buffer_slice(y, 508, 512), 1, 0); /* 4 bytes of it: one */
    pm_vk_commands *commands = finish(recorder);
    assert_int_equal(pm_vk_commands_dispatches(commands), 11);
    assert_int_equal(pm_vk_commands_barriers(commands), 2);
    ok(pm_vk_commands_run(commands));
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(x);
    pm_vk_buffer_destroy(y);
}

static void replay_allocates_nothing(void **state)
{
    (void)state;
    pm_vk_buffer *x = make_buffer(device, 4096, PM_VK_DEVICE), *y = make_buffer(device, 4096, PM_VK_READBACK);
    pm_vk_recorder *recorder = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    for (uint32_t i = 0; i < 20; i++) {
        record_mix(recorder, pm_vk_buffer_all(x), pm_vk_buffer_all(y), 3, i);
        pm_vk_record_segment(recorder);
    }
    pm_vk_commands *commands = finish(recorder);
    pm_vk_recorder_destroy(recorder);
    const uint64_t before = pm_alloc_count();
    uint32_t expected = 0;
    for (int run = 0; run < 10; run++) {
        ok(pm_vk_commands_run(commands));
        for (uint32_t i = 0; i < 20; i++)
            expected = 3 * expected + i;
        assert_int_equal(((uint32_t *)pm_slice_host(pm_vk_buffer_all(y)))[1023], expected);
    }
    assert_int_equal(pm_alloc_count(), before);
    pm_vk_commands_destroy(commands);
    pm_vk_buffer_destroy(x);
    pm_vk_buffer_destroy(y);
}

/* A recorder is empty after its end, and used again; empty commands run. */
static void recorders_are_used_again(void **state)
{
    (void)state;
    pm_vk_buffer *x = make_buffer(device, 4096, PM_VK_DEVICE), *y = make_buffer(device, 4096, PM_VK_READBACK);
    pm_vk_recorder *recorder = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    pm_vk_record_segment(recorder); /* nothing before it: no segment */
    pm_vk_commands *empty = finish(recorder);
    assert_int_equal(pm_vk_commands_dispatches(empty), 0);
    ok(pm_vk_commands_run(empty));
    record_mix(recorder, pm_vk_buffer_all(x), pm_vk_buffer_all(y), 1, 7);
    pm_vk_commands *one = finish(recorder);
    record_mix(recorder, pm_vk_buffer_all(x), pm_vk_buffer_all(y), 2, 0);
    pm_vk_commands *two = finish(recorder);
    assert_int_equal(pm_vk_commands_dispatches(one), 1);
    assert_int_equal(pm_vk_commands_dispatches(two), 1);
    ok(pm_vk_commands_run(one));
    ok(pm_vk_commands_run(two));
    ok(pm_vk_commands_run(empty));
    assert_int_equal(*(uint32_t *)pm_slice_host(pm_vk_buffer_all(y)), 14);
    pm_vk_commands_destroy(one);
    pm_vk_commands_destroy(two);
    pm_vk_commands_destroy(empty);
    pm_vk_commands_destroy(NULL);
    pm_vk_recorder_destroy(recorder);
    pm_vk_recorder_destroy(NULL);
    pm_vk_buffer_destroy(x);
    pm_vk_buffer_destroy(y);
}

static void grids_outside_the_limits_are_refused(void **state)
{
    (void)state;
    pm_vk_buffer *x = make_buffer(device, 64, PM_VK_DEVICE);
    pm_vk_recorder *recorder = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    const pm_push_vk_test push = {0};
    const uint32_t *limit = pm_vk_device_caps(device)->groups_max;
    for (int i = 0; i < 6; i++) {
        pm_vk_dispatch dispatch = {.op = "too.big", .pipeline = mix_pipeline(device, 0), .push = &push, .groups = {1, 1, 1}};
        if (i >= 3 && limit[i - 3] == UINT32_MAX)
            continue;
        dispatch.groups[i % 3] = i < 3 ? 0 : limit[i - 3] + 1;
        assert_int_equal(pm_vk_record(recorder, &dispatch), PM_ERR_UNSUP);
        assert_says("too.big: a grid of ");
    }
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(x);
}

/* How submissions end by time is in test_vk_submit.c, with times that it makes up. */
static void tiny_segments_share_a_submission(void **state)
{
    (void)state;
    pm_vk_buffer *x = make_buffer(device, 128, PM_VK_DEVICE), *y = make_buffer(device, 128, PM_VK_DEVICE);
    pm_vk_recorder *recorder = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    for (uint32_t i = 0; i < 30; i++) {
        record_mix(recorder, pm_vk_buffer_all(x), pm_vk_buffer_all(y), 1, 1);
        pm_vk_record_segment(recorder);
    }
    pm_vk_commands *commands = finish(recorder);
    assert_int_equal(pm_vk_commands_submissions(commands), pm_vk_device_caps(device)->is_cpu ? 1 : 30);
    for (int run = 0; run < 3; run++)
        ok(pm_vk_commands_run(commands));
    assert_in_range(pm_vk_commands_submissions(commands), 1, 29); /* one, unless the machine stands still */
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(x);
    pm_vk_buffer_destroy(y);
}

static void the_profile_counts_every_dispatch(void **state)
{
    (void)state;
    pm_profile_row rows[64];
    size_t count = 0;
    if (!(pm_vk_device_caps(device)->bits & PM_CAP_BIT(TIMESTAMP))) {
        assert_int_equal(pm_vk_profile(device, rows, 64, &count), PM_ERR_STATE);
        return;
    }
    pm_vk_device *own = NULL;
    ok(pm_vk_device_open(NULL, true, &own));
    pm_vk_buffer *x = make_buffer(own, 1 << 15, PM_VK_DEVICE), *y = make_buffer(own, 1 << 15, PM_VK_DEVICE);
    pm_vk_recorder *recorder = NULL;
    ok(pm_vk_recorder_create(own, &recorder));
    for (uint32_t i = 0; i < 100; i++) /* more than are read from the device at once */
        record_mix(recorder, pm_vk_buffer_all(x), pm_vk_buffer_all(y), 1, 1);
    ok(pm_vk_record_copy(recorder, pm_vk_buffer_all(x), pm_vk_buffer_all(y)));
    pm_vk_commands *commands = finish(recorder);
    for (int run = 0; run < 3; run++)
        ok(pm_vk_commands_run(commands));
    ok(pm_vk_profile(own, rows, 64, &count));
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].op, "vk_test");
    assert_int_equal(rows[0].dispatches, 300);
    assert_int_equal(rows[0].bytes, 300ull * 3 << 15);
    assert_int_equal(rows[0].flops, 300ull * 3 << 13);
    assert_true(rows[0].ns > 0);
    assert_string_equal(rows[1].op, "copy");
    assert_int_equal(rows[1].dispatches, 3);
    ok(pm_vk_profile(own, NULL, 0, &count));
    assert_int_equal(count, 2);
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(x);
    pm_vk_buffer_destroy(y);
    pm_vk_device_close(own);
}

static void without_a_profile_the_rows_are_refused(void **state)
{
    (void)state;
    pm_vk_device *own = NULL;
    size_t count = 0;
    ok(pm_vk_device_open(NULL, false, &own));
    assert_int_equal(pm_vk_profile(own, NULL, 0, &count), PM_ERR_STATE);
    pm_vk_device_close(own);
}

static void bandwidth_is_a_positive_number(void **state)
{
    (void)state;
    double bytes_per_second = 0.0;
    ok(pm_vk_bandwidth(device, &bytes_per_second));
    printf("%s: %.2f GB/s\n", pm_vk_device_info(device)->name, bytes_per_second * 1e-9);
    assert_true(bytes_per_second > 1e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_programs_run_in_order),
        cmocka_unit_test(barriers_stand_only_where_ranges_overlap),
        cmocka_unit_test(replay_allocates_nothing),
        cmocka_unit_test(recorders_are_used_again),
        cmocka_unit_test(grids_outside_the_limits_are_refused),
        cmocka_unit_test(tiny_segments_share_a_submission),
        cmocka_unit_test(the_profile_counts_every_dispatch),
        cmocka_unit_test(without_a_profile_the_rows_are_refused),
        cmocka_unit_test(bandwidth_is_a_positive_number),
    };
    return cmocka_run_group_tests_name("vk_record", tests, open_device, close_device);
}
