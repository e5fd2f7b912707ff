/* Where submissions end, by times that this test makes up: it stands in for the
 * device's timestamps and counts vkQueueSubmit2. */
#include "op/vk_common.h"

#include "vk/device_impl.h"

#define SEGMENTS 12u
#define MS UINT64_C(1000000)

static pm_vk_device *device;
static uint64_t segment_ns[SEGMENTS];
static uint32_t submissions, buffers_most;
static PFN_vkQueueSubmit2 real_submit;

static VKAPI_ATTR VkResult VKAPI_CALL count_submit(VkQueue queue, uint32_t count, const VkSubmitInfo2 *infos, VkFence fence)
{
    submissions += count;
    if (infos->commandBufferInfoCount > buffers_most)
        buffers_most = infos->commandBufferInfoCount;
    return real_submit(queue, count, infos, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL made_up_times(VkDevice handle, VkQueryPool pool, uint32_t first, uint32_t count,
                                                    size_t bytes, void *data, VkDeviceSize stride,
                                                    VkQueryResultFlags flags)
{
    (void)handle, (void)pool, (void)flags;
    assert_int_equal(first, 0);
    assert_int_equal(count, SEGMENTS + 1);
    assert_true(bytes >= count * sizeof(uint64_t) && stride == sizeof(uint64_t));
    uint64_t *ticks = data, now_ns = UINT64_MAX - 100; /* the clock wraps */
    for (uint32_t i = 0; i <= SEGMENTS; i++) {
        ticks[i] = now_ns;
        now_ns += i < SEGMENTS ? segment_ns[i] : 0;
    }
    return VK_SUCCESS;
}

static int open_device(void **state)
{
    (void)state;
    ok(pm_vk_device_open(NULL, false, &device));
    if (device->timestamp_ns <= 0.0f) {
        puts("skipped: no timestamps on this device");
        exit(77);
    }
    device->timestamp_ns = 1.0f;
    device->timestamp_bits = 64;
    device->caps.is_cpu = false;   /* as a GPU is treated */
    real_submit = device->vk.vkQueueSubmit2;
    device->vk.vkQueueSubmit2 = count_submit;
    device->vk.vkGetQueryPoolResults = made_up_times;
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    pm_vk_device_close(device);
    return 0;
}

/* Runs twice with these times; how many submissions the second run makes. */
static uint32_t second_run(const uint64_t ms[SEGMENTS])
{
    for (uint32_t i = 0; i < SEGMENTS; i++)
        segment_ns[i] = ms[i] * MS;
    pm_vk_buffer *x = make_buffer(device, 128, PM_VK_DEVICE), *y = make_buffer(device, 128, PM_VK_READBACK);
    pm_vk_recorder *recorder = NULL;
    pm_vk_commands *commands = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    uint32_t expected = 0;
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        record_mix(recorder, pm_vk_buffer_all(x), pm_vk_buffer_all(y), 3, i);
        pm_vk_record_segment(recorder);
    }
    ok(pm_vk_recorder_end(recorder, &commands));
    for (int run = 0; run < 2; run++) {
        submissions = buffers_most = 0;
        const uint32_t foretold = pm_vk_commands_submissions(commands);
        ok(pm_vk_commands_run(commands));
        assert_int_equal(submissions, foretold);
        for (uint32_t i = 0; i < SEGMENTS; i++)
            expected = 3 * expected + i;
    }
    assert_int_equal(*(uint32_t *)pm_slice_host(pm_vk_buffer_all(y)), expected);
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(x);
    pm_vk_buffer_destroy(y);
    return submissions;
}

static void submissions_stay_within_100_ms(void **state)
{
    (void)state;
    assert_int_equal(second_run((uint64_t[SEGMENTS]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}), 1);
    assert_int_equal(buffers_most, SEGMENTS);
    assert_int_equal(second_run((uint64_t[SEGMENTS]){25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25}), 3);
    assert_int_equal(buffers_most, 4);
    assert_int_equal(second_run((uint64_t[SEGMENTS]){90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 90}), SEGMENTS);
}

static void one_long_segment_stands_alone(void **state)
{
    (void)state;
    assert_int_equal(second_run((uint64_t[SEGMENTS]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 500}), 2);
    assert_int_equal(second_run((uint64_t[SEGMENTS]){1, 1, 1, 500, 1, 1, 1, 1, 1, 1, 1, 1}), 3);
    assert_int_equal(second_run((uint64_t[SEGMENTS]){500, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submissions_stay_within_100_ms),
        cmocka_unit_test(one_long_segment_stands_alone),
    };
    return cmocka_run_group_tests_name("vk_submit", tests, open_device, close_device);
}
