/* test_measure.c - peaks are measured, ops are timed, and what they must move and do is counted right. */
#include "op/harness.h"

#include "measure/list.h"
#include "op/attention.h"
#include "op/matmul.h"
#include "vk/bandwidth.h"
#include "vk/peaks.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

/* More than any device does: 20 TB/s, 20 P operations a second. */
#define BYTES_MAX 20e12
#define OPERATIONS_MAX 20e15

static void peaks_are_possible(void **state)
{
    (void)state;
    pm_vk_device *device = harness_device();
    const pm_vk_caps *caps = pm_vk_device_caps(device);
    double read = 0.0, copy = 0.0;
    pm_vk_peaks p;
    ok(pm_vk_bandwidths(device, &read, &copy));
    ok(pm_vk_peaks_measure(device, &p));
    print_message("read %.2f copy %.2f GB/s; f32 %.1f f16 %.1f int8 %.1f matrix %.1f G/s\n", read * 1e-9, copy * 1e-9,
                  p.f32 * 1e-9, p.f16 * 1e-9, p.int8 * 1e-9, p.matrix * 1e-9);
    assert_true(read > 1e6 && read < BYTES_MAX && copy > 1e6 && copy < BYTES_MAX);
    assert_true(p.f32 > 1e6 && p.f32 < OPERATIONS_MAX);
    assert_true(p.int8 < OPERATIONS_MAX && (p.int8 > 1e6) == pm_vk_module_exists("peak_dot"));
    assert_true(p.f16 < OPERATIONS_MAX &&
                (p.f16 > 1e6) == ((caps->bits & PM_CAP_BIT(F16)) != 0 && pm_vk_module_exists("peak_f16")));
    assert_true(p.matrix < OPERATIONS_MAX);
    assert_true((p.matrix > 1e6) == (caps->matrix_count > 0 && pm_vk_module_exists("peak_coopmat")));
    assert_true((p.matrix > 0.0) == (p.shape.m > 0));
}

static pm_check_time time_of(pm_check check)
{
    pm_vk_device *device = NULL;
    pm_check_time t;
    check.seed = 1;
    ok(pm_vk_device_open(NULL, true, &device));
    assert_int_not_equal(pm_vk_device_caps(device)->bits & PM_CAP_BIT(TIMESTAMP), 0);
    ok(pm_check_measure(device, &check, NULL, 3, &t));
    pm_vk_device_close(device);
    assert_true(t.ns_min > 0 && t.ns_min <= t.ns && t.ns <= t.ns_max);
    return t;
}

/* Bytes of a block of each type: as files have it, and for Q6_K 2 more, since its packed scales are whole words. */
static const struct { pm_dtype type; uint64_t block, bytes; } types[] = {
    {PM_DTYPE_F32, 1, 4},    {PM_DTYPE_F16, 1, 2},     {PM_DTYPE_Q8_0, 32, 34},  {PM_DTYPE_Q4_0, 32, 18},
    {PM_DTYPE_Q4_K, 256, 144}, {PM_DTYPE_Q6_K, 256, 212}};

static void matmul_counts(void **state)
{
    (void)state;
    const pm_vk_caps *caps = pm_vk_device_caps(harness_device());
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        for (uint32_t rows = 1; rows <= 6; rows += 5) {
            pm_check check = {.op = PM_CHECK_MATMUL, .type = types[i].type, .rows = rows, .n = 96, .k = 512};
            while (pm_check_lacks(&check, caps) != NULL || pm_matmul_variant_numerics(check.variant) != PM_MATMUL_F32)
                check.variant++;
            const pm_check_time t = time_of(check);
            const uint64_t weights = 96 * 512 / types[i].block * types[i].bytes;
            assert_int_equal(t.flops, 2ull * rows * 96 * 512);
            assert_int_equal(t.bytes, weights + rows * 512ull * 4 + rows * 96ull * 4);
        }
}

static void rows_and_attention_count(void **state)
{
    (void)state;
    const uint64_t rows = 7, norm_rows = rows + 1; /* a check asks for a row more than there is */
    const pm_check_time norm = time_of((pm_check){.op = PM_CHECK_RMSNORM, .rows = 7, .k = 320});
    assert_int_equal(norm.bytes, norm_rows * 320 * 4 * 4 + 320 * 4); /* x read and written, what is added, y; w */
    const pm_check attention = {.op = PM_CHECK_ATTENTION, .type = PM_KV_F16, .rows = 1, .past = 95, .heads = 4,
                                .kv_heads = 2, .head_dim = 64, .page_tokens = 16};
    const pm_check_time a = time_of(attention);
    assert_int_equal(a.bytes, 2ull * 2 * 64 * 2 * 96);     /* keys and values, 2 heads of 64 halves, 96 tokens */
    assert_int_equal(a.flops, 4ull * 4 * 64 * 96);
}

static void a_list_has_what_was_asked_for(void **state)
{
    (void)state;
    const pm_vk_caps *caps = pm_vk_device_caps(harness_device());
    const uint32_t rows[] = {1, 9};
    pm_bench_params p = {.ops = "matmul,rmsnorm", .types = "f32,q4_k", .rows = rows, .row_count = 2, .n = 64, .k = 256};
    pm_check_list list;
    ok(pm_bench_list_make(&p, caps, &list));
    assert_int_equal(list.count, 6); /* two types and the norm, two row counts; one variant each */
    for (uint32_t i = 0; i < list.count; i++) {
        assert_true(list.checks[i].rows == 1 || list.checks[i].rows == 9);
        assert_true(pm_bench_picked(&list.checks[i], caps));
    }
    pm_free(list.checks);
    p.full = true;
    ok(pm_bench_list_make(&p, caps, &list));
    assert_true(list.count > 6);
    pm_free(list.checks);
    p = (pm_bench_params){.ops = "matmul", .types = "q8_0", .variants = "rows1", .rows = rows, .row_count = 1};
    ok(pm_bench_list_make(&p, caps, &list));
    assert_int_equal(list.count, 1);
    assert_string_equal(pm_check_variant_name(&list.checks[0]), "rows1");
    pm_free(list.checks);
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    const pm_vk_caps *caps = pm_vk_device_caps(harness_device());
    const uint32_t rows[] = {2049};
    const pm_bench_params wrong[] = {{.ops = "matmul,multiply"}, {.types = "q8_0,"}, {.variants = "rows3"}, {.k = 100},
                                     {.rows = rows, .row_count = 1}};
    static const char *const texts[] = {"no op 'multiply', there are embedding matmul", "no type ''",
                                        "no variant 'rows3'", "a multiple of 256", "2049 rows"};
    pm_check_list list;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(pm_bench_list_make(&wrong[i], caps, &list), PM_ERR_ARG);
        assert_non_null(strstr(pm_error_message(), texts[i]));
    }
}

static void nothing_to_run_is_refused(void **state)
{
    (void)state;
    const pm_bench_params p = {.ops = "rmsnorm", .types = "q8_0"};
    pm_check_list list;
    assert_int_equal(pm_bench_list_make(&p, pm_vk_device_caps(harness_device()), &list), PM_ERR_UNSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peaks_are_possible),
        cmocka_unit_test(matmul_counts),
        cmocka_unit_test(rows_and_attention_count),
        cmocka_unit_test(a_list_has_what_was_asked_for),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(nothing_to_run_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, harness_finish);
}
