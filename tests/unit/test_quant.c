/* test_quant.c - values to blocks and back: errors, extremes, importance, the reference's bytes. */
#include "gguf/quant.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/half.h"
#include "base/hash.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 16384 };

static uint64_t seed, rng_state;

static double uniform(void)
{
    rng_state += UINT64_C(0x9e3779b97f4a7c15);
    return ((double)(pm_mix64(rng_state) >> 11) + 0.5) / 9007199254740992.0;
}

static float normal(void)
{
    const double radius = sqrt(-2.0 * log(uniform()));
    return (float)(radius * cos(6.283185307179586 * uniform()));
}

/* Of normal values: the mean squared error in units of the mean square. The bounds are some 5 %
 * above the greatest of 120 seeds and 4 scales; worst: the greatest error in units of the greatest
 * value of the block. */
static const struct {
    pm_dtype type;
    double nmse, worst;
} types[] = {
    {PM_DTYPE_F32, 0.0, 0.0}, {PM_DTYPE_F16, 4.7e-8, 0.0005},
    {PM_DTYPE_BF16, 3.0e-6, 0.004}, {PM_DTYPE_Q8_0, 3.15e-5, 0.0046},
    {PM_DTYPE_Q4_0, 8.1e-3, 0.127}, {PM_DTYPE_Q4_1, 6.6e-3, 0.07},
    {PM_DTYPE_Q5_0, 2.0e-3, 0.064}, {PM_DTYPE_Q5_1, 1.56e-3, 0.035},
    {PM_DTYPE_Q2_K, 7.3e-2, 0.65}, {PM_DTYPE_Q3_K, 2.22e-2, 0.4},
    {PM_DTYPE_Q4_K, 5.3e-3, 0.16}, {PM_DTYPE_Q5_K, 1.31e-3, 0.085},
    {PM_DTYPE_Q6_K, 3.05e-4, 0.045}, {PM_DTYPE_IQ4_NL, 5.8e-3, 0.2},
    {PM_DTYPE_IQ4_XS, 5.9e-3, 0.2}, {PM_DTYPE_MXFP4, 1.36e-2, 0.34},
};

#define TYPES (sizeof(types) / sizeof(types[0]))

static float x[N], y[N], importance[N];
static uint8_t blocks[N * 4];

static void round_trip(pm_dtype type, const float *weights, uint64_t count)
{
    memset(blocks, 0xa5, sizeof(blocks));
    pm_quant_row(type, x, weights, blocks, count);
    const uint64_t bytes = pm_dtype_row_bytes(type, count);
    assert_true(bytes == sizeof(blocks) || blocks[bytes] == 0xa5);
    pm_dequant_row(type, blocks, y, count);
}

static double error_of(const float *weights, uint64_t count)
{
    double sum = 0.0;
    for (uint64_t i = 0; i < count; i++)
        sum += (weights != NULL ? (double)weights[i] : 1.0) * ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    return sum;
}

static double square_of(uint64_t count)
{
    double sum = 0.0;
    for (uint64_t i = 0; i < count; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

static void every_writable_type_is_tested(void **state)
{
    (void)state;
    size_t writable = 0;
    for (uint32_t id = 0; id < PM_DTYPE_LIMIT; id++)
        writable += pm_dtype_can_quant((pm_dtype)id);
    assert_int_equal(writable, TYPES);
    for (size_t t = 0; t < TYPES; t++)
        assert_true(pm_dtype_can_quant(types[t].type) && pm_dtype_can_dequant(types[t].type));
}

static void normal_values_come_back_within_the_types_bounds(void **state)
{
    (void)state;
    for (int scale = -6; scale <= 3; scale += 3) {
        for (int i = 0; i < N; i++)
            x[i] = ldexpf(normal(), scale);
        for (size_t t = 0; t < TYPES; t++) {
            const uint32_t block = pm_dtype_get(types[t].type)->block > 1 ? pm_dtype_get(types[t].type)->block : 256;
            round_trip(types[t].type, NULL, N);
            const double nmse = error_of(NULL, N) / square_of(N);
            double worst = 0.0;
            for (uint32_t b = 0; b < N; b += block) {
                float most = 0.0f, off = 0.0f;
                for (uint32_t i = b; i < b + block; i++) {
                    most = fmaxf(most, fabsf(x[i]));
                    off = fmaxf(off, fabsf(x[i] - y[i]));
                }
                worst = fmax(worst, (double)off / (double)most);
            }
            if (nmse > types[t].nmse || worst > types[t].worst)
                fail_msg("%s, scale 2^%d, seed %llu: error %g, bound %g; worst %g, bound %g", pm_dtype_get(types[t].type)->name,
                         scale, (unsigned long long)seed, nmse, types[t].nmse, worst, types[t].worst);
        }
    }
}

static void extreme_values_are_never_worse_than_zeros(void **state)
{
    (void)state;
    static const float scales[] = {65504.0f, 1.0f, 6e-5f, 6e-8f, 1e-20f, 1e-40f, 0.0f};
    for (size_t s = 0; s < sizeof(scales) / sizeof(scales[0]); s++)
        for (int kind = 0; kind < 6; kind++) {
            for (int i = 0; i < 1024; i++) {
                const float sign = uniform() < 0.5 ? -1.0f : 1.0f;
                switch (kind) {
                case 0: x[i] = scales[s]; break;
                case 1: x[i] = -scales[s]; break;
                case 2: x[i] = sign * scales[s]; break;
                case 3: x[i] = i % 256 == 77 ? sign * scales[s] : 0.0f; break;
                case 4: x[i] = i % 256 == 77 ? sign * scales[s] : 1e-3f * scales[s] * (float)uniform(); break;
                default: x[i] = i % 64 < 32 ? sign * scales[s] * (float)uniform() : 0.0f; break;
                }
            }
            for (size_t t = 0; t < TYPES; t++)
                for (int weighted = 0; weighted < 2; weighted++) {
                    for (int i = 0; i < 1024; i++)
                        importance[i] = i % 3 == 0 ? 0.0f : (float)uniform();
                    round_trip(types[t].type, weighted ? importance : NULL, 1024);
                    for (int i = 0; i < 1024; i++)
                        if (!isfinite(y[i]))
                            fail_msg("%s, kind %d, scale %g: value %d is %g", pm_dtype_get(types[t].type)->name, kind,
                                     (double)scales[s], i, (double)y[i]);
                    /* An f16 scale near its least may be rounded to twice or to none of itself. */
                    const double error = error_of(weighted ? importance : NULL, 1024), zeros = square_of(1024);
                    if (error > 1.01 * zeros + 1e-8)
                        fail_msg("%s, kind %d, scale %g, %s: error %g, zeros have %g", pm_dtype_get(types[t].type)->name,
                                 kind, (double)scales[s], weighted ? "weighted" : "even", error, zeros);
                    if (scales[s] == 0.0f && error != 0.0)
                        fail_msg("%s: zeros are not zeros", pm_dtype_get(types[t].type)->name);
                }
        }
}

static void a_second_pass_loses_little(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        const pm_dtype type = types[t].type;
        const uint32_t block = pm_dtype_get(type)->block;
        /* Blocks that were made once are what their own values become again. */
        for (int i = 0; i < N; i++)
            x[i] = normal();
        round_trip(type, NULL, N);
        memcpy(x, y, sizeof(x));
        round_trip(type, NULL, N);
        const double off = error_of(NULL, N) / square_of(N);
        /* Fits find another scale near the first one in some blocks, with some error of their own. */
        if (off > 0.12 * types[t].nmse + (block == 1 ? 0.0 : 1e-7))
            fail_msg("%s, seed %llu: %g of the square is lost by a second pass", pm_dtype_get(type)->name,
                     (unsigned long long)seed, off);
    }
}

static void importance_puts_the_error_where_it_matters_least(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        x[i] = normal();
        importance[i] = expf(1.5f * normal());
    }
    for (size_t t = 0; t < TYPES; t++) {
        const pm_dtype type = types[t].type;
        round_trip(type, NULL, N);
        const double even = error_of(importance, N);
        round_trip(type, importance, N);
        const double weighted = error_of(importance, N);
        const bool ignores = pm_dtype_get(type)->block == 1 || type == PM_DTYPE_Q8_0;
        if (ignores ? weighted != even : weighted > (type == PM_DTYPE_MXFP4 ? 1.0 : 0.97) * even) /* MXFP4 has but powers of two */
            fail_msg("%s, seed %llu: weighted error %g with importance, %g without", pm_dtype_get(type)->name,
                     (unsigned long long)seed, weighted, even);
    }
}

static void importance_has_no_unit_and_may_be_zero(void **state)
{
    (void)state;
    static uint8_t first[sizeof(blocks)];
    for (int i = 0; i < N; i++) {
        x[i] = normal();
        importance[i] = (float)uniform();
    }
    for (size_t t = 0; t < TYPES; t++) {
        const uint64_t bytes = pm_dtype_row_bytes(types[t].type, 1024);
        for (int i = 0; i < 1024; i++)
            importance[i] = ldexpf(importance[i], 40);
        round_trip(types[t].type, importance, 1024);
        memcpy(first, blocks, bytes);
        for (int i = 0; i < 1024; i++)
            importance[i] = ldexpf(importance[i], -40);
        round_trip(types[t].type, importance, 1024);
        assert_memory_equal(first, blocks, bytes);
        static const float none[1024];
        round_trip(types[t].type, none, 1024);
        const double nmse = error_of(NULL, 1024) / square_of(1024);
        if (nmse > 1.25 * types[t].nmse)
            fail_msg("%s: error %g where nothing is important", pm_dtype_get(types[t].type)->name, nmse);
    }
}

static void bad_values_are_found_by_their_index(void **state)
{
    (void)state;
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t t = 0; t < TYPES; t++) {
        const pm_dtype type = types[t].type;
        for (int i = 0; i < 300; i++)
            x[i] = i % 2 == 0 ? 65504.0f : -65504.0f;
        assert_int_equal(pm_quant_bad_value(type, x, 300), 300);
        for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++) {
            x[299] = bad[b];
            assert_int_equal(pm_quant_bad_value(type, x, 300), 299);
            x[0] = bad[b];
            assert_int_equal(pm_quant_bad_value(type, x, 300), 0);
            x[0] = 0.0f;
        }
        x[299] = 65536.0f;
        const bool is_wide = type == PM_DTYPE_F32 || type == PM_DTYPE_BF16 || type == PM_DTYPE_MXFP4;
        assert_int_equal(pm_quant_bad_value(type, x, 300), is_wide ? 300 : 299);
        x[299] = FLT_MAX;
        assert_int_equal(pm_quant_bad_value(type, x, 300), type == PM_DTYPE_F32 ? 300 : 299);
    }
}

/* ------------------------------------------------------------ recorded bytes */

/* A tensor of rwkv.cpp's files: i32 dimensions, name length, type; shape; name; data. */
typedef struct record {
    char name[64];
    uint32_t dims, type, elements;
    const uint8_t *data;
} record;

static bool next_record(const char *file, size_t bytes, size_t *at, record *r)
{
    uint32_t head[3], shape[2] = {1, 1};
    if (*at + sizeof(head) > bytes)
        return false;
    memcpy(head, file + *at, sizeof(head));
    *at += sizeof(head);
    assert_true(head[0] >= 1 && head[0] <= 2 && head[1] < sizeof(r->name) && *at + 4 * head[0] + head[1] <= bytes);
    memcpy(shape, file + *at, 4 * head[0]);
    *at += 4 * head[0];
    memcpy(r->name, file + *at, head[1]);
    r->name[head[1]] = '\0';
    *at += head[1];
    r->dims = head[0];
    r->type = head[2];
    r->elements = shape[0] * shape[1];
    r->data = (const uint8_t *)file + *at;
    const uint64_t size = r->type == 0 ? r->elements * 4u : r->elements / 32 * (r->type == 7 ? 22 : 24);
    assert_true(size <= bytes - *at);
    *at += size;
    return true;
}

/* Quantised by rwkv.cpp with ggml's reference rounding. */
static void recorded_blocks_of_q5_are_made_bit_for_bit(void **state)
{
    (void)state;
    enum { HEAD = 24 };
    static const struct { const char *name; uint32_t id; pm_dtype type; } recorded[] = {
        {"Q5_0", 7, PM_DTYPE_Q5_0}, {"Q5_1", 8, PM_DTYPE_Q5_1}};
    const char *assets = getenv("PUMICE_TEST_ASSETS");
    if (assets == NULL || assets[0] == '\0') {
        print_message("skipped: PUMICE_TEST_ASSETS names no folder with quant/rwkv-tiny\n");
        skip();
    }
    char path[4096], *values_file, *blocks_file;
    size_t values_bytes, blocks_bytes;
    snprintf(path, sizeof(path), "%s/quant/rwkv-tiny/tiny-rwkv-4v0-660K-FP32.bin", assets);
    assert_int_equal(pm_file_read(path, &values_file, &values_bytes), PM_OK);
    for (int f = 0; f < 2; f++) {
        uint32_t block_count = 0, different = 0;
        record from, to;
        snprintf(path, sizeof(path), "%s/quant/rwkv-tiny/tiny-rwkv-4v0-660K-%s.bin", assets, recorded[f].name);
        assert_int_equal(pm_file_read(path, &blocks_file, &blocks_bytes), PM_OK);
        for (size_t a = HEAD, b = HEAD; next_record(values_file, values_bytes, &a, &from);) {
            assert_true(next_record(blocks_file, blocks_bytes, &b, &to));
            assert_string_equal(from.name, to.name);
            if (to.type != recorded[f].id)
                continue;
            const uint32_t bytes = pm_dtype_get(recorded[f].type)->bytes;
            for (uint32_t i = 0; i < from.elements / 32; i++, block_count++) {
                float values[32];
                memcpy(values, from.data + 128 * i, sizeof(values));
                pm_quant_row(recorded[f].type, values, NULL, blocks, 32);
                if (memcmp(blocks, to.data + (size_t)bytes * i, bytes) != 0) {
                    different++;
                    print_message("%s: block %u of %s is another\n", recorded[f].name, i, to.name);
                }
            }
        }
        print_message("%s: %u of %u blocks differ\n", recorded[f].name, different, block_count);
        assert_true(block_count > 10000 && different == 0);
        free(blocks_file);
    }
    free(values_file);
}

int main(void)
{
    const char *given = getenv("PUMICE_TEST_SEED");
    seed = given != NULL ? strtoull(given, NULL, 0) : pm_clock_ns() & 0xffffffff;
    rng_state = seed;
    printf("PUMICE_TEST_SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_writable_type_is_tested),
        cmocka_unit_test(normal_values_come_back_within_the_types_bounds),
        cmocka_unit_test(extreme_values_are_never_worse_than_zeros),
        cmocka_unit_test(a_second_pass_loses_little),
        cmocka_unit_test(importance_puts_the_error_where_it_matters_least),
        cmocka_unit_test(importance_has_no_unit_and_may_be_zero),
        cmocka_unit_test(bad_values_are_found_by_their_index),
        cmocka_unit_test(recorded_blocks_of_q5_are_made_bit_for_bit),
    };
    return cmocka_run_group_tests_name("quant", tests, NULL, NULL);
}
