/* Pipelines: asked for once, built in parallel, kept on disk, found out when damaged. */
#include "op/vk_common.h"
#include "temporary.h"

#include "base/file.h"
#include "base/hash.h"
#include "vk/device.h"

#include <dirent.h>
#include <unistd.h>

static char cache[256];            /* this test's cache home */
static char file[1024];            /* the cache file in it */

static int make_cache(void **state)
{
    (void)state;
    temporary_template(cache, sizeof(cache), "cache");
    assert_non_null(mkdtemp(cache));
    setenv("XDG_CACHE_HOME", cache, 1);
    setenv("MESA_SHADER_CACHE_DISABLE", "true", 1); /* Mesa's own cache would go there too */
    return 0;
}

/* The name of the only file in <cache>/pumice; false when there is none. */
static bool find_file(void)
{
    char folder[300];
    snprintf(folder, sizeof(folder), "%s/pumice", cache);
    DIR *dir = opendir(folder);
    int found = 0;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.') {
            snprintf(file, sizeof(file), "%s/%s", folder, entry->d_name);
            found++;
        }
    if (dir != NULL)
        closedir(dir);
    assert_in_range(found, 0, 1);
    return found == 1;
}

static int remove_cache(void **state)
{
    (void)state;
    if (find_file())
        unlink(file);
    char folder[300];
    snprintf(folder, sizeof(folder), "%s/pumice", cache);
    rmdir(folder);
    rmdir(cache);
    return 0;
}

static void equal_keys_share_a_pipeline(void **state)
{
    (void)state;
    pm_vk_device *device = NULL;
    ok(pm_vk_device_open(NULL, false, &device));
    assert_ptr_equal(mix_pipeline(device, 1), mix_pipeline(device, 1));
    assert_ptr_not_equal(mix_pipeline(device, 1), mix_pipeline(device, 2));
    pm_vk_pipeline_key key = {.module = "vk_test", .push_bytes = sizeof(pm_push_vk_test)};
    const pm_vk_pipeline *any = NULL, *sized = NULL;
    ok(pm_vk_pipeline_get(device, &key, &any));
    key.subgroup = pm_vk_device_caps(device)->subgroup_max;
    ok(pm_vk_pipeline_get(device, &key, &sized));
    assert_ptr_not_equal(any, sized);
    pm_vk_device_close(device); /* none of them was built */
}

static void a_module_that_is_not_there_is_named(void **state)
{
    (void)state;
    pm_vk_device *device = NULL;
    const pm_vk_pipeline *pipeline = NULL;
    ok(pm_vk_device_open(NULL, false, &device));
    assert_true(pm_vk_module_exists("vk_test"));
    assert_false(pm_vk_module_exists("warp_drive"));
    assert_int_equal(pm_vk_pipeline_get(device, &(pm_vk_pipeline_key){.module = "warp_drive"}, &pipeline), PM_ERR_UNSUP);
    assert_says("warp_drive");
    pm_vk_device_close(device);
}

static void count_progress(void *context, const char *stage, double fraction)
{
    double *last = context;
    assert_string_equal(stage, "pipelines");
    assert_true(fraction >= *last && fraction <= 1.0);
    *last = fraction;
}

/* Builds 16 pipelines, some with a required subgroup size, and checks what they compute. */
static void build_and_run(void)
{
    pm_vk_device *device = NULL;
    ok(pm_vk_device_open(NULL, false, &device));
    pm_vk_buffer *x = make_buffer(device, 128, PM_VK_DEVICE), *y = make_buffer(device, 128, PM_VK_READBACK);
    pm_vk_recorder *recorder = NULL;
    pm_vk_commands *commands = NULL;
    ok(pm_vk_recorder_create(device, &recorder));
    uint32_t expected = 0;
    for (uint32_t add = 0; add < 16; add++) {
        record_mix(recorder, pm_vk_buffer_all(x), pm_vk_buffer_all(y), 5, add);
        expected = expected * 5 + add;
    }
    double fraction = 0.0;
    ok(pm_vk_pipelines_build(device, count_progress, &fraction));
    assert_true(fraction == 1.0);
    ok(pm_vk_pipelines_build(device, NULL, NULL)); /* nothing left */
    ok(pm_vk_recorder_end(recorder, &commands));
    ok(pm_vk_commands_run(commands));
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(((uint32_t *)pm_slice_host(pm_vk_buffer_all(y)))[i], expected);
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(x);
    pm_vk_buffer_destroy(y);
    pm_vk_device_close(device);
}

static void every_subgroup_size_of_the_device_builds(void **state)
{
    (void)state;
    pm_vk_device *device = NULL;
    ok(pm_vk_device_open(NULL, false, &device));
    const pm_vk_caps *caps = pm_vk_device_caps(device);
    for (uint32_t size = caps->subgroup_min; size <= caps->subgroup_max; size *= 2) {
        const pm_vk_pipeline *pipeline = NULL;
        const pm_vk_pipeline_key key = {.module = "vk_test", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, 128}},
                                        .push_bytes = sizeof(pm_push_vk_test), .subgroup = size};
        ok(pm_vk_pipeline_get(device, &key, &pipeline));
    }
    ok(pm_vk_pipelines_build(device, NULL, NULL));
    pm_vk_device_close(device);
}

/* The file holds what its header says: magic, bytes, hash. How much a driver puts there
 * is its own affair, and not the same each time. */
static bool is_sound(void)
{
    char *data = NULL;
    size_t bytes = 0;
    uint64_t header[3] = {0};
    ok(pm_file_read(file, &data, &bytes));
    if (bytes >= sizeof(header))
        memcpy(header, data, sizeof(header));
    const bool sound = bytes > sizeof(header) && memcmp(data, "pumice01", 8) == 0 && header[1] == bytes - sizeof(header) &&
                       header[2] == pm_hash64(data + sizeof(header), header[1], PM_HASH_SEED);
    free(data);
    return sound;
}

static void the_file_is_written_and_read(void **state)
{
    (void)state;
    build_and_run();
    assert_true(find_file());
    assert_non_null(strstr(file, "/pipelines-"));
    assert_true(is_sound());
    build_and_run();
    assert_true(is_sound());
}

/* Cut, flipped, emptied, foreign: each is ignored with a warning, and rewritten sound. */
static void a_damaged_file_is_ignored_and_rewritten(void **state)
{
    (void)state;
    build_and_run();
    assert_true(find_file());
    char *sound = NULL;
    size_t bytes = 0;
    ok(pm_file_read(file, &sound, &bytes));
    for (int damage = 0; damage < 6; damage++) {
        char *bad = malloc(bytes + 1);
        size_t bad_bytes = bytes;
        memcpy(bad, sound, bytes);
        if (damage == 0)
            bad[0] ^= 1;
        else if (damage == 1)
            bad[bytes - 1] ^= 0x40;
        else if (damage == 2)
            bad_bytes = 10;
        else if (damage == 3)
            bad_bytes = bytes - 1;
        else if (damage == 4)
            bad_bytes = 0;
        else
            bad[bad_bytes++] = 0;
        ok(pm_file_write_atomic(file, bad, bad_bytes));
        free(bad);
        assert_false(is_sound());
        build_and_run();
        assert_true(is_sound());
    }
    free(sound);
}

static void a_cache_that_cannot_be_written_is_no_failure(void **state)
{
    (void)state;
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    build_and_run();
    setenv("XDG_CACHE_HOME", cache, 1);
}

static void switched_off_nothing_is_written(void **state)
{
    (void)state;
    if (find_file())
        unlink(file);
    setenv("PUMICE_CACHE", "0", 1);
    build_and_run();
    unsetenv("PUMICE_CACHE");
    assert_false(find_file());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_keys_share_a_pipeline),
        cmocka_unit_test(a_module_that_is_not_there_is_named),
        cmocka_unit_test(every_subgroup_size_of_the_device_builds),
        cmocka_unit_test(the_file_is_written_and_read),
        cmocka_unit_test(a_damaged_file_is_ignored_and_rewritten),
        cmocka_unit_test(a_cache_that_cannot_be_written_is_no_failure),
        cmocka_unit_test(switched_off_nothing_is_written),
    };
    return cmocka_run_group_tests_name("vk_pipeline", tests, make_cache, remove_cache);
}
