/* test_rows.c - the ops that take one row at a time: rmsnorm, swiglu, argmax. */
#include "op/suite.h"

#include "base/half.h"
#include "op/argmax.h"
#include "op/rmsnorm.h"
#include "op/swiglu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t row_counts[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,  12,  13,  14,
                                      15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 512};
static const uint32_t real_widths[] = {2048, 4096, 5632, 11008, 14336};

#define ROOT_SLACK 4.2e-7          /* sqrt() and division may err by 4.5 and 2.5 ulp */

/* One row in f32, first element to last: the trusted implementation. */
static void plain_rmsnorm(const float *x, const float *w, uint32_t dim, float *y)
{
    float sum = 0.0f;
    for (uint32_t i = 0; i < dim; i++)
        sum += x[i] * x[i];
    const float scale = 1.0f / sqrtf(sum / (float)dim + 1e-5f);
    for (uint32_t i = 0; i < dim; i++)
        y[i] = x[i] * scale * w[i];
}

static void check_rmsnorm(uint32_t dim, uint32_t rows, bool has_add, bool has_index, input_kind kind)
{
    const uint32_t stride = pm_row_stride(dim), x_rows = rows + 3, rows_max = rows + 1;
    const uint64_t floats = (uint64_t)x_rows * stride;
    float *x = calloc(floats, 4), *add = calloc(floats, 4), *w = calloc(dim, 4), *got = calloc((uint64_t)rows_max * stride, 4),
          *after = calloc(floats, 4);
    double *want = calloc(dim, sizeof(*want));
    float *sums = calloc(dim, 4), *plain = calloc(dim, 4);
    uint32_t *index = calloc(rows_max, 4);
    assert_true(x && add && w && got && want && index && after && sums && plain);
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
            sums[i] = value;
        }
        char what[100];
        snprintf(what, sizeof(what), "rmsnorm of %u, row %u of %u, x %s%s%s", dim, r, rows, input_name(kind),
                 has_add ? ", add" : "", has_index ? ", index" : "");
        compare(&got[r * stride], want, NULL, dim, 1e-6, 1e-30, what);
        plain_rmsnorm(sums, w, dim, plain);
        if (kind != INPUT_TINY)
            compare_rule(&got[r * stride], plain, want, NULL, dim, ROOT_SLACK, what);
        for (uint32_t i = dim; i < stride; i++)
            assert_true(got[r * stride + i] == 0.0f);
    }
    tally("rmsnorm", "", (uint64_t)rows * dim);
    free(sums);
    free(plain);
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
    for (uint32_t i = 0; i < COUNT_OF(real_widths); i++)
        check_rmsnorm(real_widths[i], 2, i % 2, i % 2, INPUT_NORMAL);
    for (uint32_t i = 0; i < COUNT_OF(row_counts); i++)
        check_rmsnorm(100, row_counts[i], pick(2), pick(2), INPUT_NORMAL);
    for (int kind = 0; kind <= INPUT_SCALES; kind++)
        check_rmsnorm(768, 2, false, false, (input_kind)kind);
    compare_report("rmsnorm");
}

/* The trusted implementation of one row in f32, and what a device may err more, of its worst element: its
 * exp() errs by up to 3 + 2 |x| ulp, which reaches silu by the share e^-x / (1 + e^-x), and its
 * division by 2.5. */
static double plain_swiglu(const float *gate, const float *up, uint32_t hidden, float *y)
{
    double slack = 0.0;
    for (uint32_t i = 0; i < hidden; i++) {
        const double x = (double)gate[i];
        y[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
        slack = fmax(slack, (3.0 + 2.0 * fabs(x)) / (1.0 + exp(x)));
    }
    return (slack + 2.5) * 0x1p-23;
}

static void check_swiglu(uint32_t hidden, uint32_t rows, float size, input_kind kind)
{
    const uint32_t x_stride = pm_row_stride(2 * hidden), y_stride = pm_row_stride(hidden), rows_max = rows + 2;
    float *x = calloc((uint64_t)rows_max * x_stride, 4), *got = calloc((uint64_t)rows_max * y_stride, 4);
    double *want = calloc(hidden, sizeof(*want));
    float *plain = calloc(hidden, 4);
    assert_true(x && got && want && plain);
    for (uint64_t i = 0; i < (uint64_t)rows_max * x_stride; i++)
        x[i] = input_value(kind, harness_seed() + 4, i) * size;
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
        char what[100];
        snprintf(what, sizeof(what), "swiglu of %u, row %u of %u, x %s times %g", hidden, r, rows, input_name(kind), (double)size);
        compare(&got[r * y_stride], want, NULL, hidden, 3e-5, 1e-30, what);
        const double slack = plain_swiglu(x + r * x_stride, x + r * x_stride + hidden, hidden, plain);
        if (kind != INPUT_TINY) /* flushed denormals are no error of the sum */
            compare_rule(&got[r * y_stride], plain, want, NULL, hidden, slack, what);
        for (uint32_t i = hidden; i < y_stride; i++)
            assert_true(got[r * y_stride + i] == 0.0f);
    }
    for (uint64_t i = (uint64_t)rows * y_stride; i < (uint64_t)rows_max * y_stride; i++)
        assert_int_equal(pm_f32_bits(got[i]), CANARY_WORD);
    buffer_free(&xb);
    buffer_free(&yb);
    buffer_free(&rb);
    tally("swiglu", "", (uint64_t)rows * hidden);
    free(plain);
    free(x);
    free(got);
    free(want);
}

static void swiglu_matches_double(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 33, 172, 2048, 5632};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_swiglu(sizes[i], 1, 1.0f, INPUT_NORMAL);
        check_swiglu(sizes[i], 3, 10.0f, INPUT_NORMAL);
    }
    for (uint32_t i = 0; i < COUNT_OF(real_widths); i++)
        check_swiglu(real_widths[i], 2, 3.0f, INPUT_NORMAL);
    for (uint32_t i = 0; i < COUNT_OF(row_counts); i++)
        check_swiglu(100, row_counts[i], 1.0f, INPUT_NORMAL);
    check_swiglu(700, 3, 0.125f, INPUT_OUTLIERS); /* e^-gate stays a number */
    check_swiglu(700, 3, 1.0f, INPUT_ZERO_BLOCKS);
    check_swiglu(700, 3, 1.0f, INPUT_ZEROS);
    check_swiglu(700, 3, 1.0f, INPUT_TINY);
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

/* Rows of masked logits of a real vocabulary, with equal maxima planted far apart. */
static void check_argmax_rows(uint32_t n, uint32_t rows, input_kind kind)
{
    const uint32_t rows_max = rows + 2, stride = n + 3;
    float *x = calloc((uint64_t)rows_max * stride, 4);
    uint32_t *got = calloc(rows_max, 4);
    assert_true(x && got);
    test_buffer xb = buffer_input(kind, harness_seed() + n, rows_max, n, stride), tb = buffer_make(rows_max * 4),
                rb = buffer_from(&rows, 4);
    buffer_read(&xb, x);
    for (uint32_t r = 0; r < rows; r++) {
        x[(uint64_t)r * stride + pick(n)] = 7.0f;
        x[(uint64_t)r * stride + pick(n)] = 7.0f;
        for (uint32_t i = n; i < stride; i++)
            x[(uint64_t)r * stride + i] = 100.0f; /* past the row: must not be seen */
    }
    ok(pm_vk_upload(harness_device(), xb.slice, x, xb.slice.bytes));
    const pm_argmax a = {.x = xb.slice, .tokens = tb.slice, .rows = rb.slice, .rows_max = rows_max, .n = n, .x_stride = stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_argmax_record(recorder, &a));
    run_recorder(recorder);
    buffer_read(&tb, got);
    for (uint32_t r = 0; r < rows_max; r++) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < n; i++)
            best = x[(uint64_t)r * stride + i] > x[(uint64_t)r * stride + best] ? i : best;
        if (got[r] != (r < rows ? best : CANARY_WORD))
            fail_msg("argmax of %u, row %u of %u, x %s: %u, expected %u", n, r, rows, input_name(kind), got[r],
                     r < rows ? best : CANARY_WORD);
    }
    tally("argmax", "", rows);
    buffer_free(&xb);
    buffer_free(&tb);
    buffer_free(&rb);
    free(x);
    free(got);
}

static void argmax_of_vocabularies_and_masked_rows(void **state)
{
    (void)state;
    check_argmax_rows(32000, 3, INPUT_MASKED);
    check_argmax_rows(151936, 2, INPUT_MASKED);
    for (uint32_t i = 0; i < COUNT_OF(row_counts); i++)
        check_argmax_rows(77, row_counts[i], pick(2) ? INPUT_MASKED : INPUT_NORMAL);
    check_argmax_rows(1000, 5, INPUT_TINY);
    check_argmax_rows(1000, 5, INPUT_ZEROS);
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

/* ------------------------------------------------- far rows, determinism */

/* x of rows 8 MiB apart, so that the last ones lie past 2^32 bytes. */
static void rows_past_4_gib(void **state)
{
    (void)state;
    const uint32_t dim = 100, rows = 3, x_rows = 530, stride = 1u << 21, y_stride = 128;
    const uint32_t index[] = {529, 0, 513};
    far_memory far;
    if (!far_make(&far, (uint64_t)x_rows * stride * 4, "rows past 4 GiB"))
        skip();
    float x[3][200], w[100], got[3 * 128];
    double want[100];
    input_fill(&x[0][0], 600, INPUT_NORMAL, harness_seed());
    input_fill(w, dim, INPUT_NORMAL, harness_seed() + 1);
    for (uint32_t r = 0; r < rows; r++)
        far_write(&far, (uint64_t)index[r] * stride * 4, x[r], sizeof(x[r]));
    test_buffer wb = buffer_from(w, sizeof(w)), ib = buffer_from(index, sizeof(index)), rb = buffer_from(&rows, 4),
                all = buffer_from(&x_rows, 4), yb = buffer_make(rows * y_stride * 4), tb = buffer_make(x_rows * 4);
    const pm_rmsnorm n = {.x = far.slice, .w = wb.slice, .y = yb.slice, .index = ib.slice, .rows = rb.slice, .rows_max = rows,
                          .dim = dim, .x_stride = stride, .y_stride = y_stride, .epsilon = 1e-5f};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rmsnorm_record(recorder, &n));
    run_recorder(recorder);
    buffer_read(&yb, got);
    for (uint32_t r = 0; r < rows; r++) {
        double sum = 0.0;
        for (uint32_t i = 0; i < dim; i++)
            sum += (double)x[r][i] * (double)x[r][i];
        for (uint32_t i = 0; i < dim; i++)
            want[i] = (double)x[r][i] / sqrt(sum / dim + 1e-5) * (double)w[i];
        compare(&got[r * y_stride], want, NULL, dim, 1e-6, 1e-30, "rmsnorm, a row past 4 GiB");
    }
    test_buffer swiglu = buffer_make((uint64_t)x_rows * y_stride * 4);
    const pm_swiglu s = {.gate_up = far.slice, .y = swiglu.slice, .rows = all.slice, .rows_max = x_rows, .hidden = dim,
                         .x_stride = stride, .y_stride = y_stride};
    const pm_argmax a = {.x = far.slice, .tokens = tb.slice, .rows = all.slice, .rows_max = x_rows, .n = dim, .x_stride = stride};
    recorder = make_recorder();
    ok(pm_swiglu_record(recorder, &s));
    ok(pm_argmax_record(recorder, &a));
    run_recorder(recorder);
    float *y = malloc((uint64_t)x_rows * y_stride * 4);
    uint32_t *tokens = malloc(x_rows * 4);
    assert_true(y && tokens);
    buffer_read(&swiglu, y);
    buffer_read(&tb, tokens);
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t best = 0;
        for (uint32_t i = 0; i < dim; i++) {
            want[i] = (double)x[r][i] / (1.0 + exp(-(double)x[r][i])) * (double)x[r][dim + i];
            best = x[r][i] > x[r][best] ? i : best;
        }
        compare(&y[(uint64_t)index[r] * y_stride], want, NULL, dim, 3e-5, 1e-30, "swiglu, a row past 4 GiB");
        assert_int_equal(tokens[index[r]], best);
    }
    assert_int_equal(tokens[300], 0); /* of zeros, which nobody wrote */
    tally("rows", "past 4 GiB", 3 * rows * dim);
    free(y);
    free(tokens);
    buffer_free(&wb);
    buffer_free(&ib);
    buffer_free(&rb);
    buffer_free(&all);
    buffer_free(&yb);
    buffer_free(&tb);
    buffer_free(&swiglu);
    far_free(&far);
}

static void fifty_repeats_and_a_fresh_recording_are_the_same_bits(void **state)
{
    (void)state;
    const uint32_t rows = 17, dim = 1000, stride = 1024;
    float w[1000];
    input_fill(w, dim, INPUT_NORMAL, harness_seed());
    test_buffer x = buffer_input(INPUT_OUTLIERS, harness_seed(), rows, dim, stride), wb = buffer_from(w, sizeof(w)),
                count = buffer_from(&rows, 4), y = buffer_make(2 * rows * stride * 4 + rows * 4);
    const pm_slice norm = pm_slice_part(y.slice, 0, rows * stride * 4), silu = pm_slice_part(y.slice, norm.bytes, norm.bytes),
                   tokens = pm_slice_part(y.slice, 2 * norm.bytes, rows * 4);
    const pm_rmsnorm n = {.x = x.slice, .w = wb.slice, .y = norm, .rows = count.slice, .rows_max = rows, .dim = dim,
                          .x_stride = stride, .y_stride = stride, .epsilon = 1e-6f};
    const pm_swiglu s = {.gate_up = norm, .y = silu, .rows = count.slice, .rows_max = rows, .hidden = 500, .x_stride = stride,
                         .y_stride = stride};
    const pm_argmax a = {.x = silu, .tokens = tokens, .rows = count.slice, .rows_max = rows, .n = 500, .x_stride = stride};
    pm_vk_commands *commands[2];
    for (int i = 0; i < 2; i++) {
        pm_vk_recorder *recorder = make_recorder();
        ok(pm_rmsnorm_record(recorder, &n));
        ok(pm_swiglu_record(recorder, &s));
        ok(pm_argmax_record(recorder, &a));
        ok(pm_vk_recorder_end(recorder, &commands[i]));
        pm_vk_recorder_destroy(recorder);
    }
    check_repeats(commands[0], commands[1], &y, "rmsnorm, swiglu and argmax in a row");
    buffer_free(&x);
    buffer_free(&wb);
    buffer_free(&count);
    buffer_free(&y);
}

static int finish(void **state)
{
    (void)state;
    tally_print();
    harness_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_matches_double),
        cmocka_unit_test(swiglu_matches_double),
        cmocka_unit_test(argmax_takes_the_first_of_equals_and_never_nan),
        cmocka_unit_test(argmax_of_vocabularies_and_masked_rows),
        cmocka_unit_test(rows_past_4_gib),
        cmocka_unit_test(fifty_repeats_and_a_fresh_recording_are_the_same_bits),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, finish);
}
