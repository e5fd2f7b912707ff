/* Choosing a device, masking capabilities, and what the messages say. */
#include "op/vk_common.h"

#include "vk/device.h"

#define DEVICES 16

static pm_device_info infos[DEVICES];
static size_t count;

static int list_devices(void **state)
{
    (void)state;
    ok(pm_vk_devices_list(infos, DEVICES, &count));
    assert_true(count > 0 && count <= DEVICES);
    return 0;
}

/* Opens with this selector, expects this device. */
static void expect_open(const char *selector, size_t index)
{
    pm_vk_device *device = NULL;
    ok(pm_vk_device_open(selector, false, &device));
    assert_string_equal(pm_vk_device_info(device)->uuid, infos[index].uuid);
    assert_string_equal(pm_vk_device_info(device)->name, infos[index].name);
    pm_vk_device_close(device);
}

static void expect_refusal(const char *selector, pm_result expected, const char *text)
{
    pm_vk_device *device = NULL;
    assert_int_equal(pm_vk_device_open(selector, false, &device), expected);
    assert_null(device);
    assert_says(text);
}

static int rank(const char *type)
{
    static const char *const order[] = {"discrete", "integrated", "virtual", "other", "cpu"};
    for (int i = 0; i < 5; i++)
        if (strcmp(type, order[i]) == 0)
            return i;
    return -1;
}

static void the_list_is_sorted_and_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(infos[i].index, i);
        assert_true(infos[i].name[0] != '\0' && infos[i].driver[0] != '\0' && infos[i].vendor[0] != '\0');
        assert_int_equal(strlen(infos[i].uuid), 36);
        assert_in_range(rank(infos[i].type), i > 0 ? rank(infos[i - 1].type) : 0, 4);
        assert_true(infos[i].memory_bytes > 0);
        assert_int_equal(infos[i].cap_count, PM_CAPS);
        assert_true(infos[i].subgroup_min > 0 && infos[i].subgroup_min <= infos[i].subgroup_max);
        assert_string_equal(infos[i].missing, "");
    }
    size_t again = 0;
    ok(pm_vk_devices_list(NULL, 0, &again));
    assert_int_equal(again, count);
}

static void index_name_and_uuid_select(void **state)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        char text[24], name[256];
        snprintf(text, sizeof(text), "%zu", i);
        expect_open(text, i);
        expect_open(infos[i].uuid, i);
        snprintf(name, sizeof(name), "%s", infos[i].name);
        for (char *c = name; *c != '\0'; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
        name[strcspn(name, " ")] = '\0';
        expect_open(name, i); /* "llvmpipe", "swiftshader": the drivers' names differ */
    }
    expect_open(NULL, 0);
    setenv("PUMICE_DEVICE", infos[count - 1].uuid, 1);
    expect_open(NULL, count - 1);
    expect_open("0", 0);
    unsetenv("PUMICE_DEVICE");
}

static void a_selector_without_match_lists_what_there_is(void **state)
{
    (void)state;
    expect_refusal("no such GPU", PM_ERR_ARG, "'no such GPU' matches none");
    assert_says(infos[0].name);
    expect_refusal("99", PM_ERR_ARG, "matches none");
    setenv("PUMICE_DEVICE", "voodoo", 1);
    expect_refusal(NULL, PM_ERR_ARG, "'voodoo'");
    unsetenv("PUMICE_DEVICE");
    if (count > 1) { /* the run with both drivers */
        expect_refusal("e", PM_ERR_ARG, "matches several");
        assert_says(infos[1].name);
    }
}

/* Shapes are listed if and only if the capability is there, and are usable as sizes. */
static void check_matrices(const pm_vk_caps *caps)
{
    assert_true(caps->matrix_count <= PM_VK_MATRICES_MAX && caps->flexible_count <= PM_VK_MATRICES_MAX);
    if (!(caps->bits & PM_CAP_BIT(COOPMAT)))
        assert_int_equal(caps->matrix_count, 0);
    if (!(caps->bits & PM_CAP_BIT(COOPMAT2)))
        assert_true(caps->flexible_count == 0 && caps->flexible_max == 0);
    if (!(caps->bits & PM_CAP_BIT(COOPMAT2WG)))
        assert_true(caps->flexible_lanes_max == 0 && caps->flexible_shared_bytes == 0);
    for (uint32_t i = 0; i < caps->matrix_count; i++)
        assert_true(caps->matrix[i].m > 0 && caps->matrix[i].n > 0 && caps->matrix[i].k > 0);
    for (uint32_t i = 0; i < caps->flexible_count; i++)
        assert_true(caps->flexible[i].m > 0 && caps->flexible[i].n > 0 && caps->flexible[i].k > 0 &&
                    (caps->flexible[i].scope_lanes == 0 || (caps->bits & PM_CAP_BIT(COOPMAT2WG))));
}

static void masks_take_capabilities_away(void **state)
{
    (void)state;
    for (int cap = 0; cap < PM_CAPS; cap++) {
        char mask[64];
        snprintf(mask, sizeof(mask), "-%s", pm_cap_name((pm_cap)cap));
        setenv("PUMICE_CAPS", mask, 1);
        pm_vk_device *device = NULL;
        ok(pm_vk_device_open("0", true, &device));
        const pm_vk_caps *caps = pm_vk_device_caps(device);
        assert_int_equal(caps->bits >> cap & 1, 0);
        assert_int_equal(caps->masked >> cap & 1, infos[0].caps[cap].present);
        assert_int_equal(pm_vk_device_info(device)->caps[cap].masked, infos[0].caps[cap].present);
        check_matrices(caps);
        pm_vk_device_close(device);
    }
    setenv("PUMICE_CAPS", "-all", 1);
    pm_vk_device *device = NULL;
    ok(pm_vk_device_open("0", true, &device));
    assert_int_equal(pm_vk_device_caps(device)->bits, 0);
    pm_profile_row row;
    size_t rows;
    assert_int_equal(pm_vk_profile(device, &row, 1, &rows), PM_ERR_STATE); /* no timestamps now */
    pm_vk_buffer_destroy(make_buffer(device, 100, PM_VK_DEVICE));
    pm_vk_device_close(device);

    const char *const bad[] = {"-f32", "f16", "-f16,,-int8", "-f16,-", "-all16"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("PUMICE_CAPS", bad[i], 1);
        expect_refusal("0", PM_ERR_ARG, "PUMICE_CAPS");
        assert_says("-store16");
        assert_says("-coopmat2");
    }
    unsetenv("PUMICE_CAPS");
}

/* The loader reads its variables anew whenever the process makes its first instance. */
static void without_a_driver_the_message_says_how_to_get_one(void **state)
{
    (void)state;
    char icd[512], old[512];
    const char *was = getenv("VK_DRIVER_FILES"), *was_old = getenv("VK_ICD_FILENAMES");
    snprintf(icd, sizeof(icd), "%s", was != NULL ? was : "");
    snprintf(old, sizeof(old), "%s", was_old != NULL ? was_old : "");
    setenv("VK_DRIVER_FILES", "/nonexistent/icd.json", 1);
    setenv("VK_ICD_FILENAMES", "/nonexistent/icd.json", 1);
    size_t n = 99;
    assert_int_equal(pm_vk_devices_list(NULL, 0, &n), PM_ERR_UNSUP);
    assert_says("apt install mesa-vulkan-drivers");
    assert_int_equal(n, 99);
    expect_refusal(NULL, PM_ERR_UNSUP, "apt install mesa-vulkan-drivers");
    was != NULL ? setenv("VK_DRIVER_FILES", icd, 1) : unsetenv("VK_DRIVER_FILES");
    was_old != NULL ? setenv("VK_ICD_FILENAMES", old, 1) : unsetenv("VK_ICD_FILENAMES");
    ok(pm_vk_devices_list(NULL, 0, &n));
}

static void without_the_layer_validation_says_so(void **state)
{
    (void)state;
    const char *was = getenv("PUMICE_VALIDATE");
    setenv("VK_LAYER_PATH", "/nonexistent", 1);
    setenv("PUMICE_VALIDATE", "1", 1);
    expect_refusal(NULL, PM_ERR_UNSUP, "vulkan-validationlayers");
    unsetenv("VK_LAYER_PATH");
    if (was == NULL)
        unsetenv("PUMICE_VALIDATE");
}

static void two_devices_can_be_open(void **state)
{
    (void)state;
    pm_vk_device *a = NULL, *b = NULL;
    ok(pm_vk_device_open("0", false, &a));
    ok(pm_vk_device_open(infos[count - 1].uuid, false, &b));
    pm_vk_buffer *x = make_buffer(a, 4096, PM_VK_DEVICE), *y = make_buffer(b, 4096, PM_VK_DEVICE);
    pm_vk_buffer_destroy(x);
    pm_vk_device_close(a);
    pm_vk_buffer_destroy(y);
    pm_vk_device_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_is_sorted_and_complete),
        cmocka_unit_test(index_name_and_uuid_select),
        cmocka_unit_test(a_selector_without_match_lists_what_there_is),
        cmocka_unit_test(masks_take_capabilities_away),
        cmocka_unit_test(without_a_driver_the_message_says_how_to_get_one),
        cmocka_unit_test(without_the_layer_validation_says_so),
        cmocka_unit_test(two_devices_can_be_open),
    };
    return cmocka_run_group_tests_name("vk_device", tests, list_devices, NULL);
}
