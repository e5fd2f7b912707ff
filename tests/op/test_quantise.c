/* test_quantise.c - activations in 8-bit blocks, and the matmul of them, against the same
 * numerics in C. */
#include "base/half.h"
#include "op/matmul.h"
#include "op/suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Block b of row r as shaders/quantise.comp lays it out. */
static const uint32_t *chunk_of(const uint32_t *q8, uint32_t blocks, uint32_t r, uint32_t b)
{
    return &q8[((size_t)(r / 4) * blocks + b) * 40];
}

static const int8_t *quants_of(const uint32_t *q8, uint32_t blocks, uint32_t r, uint32_t b)
{
    return (const int8_t *)&chunk_of(q8, blocks, r, b)[r % 4 * 8];
}

static float scale_of(const uint32_t *q8, uint32_t blocks, uint32_t r, uint32_t b)
{
    return pm_f32_from_bits(chunk_of(q8, blocks, r, b)[32 + r % 4 * 2]);
}

static int half_sum(const uint32_t *q8, uint32_t blocks, uint32_t r, uint32_t b, int half)
{
    return (int16_t)(chunk_of(q8, blocks, r, b)[32 + r % 4 * 2 + 1] >> (16 * half) & 0xffff);
}

static float largest(const float *x)
{
    float most = 0.0f;
    for (int i = 0; i < 32; i++)
        most = fabsf(x[i]) > most || isnan(x[i]) ? fabsf(x[i]) : most;
    return most;
}

static test_buffer quantise(pm_slice x, pm_slice rows, uint32_t rows_max, uint32_t k, uint32_t x_stride)
{
    test_buffer y = buffer_make(pm_quantise_bytes(rows_max, k));
    const pm_quantise q = {.x = x, .y = y.slice, .rows = rows, .rows_max = rows_max, .k = k, .x_stride = x_stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_quantise_record(recorder, &q));
    run_recorder(recorder);
    return y;
}

/* -------------------------------------------------------------- quantise */

/* The block as the header of the shader says; a quotient within 1e-4 of a tie may go either way. */
static void check_block(const uint32_t *q8, uint32_t blocks, uint32_t r, uint32_t b, const float *x, const char *what)
{
    const int8_t *q = quants_of(q8, blocks, r, b);
    const float most = largest(x), d = scale_of(q8, blocks, r, b);
    int sums[2] = {0, 0};
    for (int i = 0; i < 32; i++)
        sums[i / 16] += q[i];
    for (int half = 0; half < 2; half++)
        if (half_sum(q8, blocks, r, b, half) != sums[half])
            fail_msg("%s: block %u: sum %d of half %d, expected %d", what, b, half_sum(q8, blocks, r, b, half), half, sums[half]);
    if (!isfinite(most) || most < 0x1p-118f) {
        for (int i = 0; i < 32; i++)
            assert_int_equal(q[i], 0);
        if (isfinite(most) ? d != 0.0f : !isnan(d))
            fail_msg("%s: block %u of largest %g: scale %g", what, b, (double)most, (double)d);
        return;
    }
    const float want = most * (1.0f / 127.0f), inverse = 127.0f / most;
    if (labs((long)pm_f32_bits(d) - (long)pm_f32_bits(want)) > 1)
        fail_msg("%s: block %u: scale %.9g, expected %.9g", what, b, (double)d, (double)want);
    for (int i = 0; i < 32; i++) {
        const double quotient = (double)(x[i] * inverse), rest = fabs(quotient - trunc(quotient));
        const bool tie = fabs(rest - 0.5) < 1e-4 * (1.0 + fabs(quotient) * 1e-2);
        const int nearest = (int)nearbyint(quotient);
        if (q[i] != nearest && !(tie && abs(q[i] - nearest) == 1))
            fail_msg("%s: block %u element %d: %.9g of %.9g is %d, expected %d", what, b, i, (double)x[i], (double)most, q[i],
                     nearest);
    }
}

static void check_quantise(const float *x, uint32_t rows, uint32_t rows_max, uint32_t k, const char *what)
{
    const uint32_t stride = pm_row_stride(k), blocks = (k + 31) / 32;
    test_buffer x_buffer = buffer_from(x, (uint64_t)rows_max * stride * 4), count = buffer_from(&rows, 4);
    test_buffer y = quantise(x_buffer.slice, count.slice, rows_max, k, stride);
    uint32_t *got = malloc(y.slice.bytes);
    assert_non_null(got);
    buffer_read(&y, got);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t b = 0; b < blocks; b++)
            check_block(got, blocks, r, b, &x[r * stride + b * 32], what);
    for (uint32_t r = rows; r < (rows_max + 3) / 4 * 4; r++) /* rows past the count */
        for (uint32_t b = 0; b < blocks; b++)
            for (uint32_t j = 0; j < 8; j++)
                assert_int_equal(chunk_of(got, blocks, r, b)[r % 4 * 8 + j], CANARY_WORD);
    buffer_free(&x_buffer);
    buffer_free(&count);
    buffer_free(&y);
    free(got);
}

static void every_block_is_the_one_that_c_makes(void **state)
{
    (void)state;
    static const uint32_t widths[] = {1, 31, 32, 40, 256, 288, 4096};
    for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++)
        for (int kind = 0; kind < INPUT_KINDS; kind++) {
            enum { ROWS = 5, ROWS_MAX = 7 };
            const uint32_t k = widths[w], stride = pm_row_stride(k);
            float *x = calloc((size_t)ROWS_MAX * stride, sizeof(*x));
            assert_non_null(x);
            for (uint32_t r = 0; r < ROWS; r++)
                for (uint32_t i = 0; i < k; i++)
                    x[r * stride + i] = input_value((input_kind)kind, harness_seed() + k, (uint64_t)r * k + i);
            char what[64];
            snprintf(what, sizeof(what), "k %u, inputs %d", k, kind);
            check_quantise(x, ROWS, ROWS_MAX, k, what);
            free(x);
        }
}

static void hard_blocks_are_as_declared(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        float first, rest;
    } cases[] = {
        {"ties", 127.0f, 2.5f},          {"ties below", -127.0f, -63.5f}, {"one large", 3e38f, 1.0f},
        {"infinite", -INFINITY, 1.0f},   {"NaN first", NAN, 1.0f},        {"NaN later", 1.0f, NAN},
        {"the least", 0x1p-118f, 0x1p-119f}, {"below it", 0x1.fp-119f, 0x1p-120f}, {"negative zero", -0.0f, 0.0f},
    };
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        float x[64];
        for (int i = 0; i < 64; i++)
            x[i] = i % 32 == 0 ? cases[c].first : cases[c].rest;
        check_quantise(x, 1, 1, 64, cases[c].what);
    }
}

static void fifty_repeats_and_a_fresh_recording_are_the_same_bits(void **state)
{
    (void)state;
    const uint32_t rows = 13, k = 300, stride = pm_row_stride(k);
    test_buffer x = buffer_input(INPUT_OUTLIERS, harness_seed(), rows, k, stride), count = buffer_from(&rows, 4),
                y = buffer_make(pm_quantise_bytes(rows, k));
    const pm_quantise q = {.x = x.slice, .y = y.slice, .rows = count.slice, .rows_max = rows, .k = k, .x_stride = stride};
    pm_vk_commands *commands[2];
    for (int i = 0; i < 2; i++) {
        pm_vk_recorder *recorder = make_recorder();
        ok(pm_quantise_record(recorder, &q));
        ok(pm_vk_recorder_end(recorder, &commands[i]));
        pm_vk_recorder_destroy(recorder);
    }
    check_repeats(commands[0], commands[1], &y, "quantise");
    buffer_free(&x);
    buffer_free(&count);
    buffer_free(&y);
}

/* ---------------------------------------------------------------- matmul */

/* The declared numerics over what the device quantised: exact sums in a block, here in double
 * over the exact weights, times d. What is left to f32 is a few roundings a block: 1.8e-7
 * of the sum of |terms| was the worst seen. */
#define RTOL 1e-6
#define ATOL 1e-30

typedef struct matmul_case {
    pm_dtype type;
    uint32_t n, k, rows, rows_max, slices, variant;
    input_kind kind;
} matmul_case;

/* What the rounding of x makes of a dot product: k independent errors of at most half a step,
 * h = sqrt(sum (w d / 2)^2). Hoeffding: more than 6 h comes once in 3e7 elements; with
 * these inputs 2.5 h was the worst seen. */
#define SHARE_MAX 6.0
static double share_worst;

static void check_case(const matmul_case *c)
{
    enum { N_MAX = 100 };
    const uint64_t seed = harness_seed() + c->type * 1000 + c->k + c->rows;
    const uint32_t stride = pm_row_stride(c->k), blocks = (c->k + 31) / 32;
    uint8_t *raw = blocks_random(c->type, BLOCKS_NORMAL, c->n, c->k, seed);
    float *w = malloc((size_t)c->n * c->k * 4), *x = calloc((size_t)c->rows_max * stride, 4);
    float *got = malloc((size_t)c->rows_max * c->n * 4);
    assert_true(w != NULL && x != NULL && got != NULL && c->n <= N_MAX);
    pm_dequant_row(c->type, raw, w, (uint64_t)c->n * c->k);
    for (uint32_t r = 0; r < c->rows; r++)
        for (uint32_t i = 0; i < c->k; i++)
            x[r * stride + i] = input_value(c->kind, seed + 7, (uint64_t)r * c->k + i);
    pm_weight weight = {.type = c->type, .n = c->n, .k = c->k};
    test_buffer packed = buffer_make(pm_weight_bytes(c->type, c->n, c->k));
    weight.data = packed.slice;
    test_buffer raw_buffer = buffer_from(raw, c->n * pm_dtype_row_bytes(c->type, c->k));
    test_buffer x_buffer = buffer_from(x, (uint64_t)c->rows_max * stride * 4), count = buffer_from(&c->rows, 4);
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_weight_pack_record(recorder, &weight, 0, c->n, raw_buffer.slice));
    run_recorder(recorder);
    test_buffer q8 = quantise(x_buffer.slice, count.slice, c->rows_max, c->k, stride);
    uint32_t *q = malloc(q8.slice.bytes);
    assert_non_null(q);
    buffer_read(&q8, q);
    test_buffer y = buffer_make((uint64_t)c->rows_max * c->n * 4);
    const pm_matmul m = {.weight = weight, .x = x_buffer.slice, .x_q8 = q8.slice, .y = y.slice, .rows = count.slice,
                         .rows_max = c->rows_max, .x_stride = stride, .y_stride = c->n, .slices = c->slices};
    recorder = make_recorder();
    ok(pm_matmul_record_variant(recorder, &m, c->variant));
    run_recorder(recorder);
    buffer_read(&y, got);
    for (uint32_t r = 0; r < c->rows; r++) {
        double want[N_MAX], scale[N_MAX];
        for (uint32_t i = 0; i < c->n; i++) {
            double exact = 0.0, steps = 0.0;
            want[i] = scale[i] = 0.0;
            for (uint32_t j = 0; j < c->k; j++) {
                const double d = (double)scale_of(q, blocks, r, j / 32), weight_j = (double)w[i * c->k + j];
                const double term = d * weight_j * quants_of(q, blocks, r, j / 32)[j % 32];
                want[i] += term;
                scale[i] += fabs(term);
                exact += weight_j * (double)x[r * stride + j];
                steps += pow(weight_j * d / 2, 2);
            }
            const double share = steps > 0.0 ? fabs(want[i] - exact) / sqrt(steps) : 0.0;
            share_worst = share > share_worst ? share : share_worst;
        }
        char what[128];
        snprintf(what, sizeof(what), "%s %s [%u,%u], %u slices, row %u of %u", pm_matmul_variant(c->variant),
                 pm_dtype_get(c->type)->name, c->n, c->k, c->slices, r, c->rows);
        compare(&got[(size_t)r * c->n], want, scale, c->n, RTOL, ATOL, what);
    }
    buffer_free(&y);
    buffer_free(&packed);
    buffer_free(&raw_buffer);
    buffer_free(&x_buffer);
    buffer_free(&count);
    buffer_free(&q8);
    free(raw);
    free(w);
    free(x);
    free(got);
    free(q);
}

/* Each type with one of the variants, by seed; all variants, slices and inputs go round. */
static void matmul_is_the_declared_sum(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 3, 5, 8, 9, 31, 64, 65}, slices[] = {0, 2, 8, 1, 4};
    uint32_t variants[16], found = 0, turn = (uint32_t)(harness_seed() % 16);
    for (uint32_t v = 0; pm_matmul_variant(v) != NULL && found < COUNT_OF(variants); v++)
        if (pm_matmul_variant_numerics(v) == PM_MATMUL_INT8)
            variants[found++] = v;
    for_each_type(type) {
        const pm_weight weight = {.type = (pm_dtype)type, .n = 1, .k = 256};
        const pm_matmul probe = {.weight = weight, .rows_max = 1, .x_q8 = {.bytes = 1}};
        if (!pm_matmul_variant_fits(variants[0], pm_vk_device_caps(harness_device()), &probe)) {
            assert_int_equal(pm_dtype_get(type)->block, 1); /* floats; all others have their bytes */
            continue;
        }
        const uint32_t rows = counts[pick(COUNT_OF(counts))];
        const bool sample = pick(2) == 1;
        const matmul_case c = {.type = (pm_dtype)type, .n = sample ? 33 : 100, .k = sample ? 256 : 768, .rows = rows,
                               .rows_max = rows + turn % 3, .slices = slices[turn % 5], .variant = variants[turn % found],
                               .kind = (input_kind)(turn % INPUT_KINDS)};
        check_case(&c);
        turn++;
    }
    compare_report("matmul of x in 8 bits, against its own numerics");
    print_message("x in 8 bits against x: worst %.2f of %.2f half steps\n", share_worst, SHARE_MAX);
    assert_true(share_worst < SHARE_MAX);
}

/* One NaN among the activations shows in each output of its row and in none of another. */
static void a_nan_shows_in_its_row_alone(void **state)
{
    (void)state;
    enum { N = 40, K = 256, ROWS = 3 };
    const uint32_t rows = ROWS;
    uint8_t *raw = blocks_random(PM_DTYPE_Q4_0, BLOCKS_NORMAL, N, K, 9);
    float x[ROWS * K], got[ROWS * N];
    input_fill(x, ROWS * K, INPUT_NORMAL, 5);
    x[K + 77] = NAN;
    pm_weight weight = {.type = PM_DTYPE_Q4_0, .n = N, .k = K};
    test_buffer packed = buffer_make(pm_weight_bytes(weight.type, N, K));
    weight.data = packed.slice;
    test_buffer raw_buffer = buffer_from(raw, N * pm_dtype_row_bytes(weight.type, K)), x_buffer = buffer_from(x, sizeof(x));
    test_buffer count = buffer_from(&rows, 4), y = buffer_make(sizeof(got));
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_weight_pack_record(recorder, &weight, 0, N, raw_buffer.slice));
    run_recorder(recorder);
    test_buffer q8 = quantise(x_buffer.slice, count.slice, rows, K, K);
    const pm_matmul m = {.weight = weight, .x = x_buffer.slice, .x_q8 = q8.slice, .y = y.slice, .rows = count.slice,
                         .rows_max = rows, .x_stride = K, .y_stride = N};
    for (uint32_t v = 0; pm_matmul_variant(v) != NULL; v++) {
        if (pm_matmul_variant_numerics(v) != PM_MATMUL_INT8)
            continue;
        recorder = make_recorder();
        ok(pm_matmul_record_variant(recorder, &m, v));
        run_recorder(recorder);
        buffer_read(&y, got);
        for (uint32_t i = 0; i < ROWS * N; i++)
            assert_int_equal(isnan(got[i]) != 0, i / N == 1);
    }
    buffer_free(&packed);
    buffer_free(&raw_buffer);
    buffer_free(&x_buffer);
    buffer_free(&count);
    buffer_free(&y);
    buffer_free(&q8);
    free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_is_the_one_that_c_makes),
        cmocka_unit_test(hard_blocks_are_as_declared),
        cmocka_unit_test(fifty_repeats_and_a_fresh_recording_are_the_same_bits),
        cmocka_unit_test(matmul_is_the_declared_sum),
        cmocka_unit_test(a_nan_shows_in_its_row_alone),
    };
    return cmocka_run_group_tests_name("quantise", tests, NULL, harness_finish);
}
