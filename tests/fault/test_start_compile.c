/* A driver that does not compile a kernel: the self-test at start takes the variant out with a
 * warning, the next row of the table serves and answers are the same; where there is no next row, the
 * engine says what is missing. What the driver refuses is played by standing in for its function. */
#include "model/answers.h"

#include "engine/engine_impl.h"
#include "op/matmul.h"
#include "op/variant.h"
#include "vk/device_impl.h"

#include <unistd.h>

static const pm_shader_module *refused; /* NULL = none is */
static _Atomic uint32_t refusals;
static PFN_vkGetDeviceProcAddr real_proc_addr;
static PFN_vkCreateShaderModule real_create;

static VKAPI_ATTR VkResult VKAPI_CALL create(VkDevice device, const VkShaderModuleCreateInfo *info,
                                             const VkAllocationCallbacks *memory, VkShaderModule *out)
{
    if (refused == NULL || info->codeSize != refused->bytes || memcmp(info->pCode, refused->words, refused->bytes) != 0)
        return real_create(device, info, memory, out);
    atomic_fetch_add(&refusals, 1);
    return VK_ERROR_UNKNOWN;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL proc_addr(VkDevice device, const char *name)
{
    const PFN_vkVoidFunction function = real_proc_addr(device, name);
    return strcmp(name, "vkCreateShaderModule") == 0 ? (PFN_vkVoidFunction)create : function;
}

static pm_vk_device *keeps_the_instance; /* whose functions volk loads once, and whose caps are all devices' */

static int stand_in(void **state)
{
    (void)state;
    setenv("PUMICE_CACHE", "0", 1); /* what an earlier start found is not read */
    ok(pm_vk_device_open(NULL, false, &keeps_the_instance));
    real_create = keeps_the_instance->vk.vkCreateShaderModule;
    real_proc_addr = vkGetDeviceProcAddr;
    vkGetDeviceProcAddr = proc_addr;
    return 0;
}

static int stand_down(void **state)
{
    (void)state;
    vkGetDeviceProcAddr = real_proc_addr;
    pm_vk_device_close(keeps_the_instance);
    return 0;
}

/* The variant that multiplies rows of Q8_0 weights here unless it is off, and its module. */
static uint32_t picked(void)
{
    const pm_matmul m = {.weight = {.type = PM_DTYPE_Q8_0, .n = 192, .k = 192}, .rows_max = 1, .x_stride = 192,
                         .y_stride = 192};
    uint32_t index = 0;
    ok(pm_matmul_pick(pm_vk_device_caps(keeps_the_instance), &m, &index));
    return index;
}

static const pm_shader_module *module_of(uint32_t index)
{
    const char *variant = pm_matmul_variant(index);
    const char *name = strncmp(variant, "texels", 6) == 0  ? "matmul_texels_q8_0"
                       : strncmp(variant, "lanes", 5) == 0 ? "matmul_lanes_q8_0"
                                                           : "matmul_q8_0";
    for (size_t i = 0; i < pm_shader_count; i++)
        if (strcmp(pm_shader_table[i].name, name) == 0)
            return &pm_shader_table[i];
    fail_msg("no module %s", name);
    return NULL;
}

/* What the engine's creation says on stderr. */
static pm_result create_engine(pm_warm_up warm_up, pm_engine **engine, char *said, size_t capacity)
{
    char path[4096];
    const char *source = getenv("PUMICE_TEST_SOURCE");
    snprintf(path, sizeof(path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", source != NULL ? source : ".");
    FILE *file = tmpfile();
    assert_non_null(file);
    const int stderr_copy = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    const pm_engine_params params = {.model_path = path, .max_context_tokens = 64, .max_batch_tokens = 16,
                                     .max_seqs = 2, .warm_up = warm_up};
    const pm_result result = pm_engine_create(&params, engine);
    fflush(stderr);
    dup2(stderr_copy, STDERR_FILENO);
    close(stderr_copy);
    rewind(file);
    said[fread(said, 1, capacity - 1, file)] = '\0';
    fclose(file);
    return result;
}

static void a_kernel_that_does_not_compile_is_off_and_the_next_serves(void **state)
{
    (void)state;
    static answer expected, got;
    static char said[65536];
    const pm_request_params p = {.max_tokens = 12, .ignore_end = true};
    const uint32_t variant = picked();
    pm_engine *engine = NULL;
    refused = NULL;
    ok(create_engine(PM_WARM_UP_KERNELS, &engine, said, sizeof(said)));
    assert_null(strstr(said, "self-test"));
    assert_int_equal(pm_vk_device_caps(engine->device)->off_count, 0);
    ask_alone(engine, p, "The fox and the bell", &expected);
    pm_engine_destroy(engine);

    refused = module_of(variant);
    const pm_result result = create_engine(PM_WARM_UP_KERNELS, &engine, said, sizeof(said));
    refused = NULL;
    assert_true(refusals > 0);
    char warning[96];
    snprintf(warning, sizeof(warning), "gets variant %s of matmul wrong for type q8_0: it does not compile",
             pm_matmul_variant(variant));
    if (result == PM_ERR_UNSUP) {  /* subgroups of 4: nothing else multiplies Q8_0 there */
        assert_non_null(strstr(pm_error_message(), "matmul: no variant for weights of type Q8_0"));
        return;
    }
    ok(result);
    assert_non_null(strstr(said, warning));
    assert_true(pm_variant_is_off(pm_vk_device_caps(engine->device), PM_VARIANTS_MATMUL, PM_DTYPE_Q8_0, variant));
    ask_alone(engine, p, "The fox and the bell", &got);
    same_answer(&got, &expected);
    pm_engine_destroy(engine);

    /* Found when the first prompt wants it: the device is opened again, the request goes on. */
    pm_engine_stats stats;
    ok(create_engine(PM_WARM_UP_NOTHING, &engine, said, sizeof(said)));
    assert_false(pm_variant_is_off(pm_vk_device_caps(engine->device), PM_VARIANTS_MATMUL, PM_DTYPE_Q8_0, variant));
    refused = module_of(variant);
    ask_alone(engine, p, "The fox and the bell", &got);
    refused = NULL;
    same_answer(&got, &expected);
    assert_true(pm_variant_is_off(pm_vk_device_caps(engine->device), PM_VARIANTS_MATMUL, PM_DTYPE_Q8_0, variant));
    pm_engine_statistics(engine, &stats);
    assert_int_equal(stats.device_losses, 1);
    pm_engine_destroy(engine);
}

/* An op that has one way only. */
static void an_engine_that_lacks_a_kernel_says_which(void **state)
{
    (void)state;
    static char said[65536];
    pm_engine *engine = NULL;
    for (size_t i = 0; i < pm_shader_count; i++)
        if (strcmp(pm_shader_table[i].name, "embedding_q8_0") == 0)
            refused = &pm_shader_table[i];
    assert_non_null(refused);
    assert_int_equal(create_engine(PM_WARM_UP_KERNELS, &engine, said, sizeof(said)), PM_ERR_UNSUP);
    refused = NULL;
    assert_non_null(strstr(pm_error_message(), "gets embedding of type q8_0 wrong"));
    assert_non_null(strstr(pm_error_message(), "it does not compile: embedding_q8_0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kernel_that_does_not_compile_is_off_and_the_next_serves),
        cmocka_unit_test(an_engine_that_lacks_a_kernel_says_which),
    };
    return cmocka_run_group_tests_name("start_compile", tests, stand_in, stand_down);
}
