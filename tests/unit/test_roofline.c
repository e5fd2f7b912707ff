/* test_roofline.c - the limit of an op by bytes and by operations, and how much of it is reached. */
#include "measure/roofline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Copies 100 GB/s; computes 1000 f32, 2000 f16, 4000 int8, 16000 matrix operations a nanosecond. */
static const pm_bench_peaks peaks = {.read_bytes_per_s = 80e9, .copy_bytes_per_s = 100e9, .f32_per_s = 1e12,
                                     .f16_per_s = 2e12, .int8_per_s = 4e12, .matrix_per_s = 16e12};

static pm_bench_row row_of(double us, uint64_t bytes, uint64_t flops, const pm_bench_peaks *p, pm_arithmetic arithmetic)
{
    pm_bench_row row = {.us = us, .bytes = bytes, .flops = flops};
    pm_roofline(&row, p, arithmetic);
    return row;
}

static void near(double got, double want)
{
    assert_true(got > want * (1 - 1e-12) && got < want * (1 + 1e-12));
}

static void memory_limits(void **state)
{
    (void)state;
    const pm_bench_row row = row_of(100.0, 5000000, 10000000, &peaks, PM_ARITHMETIC_F32);
    near(row.gb_per_s, 50.0);
    near(row.gflop_per_s, 100.0);
    assert_string_equal(row.bound, "memory");
    near(row.percent, 50.0); /* 50 us at the better of reading and copying */
}

static void arithmetic_limits(void **state)
{
    (void)state;
    const struct { pm_arithmetic arithmetic; const char *bound; double percent; } cases[] = {
        {PM_ARITHMETIC_F32, "f32", 160.0}, {PM_ARITHMETIC_F16, "f16", 80.0},
        {PM_ARITHMETIC_INT8, "int8", 40.0}, {PM_ARITHMETIC_MATRIX, "matrix", 10.0}};
    for (int i = 0; i < 4; i++) {
        const pm_bench_row row = row_of(100.0, 100000, 160000000, &peaks, cases[i].arithmetic);
        assert_string_equal(row.bound, cases[i].bound);
        near(row.percent, cases[i].percent);
    }
}

static void what_a_device_has_not_is_f32(void **state)
{
    (void)state;
    pm_bench_peaks few = peaks;
    few.f16_per_s = few.int8_per_s = few.matrix_per_s = 0.0;
    for (int a = PM_ARITHMETIC_F32; a <= PM_ARITHMETIC_MATRIX; a++) {
        const pm_bench_row row = row_of(100.0, 100000, 50000000, &few, (pm_arithmetic)a);
        assert_string_equal(row.bound, "f32");
        near(row.percent, 50.0);
    }
}

static void nothing_measured_is_nothing(void **state)
{
    (void)state;
    const pm_bench_peaks none = {0};
    assert_true(row_of(0.0, 1, 1, &peaks, PM_ARITHMETIC_F32).percent == 0.0);
    assert_true(row_of(1.0, 1, 1, &none, PM_ARITHMETIC_F32).percent == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_limits),
        cmocka_unit_test(arithmetic_limits),
        cmocka_unit_test(what_a_device_has_not_is_f32),
        cmocka_unit_test(nothing_measured_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
