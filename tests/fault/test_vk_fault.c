/* Every Vulkan call and every host allocation of src/vk fails once: the error is clean,
 * names what failed, leaves outputs alone, and the device closes.
 *
 * The calls fail by standing in for the pointers of the device's function table. */
#include "op/vk_common.h"

#include "base/alloc.h"
#include "vk/device_impl.h"

/* ------------------------------------------------- functions that can fail */

#define CALL_MAP(X)                                                                                                    \
    X(vkCreateBuffer, (VkDevice d, const VkBufferCreateInfo *i, const VkAllocationCallbacks *a, VkBuffer *o), (d, i, a, o)) \
    X(vkAllocateMemory, (VkDevice d, const VkMemoryAllocateInfo *i, const VkAllocationCallbacks *a, VkDeviceMemory *o), (d, i, a, o)) \
    X(vkBindBufferMemory, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize o), (d, b, m, o))                    \
    X(vkMapMemory, (VkDevice d, VkDeviceMemory m, VkDeviceSize o, VkDeviceSize s, VkMemoryMapFlags f, void **p), (d, m, o, s, f, p)) \
    X(vkCreateCommandPool, (VkDevice d, const VkCommandPoolCreateInfo *i, const VkAllocationCallbacks *a, VkCommandPool *o), (d, i, a, o)) \
    X(vkAllocateCommandBuffers, (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *o), (d, i, o))    \
    X(vkBeginCommandBuffer, (VkCommandBuffer c, const VkCommandBufferBeginInfo *i), (c, i))                            \
    X(vkQueueSubmit2, (VkQueue q, uint32_t n, const VkSubmitInfo2 *i, VkFence f), (q, n, i, f))                        \
    X(vkWaitSemaphores, (VkDevice d, const VkSemaphoreWaitInfo *i, uint64_t t), (d, i, t))                             \
    X(vkCreateShaderModule, (VkDevice d, const VkShaderModuleCreateInfo *i, const VkAllocationCallbacks *a, VkShaderModule *o), (d, i, a, o)) \
    X(vkCreatePipelineLayout, (VkDevice d, const VkPipelineLayoutCreateInfo *i, const VkAllocationCallbacks *a, VkPipelineLayout *o), (d, i, a, o)) \
    X(vkCreatePipelineCache, (VkDevice d, const VkPipelineCacheCreateInfo *i, const VkAllocationCallbacks *a, VkPipelineCache *o), (d, i, a, o)) \
    X(vkCreateComputePipelines, (VkDevice d, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *i, const VkAllocationCallbacks *a, VkPipeline *o), (d, c, n, i, a, o)) \
    X(vkGetPipelineCacheData, (VkDevice d, VkPipelineCache c, size_t *n, void *p), (d, c, n, p))                       \
    X(vkCreateSemaphore, (VkDevice d, const VkSemaphoreCreateInfo *i, const VkAllocationCallbacks *a, VkSemaphore *o), (d, i, a, o)) \
    X(vkCreateQueryPool, (VkDevice d, const VkQueryPoolCreateInfo *i, const VkAllocationCallbacks *a, VkQueryPool *o), (d, i, a, o)) \
    X(vkGetQueryPoolResults, (VkDevice d, VkQueryPool p, uint32_t f, uint32_t n, size_t b, void *o, VkDeviceSize s, VkQueryResultFlags g), (d, p, f, n, b, o, s, g))

#define X(name, parameters, arguments) static PFN_##name real_##name;
CALL_MAP(X)
#undef X

static uint32_t calls, fail_at;    /* the fail_at-th call fails, counted from 1; 0 = none */
static VkResult failure;
static const char *failed;         /* its name; NULL = none did */

static bool must_fail(const char *name)
{
    if (++calls != fail_at)
        return false;
    failed = name;
    return true;
}

#define X(name, parameters, arguments)                              \
    static VKAPI_ATTR VkResult VKAPI_CALL fake_##name parameters    \
    {                                                               \
        return must_fail(#name) ? failure : real_##name arguments;  \
    }
CALL_MAP(X)
#undef X

/* An end that fails leaves the buffer invalid, and no longer recording. */
static PFN_vkEndCommandBuffer real_vkEndCommandBuffer;

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkEndCommandBuffer(VkCommandBuffer c)
{
    const VkResult result = real_vkEndCommandBuffer(c);
    return must_fail("vkEndCommandBuffer") ? failure : result;
}

static void stand_in(pm_vk_device *device)
{
    real_vkEndCommandBuffer = device->vk.vkEndCommandBuffer, device->vk.vkEndCommandBuffer = fake_vkEndCommandBuffer;
#define X(name, parameters, arguments) real_##name = device->vk.name, device->vk.name = fake_##name;
    CALL_MAP(X)
#undef X
}

/* ---------------------------------------------------------------- the work */

typedef struct work {
    pm_vk_buffer *x, *y;
    pm_vk_recorder *recorder;
    pm_vk_commands *commands;
    uint32_t sent[64], got[64];
} work;

static pm_result mix(work *w, pm_vk_device *device)
{
    const pm_vk_pipeline_key key = {.module = "vk_test", .spec_count = 1, .spec = {{PM_SPEC_LOCAL_X, 32}},
                                    .push_bytes = sizeof(pm_push_vk_test)};
    const pm_push_vk_test push = {pm_slice_address(pm_vk_buffer_all(w->x)), pm_slice_address(pm_vk_buffer_all(w->y)), 64, 2};
    pm_vk_dispatch dispatch = {.op = "vk_test", .push = &push, .groups = {2, 1, 1}, .access_count = 2,
                               .access = {{pm_vk_buffer_all(w->x), false}, {pm_vk_buffer_all(w->y), true}}};
    PM_TRY(pm_vk_pipeline_get(device, &key, &dispatch.pipeline));
    PM_TRY(pm_vk_record(w->recorder, &dispatch));
    pm_vk_record_segment(w->recorder);
    return pm_vk_record(w->recorder, &dispatch);
}

/* All that an engine does with a device, in small. */
static pm_result all_of_it(work *w, pm_vk_device *device)
{
    const uint64_t bytes = sizeof(w->sent);
    PM_TRY(pm_vk_buffer_create(device, bytes, PM_VK_DEVICE, "x", &w->x));
    PM_TRY(pm_vk_buffer_create(device, bytes, PM_VK_DEVICE, "y", &w->y));
    PM_TRY(pm_vk_upload(device, pm_vk_buffer_all(w->x), w->sent, bytes));
    PM_TRY(pm_vk_recorder_create(device, &w->recorder));
    PM_TRY(mix(w, device));
    PM_TRY(pm_vk_recorder_end(w->recorder, &w->commands));
    PM_TRY(pm_vk_commands_run(w->commands));
    PM_TRY(pm_vk_commands_run(w->commands));
    return pm_vk_download(device, w->got, pm_vk_buffer_all(w->y), bytes);
}

static pm_result do_work(pm_vk_device *device)
{
    work w = {0};
    for (uint32_t i = 0; i < 64; i++)
        w.sent[i] = i * 77;
    const pm_result result = all_of_it(&w, device);
    for (uint32_t i = 0; i < 64 && result == PM_OK; i++)
        assert_int_equal(w.got[i], i * 77 * 15); /* four times y = 2 y + x */
    pm_vk_commands_destroy(w.commands);
    pm_vk_recorder_destroy(w.recorder);
    pm_vk_buffer_destroy(w.x);
    pm_vk_buffer_destroy(w.y);
    return result;
}

/* Fails each call once, from the first to the last, with this result. */
static void fail_each_call(VkResult with, pm_result expected)
{
    failure = with;
    uint32_t clean = 0;
    for (uint32_t n = 1;; n++) {
        pm_vk_device *device = NULL;
        ok(pm_vk_device_open(NULL, true, &device));
        stand_in(device);
        calls = 0;
        fail_at = n;
        failed = NULL;
        const pm_result result = do_work(device);
        fail_at = 0;
        if (failed == NULL) {
            assert_int_equal(result, PM_OK);
            pm_vk_device_close(device);
            printf("%u calls\n", n - 1);
            assert_true(n > 30);
            break;
        }
        if (strcmp(failed, "vkGetPipelineCacheData") == 0) { /* the cache is a convenience */
            assert_int_equal(result, PM_OK);
            clean++;
        } else if (result == PM_OK) { /* mapped memory comes from a second kind when the first is full */
            assert_string_equal(failed, "vkAllocateMemory");
            assert_int_equal(expected, PM_ERR_DEVMEM);
        } else {
            assert_int_equal(result, expected);
            if (expected != PM_ERR_DEVMEM && strcmp(failed, "vkCreateComputePipelines") != 0 &&
                strcmp(failed, "vkCreateShaderModule") != 0)
                assert_says(failed);
            if (strcmp(failed, "vkCreateComputePipelines") == 0)
                assert_says("vk_test(");
        }
        if (result != PM_ERR_LOST) /* a device that still lives still works */
            ok(do_work(device));
        pm_vk_device_close(device);
    }
    assert_true(clean > 0);
}

static void each_call_fails_cleanly(void **state)
{
    (void)state;
    fail_each_call(VK_ERROR_UNKNOWN, PM_ERR_DEVICE);
}

static void a_lost_device_is_said_to_be_lost(void **state)
{
    (void)state;
    fail_each_call(VK_ERROR_DEVICE_LOST, PM_ERR_LOST);
}

static void memory_that_runs_out_is_said_to(void **state)
{
    (void)state;
    fail_each_call(VK_ERROR_OUT_OF_DEVICE_MEMORY, PM_ERR_DEVMEM);
}

/* ---------------------------------------------------- the host's memory */

static pm_result open_and_work(void)
{
    pm_vk_device *device = NULL;
    PM_TRY(pm_vk_device_open(NULL, true, &device));
    pm_result result = do_work(device);
    pm_profile_row rows[4];
    size_t count;
    if (result == PM_OK)
        result = pm_vk_profile(device, rows, 4, &count);
    pm_vk_device_close(device);
    return result;
}

static void each_host_allocation_fails_cleanly(void **state)
{
    (void)state;
    uint64_t before = pm_alloc_count();
    ok(open_and_work());
    const uint64_t most = pm_alloc_count() - before;
    printf("%llu allocations\n", (unsigned long long)most);
    assert_in_range(most, 10, 1000);
    uint64_t refused = 0;
    for (uint64_t n = 1; n <= most; n++) {
        pm_alloc_fail_at(pm_alloc_count() + n);
        const pm_result result = open_and_work();
        pm_alloc_fail_at(0);
        assert_true(result == PM_ERR_NOMEM || result == PM_OK); /* OK: the cache was not saved */
        refused += result == PM_ERR_NOMEM;
    }
    assert_true(refused + 2 >= most);
}

/* ---------------------------------------------------------- opening */

static PFN_vkCreateDevice real_create_device;

static VKAPI_ATTR VkResult VKAPI_CALL refuse_device(VkPhysicalDevice p, const VkDeviceCreateInfo *i,
                                                    const VkAllocationCallbacks *a, VkDevice *o)
{
    (void)p, (void)i, (void)a, (void)o;
    return failure;
}

static void a_device_that_does_not_open_leaves_nothing_behind(void **state)
{
    (void)state;
    VkInstance instance;
    ok(pm_vk_instance_acquire(&instance)); /* so that the global pointers stay as we set them */
    real_create_device = vkCreateDevice;
    vkCreateDevice = refuse_device;
    failure = VK_ERROR_INITIALIZATION_FAILED;
    pm_vk_device *device = NULL;
    assert_int_equal(pm_vk_device_open(NULL, false, &device), PM_ERR_DEVICE);
    assert_null(device);
    assert_says("vkCreateDevice: VK_ERROR_INITIALIZATION_FAILED");
    vkCreateDevice = real_create_device;
    ok(pm_vk_device_open(NULL, false, &device));
    pm_vk_device_close(device);
    pm_vk_instance_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_fails_cleanly),
        cmocka_unit_test(a_lost_device_is_said_to_be_lost),
        cmocka_unit_test(memory_that_runs_out_is_said_to),
        cmocka_unit_test(each_host_allocation_fails_cleanly),
        cmocka_unit_test(a_device_that_does_not_open_leaves_nothing_behind),
    };
    return cmocka_run_group_tests_name("vk_fault", tests, NULL, NULL);
}
