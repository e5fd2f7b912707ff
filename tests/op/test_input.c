/* test_input.c - the seeded inputs of the op tests: a device makes the bits that the host
 * makes, and they are what their names say. */
#include "op/harness.h"

#include "base/half.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void the_device_makes_the_bits_of_the_host(void **state)
{
    (void)state;
    const uint32_t rows = 67, columns = 301, stride = 320;
    float *got = malloc(rows * stride * sizeof(*got));
    assert_non_null(got);
    for (int kind = INPUT_NORMAL; kind <= INPUT_MASKED; kind++)
        for (uint64_t s = 0; s < 3; s++) {
            const uint64_t seed = harness_seed() * (1 + s * UINT64_C(0x9e3779b97f4a7c15)) + s;
            test_buffer b = buffer_input((input_kind)kind, seed, rows, columns, stride);
            buffer_read(&b, got);
            for (uint32_t r = 0; r < rows; r++)
                for (uint32_t c = 0; c < stride; c++) {
                    const float want = c < columns ? input_at((input_kind)kind, seed, r, c) : 0.0f;
                    if (pm_f32_bits(got[r * stride + c]) != pm_f32_bits(want))
                        fail_msg("%s, seed %llx: element (%u, %u) is %08x, expected %08x", input_name((input_kind)kind),
                                 (unsigned long long)seed, r, c, pm_f32_bits(got[r * stride + c]), pm_f32_bits(want));
                }
            buffer_free(&b);
        }
    free(got);
}

/* Rows past 4096 have a second word in their index. */
static void rows_beyond_32_bits_of_index_are_the_host_s_too(void **state)
{
    (void)state;
    const uint32_t rows = 4100;
    float *got = malloc(rows * 32 * sizeof(*got));
    assert_non_null(got);
    test_buffer b = buffer_input(INPUT_NORMAL, harness_seed(), rows, 32, 32);
    buffer_read(&b, got);
    for (uint32_t i = 4090 * 32; i < rows * 32; i++)
        assert_int_equal(pm_f32_bits(got[i]), pm_f32_bits(input_at(INPUT_NORMAL, harness_seed(), i / 32, i % 32)));
    assert_true(got[4096 * 32] != got[0]);
    buffer_free(&b);
    free(got);
}

#define COUNT 65536u

static void the_kinds_are_what_their_names_say(void **state)
{
    (void)state;
    const uint64_t seed = harness_seed();
    double sum = 0.0, squares = 0.0, fourth = 0.0, neighbours = 0.0, last = 0.0;
    uint32_t short_mantissas = 0, denormal = 0, zero_blocks = 0, masked = 0, positive = 0;
    float large = 0.0f, small = INFINITY;
    for (uint32_t i = 0; i < COUNT; i++) {
        const double x = (double)input_value(INPUT_NORMAL, seed, i);
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
        neighbours += x * last;
        last = x;
        assert_true(fabs(x) <= 6.0);
        short_mantissas += pm_f16_to_f32(pm_f16_from_f32((float)x)) == (float)x;
        const float tiny = input_value(INPUT_TINY, seed, i), scaled = fabsf(input_value(INPUT_SCALES, seed, i));
        denormal += fabsf(tiny) < 0x1p-126f;
        assert_true(fabsf(tiny) < 0x1p-123f);
        assert_true(input_value(INPUT_ZEROS, seed, i) == 0.0f);
        assert_true(fabsf(input_value(INPUT_LARGE, seed, i)) == 65504.0f);
        positive += input_value(INPUT_LARGE, seed, i) > 0.0f;
        zero_blocks += input_value(INPUT_ZERO_BLOCKS, seed, i) == 0.0f && i % 32 == 5;
        masked += isinf(input_value(INPUT_MASKED, seed, i)) != 0;
        large = scaled > large ? scaled : large;
        small = scaled > 0.0f && scaled < small ? scaled : small;
        if (i % 64 == 7 && fabs(x) > 0.02)
            assert_true(fabs((double)input_value(INPUT_OUTLIERS, seed, i) / x - 100.0) < 0.5);
        else if (i % 64 != 7)
            assert_true(input_value(INPUT_OUTLIERS, seed, i) == (float)x);
    }
    assert_true(fabs(sum / COUNT) < 0.02 && fabs(squares / COUNT - 1.0) < 0.03 && fabs(neighbours / COUNT) < 0.02);
    assert_true(fabs(fourth / COUNT - 2.9) < 0.2); /* 3 - 6/5/12 */
    assert_true(short_mantissas < COUNT / 100);
    assert_true(denormal > COUNT / 5 && denormal < COUNT / 3);
    assert_true(zero_blocks > COUNT / 32 * 2 / 5 && zero_blocks < COUNT / 32 * 3 / 5);
    assert_true(masked > COUNT * 2 / 5 && masked < COUNT * 3 / 5 && positive > COUNT * 2 / 5 && positive < COUNT * 3 / 5);
    assert_true(large > 0x1p28f && small < 0x1p-30f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_device_makes_the_bits_of_the_host),
        cmocka_unit_test(rows_beyond_32_bits_of_index_are_the_host_s_too),
        cmocka_unit_test(the_kinds_are_what_their_names_say),
    };
    return cmocka_run_group_tests_name("input", tests, NULL, harness_finish);
}
