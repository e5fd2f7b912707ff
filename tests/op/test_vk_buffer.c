/* Device memory: zeroed, addressable, counted, and refused with numbers. */
#include "op/vk_common.h"

#include "vk/device.h"

static pm_vk_device *device;

static int open_device(void **state)
{
    (void)state;
    ok(pm_vk_device_open(NULL, false, &device));
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    pm_vk_device_close(device);
    return 0;
}

static void contents_are_zero_and_addresses_aligned(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 3, 16, 4097, 1 << 20};
    for (int memory = PM_VK_DEVICE; memory <= PM_VK_READBACK; memory++)
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
            for (int again = 0; again < 2; again++) { /* the second may get the first one's memory */
                const uint64_t bytes = sizes[s];
                pm_vk_buffer *buffer = make_buffer(device, bytes, (pm_vk_memory)memory);
                const pm_slice all = pm_vk_buffer_all(buffer);
                assert_int_equal(all.bytes, bytes);
                assert_int_equal(pm_slice_address(all) % PM_VK_ALIGNMENT, 0);
                uint8_t *got = malloc(bytes), *ones = malloc(bytes);
                memset(got, 1, bytes);
                memset(ones, 0xff, bytes);
                ok(pm_vk_download(device, got, all, bytes));
                for (uint64_t i = 0; i < bytes; i++)
                    assert_int_equal(got[i], 0);
                ok(pm_vk_upload(device, all, ones, bytes));
                free(got);
                free(ones);
                pm_vk_buffer_destroy(buffer);
            }
}

/* Sizes around the staging halves, and offsets that are a multiple of nothing. */
static void uploads_of_any_size_come_back(void **state)
{
    (void)state;
    const uint64_t half = UINT64_C(16) << 20, sizes[] = {1, 5, half - 1, half, half + 3, 3 * half + 7};
    const uint64_t most = 3 * half + 7, offset = 13;
    uint8_t *sent = malloc(most), *got = malloc(most + 2);
    uint64_t random = 7;
    for (uint64_t i = 0; i < most; i++)
        sent[i] = (uint8_t)(i % 64 == 0 ? next_random(&random) : (uint64_t)sent[i - 1] + 1);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        pm_vk_buffer *buffer = make_buffer(device, sizes[s] + offset + 1, PM_VK_DEVICE);
        ok(pm_vk_upload(device, pm_vk_buffer_slice(buffer, offset, sizes[s]), sent, sizes[s]));
        ok(pm_vk_download(device, got, pm_vk_buffer_slice(buffer, offset - 1, sizes[s] + 2), sizes[s] + 2));
        assert_int_equal(got[0], 0);
        assert_memory_equal(got + 1, sent, sizes[s]);
        assert_int_equal(got[sizes[s] + 1], 0);
        pm_vk_buffer_destroy(buffer);
    }
    free(sent);
    free(got);
}

static void mapped_memory_is_shared_with_the_device(void **state)
{
    (void)state;
    pm_vk_buffer *in = make_buffer(device, 256, PM_VK_UPLOAD), *out = make_buffer(device, 256, PM_VK_READBACK);
    pm_vk_recorder *recorder = NULL;
    pm_vk_commands *commands = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    record_mix(recorder, pm_vk_buffer_all(in), pm_vk_buffer_all(out), 3, 5);
    ok(pm_vk_recorder_end(recorder, &commands));
    uint32_t *x = pm_slice_host(pm_vk_buffer_all(in)), *y = pm_slice_host(pm_vk_buffer_all(out)), expected[64] = {0};
    for (uint32_t run = 0; run < 4; run++) {
        for (uint32_t i = 0; i < 64; i++) {
            x[i] = i * i + run;
            expected[i] = 3 * expected[i] + x[i] + 5;
        }
        ok(pm_vk_commands_run(commands));
        assert_memory_equal(y, expected, sizeof(expected));
    }
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(in);
    pm_vk_buffer_destroy(out);
}

static void slices_are_ranges(void **state)
{
    (void)state;
    pm_vk_buffer *buffer = make_buffer(device, 1000, PM_VK_UPLOAD);
    const pm_slice all = pm_vk_buffer_all(buffer), part = pm_vk_buffer_slice(buffer, 100, 200),
                   sub = pm_slice_part(part, 50, 150), none = {0};
    assert_int_equal(pm_slice_address(part), pm_slice_address(all) + 100);
    assert_int_equal(pm_slice_address(sub), pm_slice_address(all) + 150);
    assert_int_equal(sub.bytes, 150);
    assert_ptr_equal(pm_slice_host(sub), (uint8_t *)pm_slice_host(all) + 150);
    assert_int_equal(pm_slice_address(none), 0);
    pm_vk_buffer_destroy(buffer);
    pm_vk_buffer_destroy(NULL);
}

static void too_much_is_refused_with_bytes_wanted_and_free(void **state)
{
    (void)state;
    const uint64_t piece = pm_vk_device_caps(device)->buffer_bytes_max;
    const uint64_t wanted[] = {piece + 1, UINT64_C(1) << 50, UINT64_MAX};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        for (int memory = PM_VK_DEVICE; memory <= PM_VK_READBACK; memory++) {
            pm_vk_buffer *buffer = NULL;
            assert_int_equal(pm_vk_buffer_create(device, wanted[i], (pm_vk_memory)memory, "the model", &buffer),
                             PM_ERR_DEVMEM);
            assert_null(buffer);
            char number[32];
            snprintf(number, sizeof(number), "%llu bytes", (unsigned long long)wanted[i]);
            assert_says("the model: ");
            assert_says(number);
            assert_says(" free");
            snprintf(number, sizeof(number), "%llu at most", (unsigned long long)piece);
            assert_says(number);
        }
    assert_true(pm_vk_device_free_bytes(device) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_are_zero_and_addresses_aligned),
        cmocka_unit_test(uploads_of_any_size_come_back),
        cmocka_unit_test(mapped_memory_is_shared_with_the_device),
        cmocka_unit_test(slices_are_ranges),
        cmocka_unit_test(too_much_is_refused_with_bytes_wanted_and_free),
    };
    return cmocka_run_group_tests_name("vk_buffer", tests, open_device, close_device);
}
