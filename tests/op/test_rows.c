/* test_rows.c - the ops that take one row at a time: rmsnorm, swiglu, argmax. */
#include "op/harness.h"

#include "base/half.h"
#include "op/argmax.h"
#include "op/rmsnorm.h"
#include "op/swiglu.h"
#include "op/weight.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_rmsnorm(uint32_t dim, uint32_t rows, bool has_add, bool has_index, input_kind kind)
{
    const uint32_t stride = pm_row_stride(dim), x_rows = rows + 3, rows_max = rows + 1;
    const uint64_t floats = (uint64_t)x_rows * stride;
    float *x = calloc(floats, 4), *add = calloc(floats, 4), *w = calloc(dim, 4), *got = calloc((uint64_t)rows_max * stride, 4),
          *after = calloc(floats, 4);
    double *want = calloc(dim, sizeof(*want));
    uint32_t *index = calloc(rows_max, 4);
    assert_true(x && add && w && got && want && index && after);
    for (uint32_t r = 0; r < x_rows; r++)
        for (uint32_t i = 0; i < dim; i++) {
            x[r * stride + i] = input_value(kind, harness_seed() + 1, (uint64_t)r * dim + i);
            add[r * stride + i] = input_value(INPUT_NORMAL, harness_seed() + 2, (uint64_t)r * dim + i);
        }
    input_fill(w, dim, INPUT_NORMAL, harness_seed() + 3);
    for (uint32_t r = 0; r < rows; r++)
        index[r] = x_rows - 1 - r;
    test_buffer xb = buffer_from(x, floats * 4), ab = buffer_from(add, floats * 4), wb = buffer_from(w, dim * 4),
                yb = buffer_make((uint64_t)rows_max * stride * 4), ib = buffer_from(index, rows_max * 4), rb = buffer_from(&rows, 4);
    const pm_rmsnorm n = {.x = xb.slice, .add = has_add ? ab.slice : (pm_slice){0}, .w = wb.slice, .y = yb.slice,
                          .index = has_index ? ib.slice : (pm_slice){0}, .rows = rb.slice, .rows_max = rows_max, .dim = dim,
                          .x_stride = stride, .y_stride = stride, .epsilon = 1e-5f};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rmsnorm_record(recorder, &n));
    run_recorder(recorder);
    buffer_read(&yb, got);
    buffer_read(&xb, after);
    for (uint32_t r = 0; r < rows_max; r++) {
        const uint32_t from = has_index ? index[r] : r;
        double sum = 0.0;
        for (uint32_t i = 0; i < stride && r >= rows; i++)
            assert_int_equal(pm_f32_bits(got[r * stride + i]), CANARY_WORD);
        if (r >= rows)
            continue;
        for (uint32_t i = 0; i < dim; i++) {
            const float value = has_add ? x[from * stride + i] + add[from * stride + i] : x[from * stride + i];
            if (fabsf(value) > 1e-37f)
                assert_true(after[from * stride + i] == value);
            sum += (double)value * (double)value;
        }
        for (uint32_t i = 0; i < dim; i++) {
            const float value = has_add ? x[from * stride + i] + add[from * stride + i] : x[from * stride + i];
            want[i] = (double)value / sqrt(sum / dim + 1e-5) * (double)w[i];
        }
        compare(&got[r * stride], want, NULL, dim, 4e-6, 1e-30, "rmsnorm");
        for (uint32_t i = dim; i < stride; i++)
            assert_true(got[r * stride + i] == 0.0f);
    }
    buffer_free(&xb);
    buffer_free(&ab);
    buffer_free(&wb);
    buffer_free(&yb);
    buffer_free(&ib);
    buffer_free(&rb);
    free(x);
    free(add);
    free(w);
    free(got);
    free(after);
    free(want);
    free(index);
}

static void rmsnorm_matches_double(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 31, 64, 172, 288, 768, 2048, 4096};
    for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++) {
        check_rmsnorm(dims[i], 1, false, false, INPUT_NORMAL);
        check_rmsnorm(dims[i], 5, true, false, INPUT_OUTLIERS);
        check_rmsnorm(dims[i], 3, true, true, INPUT_NORMAL);
        check_rmsnorm(dims[i], 2, false, true, INPUT_ZEROS);
    }
    check_rmsnorm(768, 2, false, false, INPUT_LARGE);
    check_rmsnorm(768, 2, false, false, INPUT_TINY);
    compare_report("rmsnorm");
}

static void check_swiglu(uint32_t hidden, uint32_t rows, float size)
{
    const uint32_t x_stride = pm_row_stride(2 * hidden), y_stride = pm_row_stride(hidden), rows_max = rows + 2;
    float *x = calloc((uint64_t)rows_max * x_stride, 4), *got = calloc((uint64_t)rows_max * y_stride, 4);
    double *want = calloc(hidden, sizeof(*want));
    assert_true(x && got && want);
    for (uint64_t i = 0; i < (uint64_t)rows_max * x_stride; i++)
        x[i] = input_value(INPUT_NORMAL, harness_seed() + 4, i) * size;
    test_buffer xb = buffer_from(x, (uint64_t)rows_max * x_stride * 4), yb = buffer_make((uint64_t)rows_max * y_stride * 4),
                rb = buffer_from(&rows, 4);
    const pm_swiglu s = {.gate_up = xb.slice, .y = yb.slice, .rows = rb.slice, .rows_max = rows_max, .hidden = hidden,
                         .x_stride = x_stride, .y_stride = y_stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_swiglu_record(recorder, &s));
    run_recorder(recorder);
    buffer_read(&yb, got);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < hidden; i++) {
            const double gate = (double)x[r * x_stride + i], up = (double)x[r * x_stride + hidden + i];
            want[i] = gate / (1.0 + exp(-gate)) * up;
        }
        compare(&got[r * y_stride], want, NULL, hidden, 3e-5, 1e-30, "swiglu");
        for (uint32_t i = hidden; i < y_stride; i++)
            assert_true(got[r * y_stride + i] == 0.0f);
    }
    for (uint64_t i = (uint64_t)rows * y_stride; i < (uint64_t)rows_max * y_stride; i++)
        assert_int_equal(pm_f32_bits(got[i]), CANARY_WORD);
    buffer_free(&xb);
    buffer_free(&yb);
    buffer_free(&rb);
    free(x);
    free(got);
    free(want);
}

static void swiglu_matches_double(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 33, 172, 2048, 5632};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_swiglu(sizes[i], 1, 1.0f);
        check_swiglu(sizes[i], 3, 10.0f);
    }
    compare_report("swiglu");
}

static void check_argmax(const float *x, uint32_t n, uint32_t expected)
{
    const uint32_t rows = 1;
    uint32_t got[2] = {0};
    test_buffer xb = buffer_from(x, n * 4), tb = buffer_make(8), rb = buffer_from(&rows, 4);
    const pm_argmax a = {.x = xb.slice, .tokens = tb.slice, .rows = rb.slice, .rows_max = 2, .n = n, .x_stride = n};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_argmax_record(recorder, &a));
    run_recorder(recorder);
    buffer_read(&tb, got);
    assert_int_equal(got[0], expected);
    assert_int_equal(got[1], CANARY_WORD);
    buffer_free(&xb);
    buffer_free(&tb);
    buffer_free(&rb);
}

static void argmax_takes_the_first_of_equals_and_never_nan(void **state)
{
    (void)state;
    static float x[32000];
    static const uint32_t sizes[] = {1, 2, 31, 33, 1000, 32000};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        const uint32_t n = sizes[s];
        input_fill(x, n, INPUT_NORMAL, harness_seed() + s);
        uint32_t best = 0;
        for (uint32_t i = 1; i < n; i++)
            best = x[i] > x[best] ? i : best;
        check_argmax(x, n, best);
        x[n - 1] = x[best];
        check_argmax(x, n, best); /* the first of two equals */
        x[0] = NAN;
        if (n > 2 && best != 0)
            check_argmax(x, n, best);
        for (uint32_t i = 0; i < n; i++)
            x[i] = -INFINITY;
        check_argmax(x, n, 0);
        for (uint32_t i = 0; i < n; i++)
            x[i] = NAN;
        check_argmax(x, n, PM_ARGMAX_NAN);
    }
}

static int finish(void **state)
{
    (void)state;
    harness_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_matches_double),
        cmocka_unit_test(swiglu_matches_double),
        cmocka_unit_test(argmax_takes_the_first_of_equals_and_never_nan),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, finish);
}
