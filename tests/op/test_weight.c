/* test_weight.c - packing and what does not depend on a sum: every type's values through the
 * embedding, sizes, which matmul variants agree to the bit, and which one is chosen.
 *
 * The reference dequantises the file's own blocks with pm_dequant_row(). */
#include "op/harness.h"

#include "base/half.h"
#include "op/embedding.h"
#include "op/matmul.h"
#include "op/pack_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const pm_dtype types[] = {
    PM_DTYPE_F32,   PM_DTYPE_F16,   PM_DTYPE_BF16,    PM_DTYPE_Q8_0,   PM_DTYPE_Q4_0,  PM_DTYPE_Q4_1,
    PM_DTYPE_Q5_0,  PM_DTYPE_Q5_1,  PM_DTYPE_Q2_K,    PM_DTYPE_Q3_K,   PM_DTYPE_Q4_K,  PM_DTYPE_Q5_K,
    PM_DTYPE_Q6_K,  PM_DTYPE_IQ4_NL, PM_DTYPE_IQ4_XS, PM_DTYPE_MXFP4,  PM_DTYPE_IQ1_S, PM_DTYPE_IQ1_M,
    PM_DTYPE_IQ2_XXS, PM_DTYPE_IQ2_XS, PM_DTYPE_IQ2_S, PM_DTYPE_IQ3_XXS, PM_DTYPE_IQ3_S,
};
#define TYPES (sizeof(types) / sizeof(types[0]))

typedef enum scale_kind { SCALE_SMALL, SCALE_ANY } scale_kind;

/* Random blocks: any bits are a legal block. Scales are small, each 17th 0, or any finite f16. */
static uint8_t *random_blocks(pm_dtype type, uint32_t n, uint32_t k, scale_kind scales, uint64_t seed)
{
    const uint64_t row_bytes = pm_dtype_row_bytes(type, k), bytes = n * row_bytes;
    const pm_dtype_info *info = pm_dtype_get(type);
    uint8_t *data = malloc(bytes + 4);
    assert_non_null(data);
    for (uint64_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)input_index(seed, i, 256);
    for (uint64_t b = 0; b < bytes / info->bytes; b++) {
        uint8_t *block = data + b * info->bytes;
        const float value = input_value(INPUT_NORMAL, seed + 1, b) * 0.1f;
        const uint16_t brain = pm_bf16_from_f32(value);
        uint16_t d = b % 17 == 0 ? 0 : pm_f16_from_f32(value), dmin = pm_f16_from_f32(value * 0.5f);
        if (scales == SCALE_ANY) { /* one bit of the exponent is clear */
            d = (uint16_t)(input_index(seed + 2, b, 65536) & 0xbfff);
            dmin = (uint16_t)(input_index(seed + 3, b, 65536) & 0xfbff);
        }
        switch (type) {
        case PM_DTYPE_F32: memcpy(block, &value, 4); break;
        case PM_DTYPE_F16: memcpy(block, &d, 2); break;
        case PM_DTYPE_BF16: memcpy(block, &brain, 2); break;
        case PM_DTYPE_Q4_1:
        case PM_DTYPE_Q5_1:
        case PM_DTYPE_Q4_K:
        case PM_DTYPE_Q5_K: memcpy(block, &d, 2); memcpy(block + 2, &dmin, 2); break;
        case PM_DTYPE_Q2_K: memcpy(block + 80, &d, 2); memcpy(block + 82, &dmin, 2); break;
        case PM_DTYPE_Q3_K: memcpy(block + 108, &d, 2); break;
        case PM_DTYPE_Q6_K: memcpy(block + 208, &d, 2); break;
        case PM_DTYPE_MXFP4: /* below 2 the scale itself is subnormal; at 255 values may be infinite */
            block[0] = (uint8_t)(scales == SCALE_ANY ? 2 + block[0] % 254 : 112 + block[0] % 16);
            break;
        case PM_DTYPE_IQ1_M: /* d lies in the top bits of four halves */
            for (int i = 0; i < 4; i++)
                block[49 + 2 * i] = (uint8_t)((block[49 + 2 * i] & 15) | (d >> (4 * i) & 15) << 4);
            break;
        default: memcpy(block, &d, 2); break;
        }
    }
    return data;
}

/* A packed matrix, made of two tensors stacked by rows when n > 1. */
static test_buffer pack(pm_weight *weight, const uint8_t *blocks)
{
    const uint64_t row_bytes = pm_dtype_row_bytes(weight->type, weight->k);
    test_buffer packed = buffer_make(pm_weight_bytes(weight->type, weight->n, weight->k));
    weight->data = packed.slice;
    /* Padding rows are never packed: they must be readable, not right. */
    const uint32_t first = weight->n > 1 ? weight->n / 2 : weight->n;
    test_buffer a = buffer_from(blocks, first * row_bytes);
    test_buffer b = buffer_from(blocks + first * row_bytes, (weight->n - first) * row_bytes + (weight->n == first ? 4 : 0));
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_weight_pack_record(recorder, weight, 0, first, a.slice));
    if (weight->n > first)
        ok(pm_weight_pack_record(recorder, weight, first, weight->n - first, b.slice));
    run_recorder(recorder);
    buffer_free(&a);
    buffer_free(&b);
    return packed;
}

static float *dequantise(pm_dtype type, const uint8_t *blocks, uint32_t n, uint32_t k)
{
    float *values = malloc((uint64_t)n * k * sizeof(*values));
    assert_non_null(values);
    pm_dequant_row(type, blocks, values, (uint64_t)n * k);
    return values;
}

/* ------------------------------------------------------------- embedding */

static void check_embedding(pm_dtype type, uint32_t n, uint32_t k, scale_kind scales)
{
    uint8_t *blocks = random_blocks(type, n, k, scales, harness_seed() + type * 100 + k);
    float *values = dequantise(type, blocks, n, k);
    pm_weight weight = {.type = type, .n = n, .k = k};
    test_buffer packed = pack(&weight, blocks);
    const uint32_t stride = pm_row_stride(k), rows_max = n + 3;
    uint32_t *tokens = calloc(rows_max, sizeof(*tokens));
    float *got = malloc((uint64_t)rows_max * stride * sizeof(*got));
    assert_true(tokens != NULL && got != NULL);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = n - 1 - i;
    test_buffer token_buffer = buffer_from(tokens, rows_max * 4), rows = buffer_from(&n, 4),
                y = buffer_make((uint64_t)rows_max * stride * 4);
    const pm_embedding e = {.weight = weight, .tokens = token_buffer.slice, .y = y.slice, .rows = rows.slice,
                            .rows_max = rows_max, .y_stride = stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_embedding_record(recorder, &e));
    run_recorder(recorder);
    buffer_read(&y, got);
    for (uint32_t r = 0; r < n; r++) {
        for (uint32_t i = 0; i < k; i++)
            if (got[r * stride + i] != values[(uint64_t)tokens[r] * k + i])
                fail_msg("%s [%u,%u]: row %u element %u is %.9g, expected %.9g", pm_dtype_get(type)->name, n, k, tokens[r], i,
                         (double)got[r * stride + i], (double)values[(uint64_t)tokens[r] * k + i]);
        for (uint32_t i = k; i < stride; i++)
            assert_true(got[r * stride + i] == 0.0f);
    }
    for (uint64_t i = (uint64_t)n * stride; i < (uint64_t)rows_max * stride; i++)
        assert_int_equal(pm_f32_bits(got[i]), CANARY_WORD); /* rows past the count */
    buffer_free(&packed);
    buffer_free(&token_buffer);
    buffer_free(&rows);
    buffer_free(&y);
    free(blocks);
    free(values);
    free(tokens);
    free(got);
}

/* What the host packs, in parts of any size, are the bytes that the device packs. */
static void the_host_packs_as_the_device_does(void **state)
{
    (void)state;
    uint32_t checked = 0;
    for (size_t t = 0; t < TYPES; t++) {
        const uint32_t block = pm_dtype_get(types[t])->block;
        const uint32_t widths[] = {block == 1 ? 172 : block, block * 3, 768};
        for (size_t w = 0; w < 3 && pm_weight_packs_on_host(types[t]); w++, checked++) {
            pm_weight weight = {.type = types[t], .n = 71, .k = widths[w]};
            const uint64_t bytes = pm_weight_bytes(weight.type, weight.n, weight.k);
            const uint64_t row_bytes = pm_dtype_row_bytes(weight.type, weight.k);
            uint8_t *blocks = random_blocks(weight.type, weight.n, weight.k, SCALE_ANY, harness_seed() + t + w);
            test_buffer device = pack(&weight, blocks);
            uint8_t *expected = malloc(bytes);
            pm_vk_buffer *host = NULL;
            assert_non_null(expected);
            buffer_read(&device, expected);
            ok(pm_vk_buffer_create(harness_device(), bytes, PM_VK_READBACK, "host", &host));
            weight.data = pm_vk_buffer_all(host);
            uint8_t *got = pm_slice_host(weight.data);
            for (uint64_t i = 0; i < bytes / 4; i++) /* as the device's, where nothing is written */
                memcpy(got + 4 * i, &(uint32_t){CANARY_WORD}, 4);
            for (uint32_t row = 0, rows = 1; row < weight.n; row += rows, rows = rows + 12 < weight.n - row ? rows + 12 : weight.n - row)
                pm_weight_pack_on_host(&weight, got, row, rows, blocks + row * row_bytes);
            for (uint64_t i = 0; i < bytes; i++)
                if (got[i] != expected[i])
                    fail_msg("%s [%u,%u]: byte %llu is %02x, expected %02x", pm_dtype_get(weight.type)->name, weight.n, weight.k,
                             (unsigned long long)i, got[i], expected[i]);
            pm_vk_buffer_destroy(host);
            buffer_free(&device);
            free(expected);
            free(blocks);
        }
    }
    assert_true(checked >= 9 * 3);
}

static void every_weight_is_the_one_of_the_file(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        const uint32_t block = pm_dtype_get(types[t])->block;
        const uint32_t widths[] = {block == 1 ? 172 : block, block == 1 ? 1 : block * 3, 768};
        for (size_t w = 0; w < 3; w++) {
            check_embedding(types[t], 1, widths[w], SCALE_SMALL);
            check_embedding(types[t], 33, widths[w], SCALE_SMALL);
            check_embedding(types[t], 71, widths[w], SCALE_ANY);
        }
    }
}

/* A packed matrix is as small as the file's blocks: at most 2 % and a codebook's table more. */
static void no_type_grows_on_the_device(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        const uint64_t file = 4096 * pm_dtype_row_bytes(types[t], 4096), device = pm_weight_bytes(types[t], 4096, 4096);
        assert_in_range(device, file, file + file / 50 + 8192);
        const pm_weight weight = {.type = types[t], .n = 4096, .k = 4096};
        assert_in_range(pm_weight_read_bytes(&weight), file, file + file / 50);
    }
}

/* The list above holds all types that kernels read, and those that a loader can dequantise. */
static void every_type_of_the_table_is_tested(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < PM_DTYPE_LIMIT; type++) {
        bool tested = false;
        for (size_t t = 0; t < TYPES; t++)
            tested = tested || types[t] == type;
        assert_int_equal(pm_weight_supported((pm_dtype)type), tested);
        assert_int_equal(pm_dtype_can_dequant((pm_dtype)type), tested);
    }
}

/* ---------------------------------------------------------------- matmul */

/* x in 8-bit blocks, on the device. */
static test_buffer quantise(pm_slice x, pm_slice rows, uint32_t rows_max, uint32_t k, uint32_t x_stride)
{
    test_buffer y = buffer_make(pm_quantise_bytes(rows_max, k));
    const pm_quantise q = {.x = x, .y = y.slice, .rows = rows, .rows_max = rows_max, .k = k, .x_stride = x_stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_quantise_record(recorder, &q));
    run_recorder(recorder);
    return y;
}

/* A row's result depends neither on how many others run beside it nor on the place it has:
 * bits are equal in all variants of one numerics and one order of additions (which is
 * another where a part of a block is summed by itself; on a GPU slices of k differ, and cooperative
 * matrices add as they like). What does not fit is refused. */
static void variants_agree_to_the_bit(void **state)
{
    (void)state;
    enum { N = 96, K = 512, ROWS = 5, PARTS = PM_MATMUL_INT8 + 1, ORDERS };
    const uint32_t rows = ROWS;
    uint8_t *blocks = random_blocks(PM_DTYPE_Q8_0, N, K, SCALE_SMALL, 5);
    pm_weight weight = {.type = PM_DTYPE_Q8_0, .n = N, .k = K};
    test_buffer packed = pack(&weight, blocks);
    float x[ROWS * K], got[ROWS * N], first[ORDERS][ROWS * N];
    bool seen[ORDERS] = {false};
    input_fill(x, ROWS * K, INPUT_NORMAL, 3);
    test_buffer x_buffer = buffer_from(x, sizeof(x)), count = buffer_from(&rows, 4);
    test_buffer x_q8 = quantise(x_buffer.slice, count.slice, rows, K, K);
    for (uint32_t v = 0; pm_matmul_variant(v) != NULL; v++) {
        test_buffer y = buffer_make(sizeof(got));
        pm_matmul m = {.weight = weight, .x = x_buffer.slice, .x_q8 = x_q8.slice, .y = y.slice, .rows = count.slice,
                       .rows_max = rows, .x_stride = K, .y_stride = N};
        const pm_matmul_numerics numerics = pm_matmul_variant_numerics(v);
        const bool fits = pm_matmul_variant_fits(v, pm_vk_device_caps(harness_device()), &m);
        pm_vk_recorder *recorder = make_recorder();
        if (fits) {
            ok(pm_matmul_record_variant(recorder, &m, v));
            run_recorder(recorder);
            buffer_read(&y, got);
            const char *name = pm_matmul_variant(v);
            const bool parts = strncmp(name, "texels", 6) == 0 || strncmp(name, "lanes", 5) == 0;
            const int order = parts ? PARTS : (int)numerics;
            if (!seen[order])
                memcpy(first[order], got, sizeof(got));
            else if (pm_vk_device_caps(harness_device())->is_cpu && numerics != PM_MATMUL_MATRIX)
                assert_memory_equal(got, first[order], sizeof(got));
            seen[order] = true;
            recorder = make_recorder();
        }
        m.x_q8 = (pm_slice){0};
        if (!fits || numerics == PM_MATMUL_INT8)
            assert_int_equal(pm_matmul_record_variant(recorder, &m, v), PM_ERR_UNSUP);
        pm_vk_recorder_destroy(recorder);
        buffer_free(&y);
    }
    buffer_free(&packed);
    buffer_free(&x_buffer);
    buffer_free(&x_q8);
    buffer_free(&count);
    free(blocks);
}

/* Of every device that there may be, for every type and row count: the choice fits, reads the
 * weights once up to 64 rows where a GPU is (16 on a CPU, where arithmetic is dear), computes
 * less than twice the rows, and rounds x only on a GPU that multiplies bytes faster. */
static void the_choice_has_no_cliff(void **state)
{
    (void)state;
    test_buffer some = buffer_make(16);
    for (uint32_t mask = 0; mask < 128; mask++) {
        const pm_vk_caps caps = {
            .bits = (mask & 1 ? PM_CAP_BIT(F16) : 0) | (mask & 2 ? PM_CAP_BIT(INT8DOT) : 0) |
                    (mask & 4 ? PM_CAP_BIT(SUBGROUP) : 0) | (mask & 32 ? PM_CAP_BIT(TEXELS) : 0),
            .texels_max = mask & 32 ? 1u << 27 : 0,
            .is_cpu = mask & 8,
            .uniform_loads = mask & 64,
            .subgroup_min = mask & 16 ? 4 : 8, .subgroup_max = (mask & 24) == 24 ? 4 : 32,
            .subgroup_default = (mask & 24) == 24 ? 4 : 32,
            .shared_bytes = 32768, .workgroup_max = 256,
        };
        const bool dots = (caps.bits & PM_CAP_BIT(INT8DOT)) && !caps.is_cpu;
        assert_int_equal(pm_matmul_x_q8_bytes(&caps, 3, 40) > 0, dots);
        for (size_t t = 0; t < TYPES; t++) {
            uint32_t before = 0;
            char dot_module[32];
            snprintf(dot_module, sizeof(dot_module), "matmul_dot_%s", pm_dtype_get(types[t])->stem);
            for (uint32_t rows = 1; rows <= 512; rows++) {
                pm_matmul m = {.weight = {.type = types[t], .n = 4096, .k = 4096}, .rows_max = rows};
                if (dots)
                    m.x_q8 = some.slice;
                uint32_t v;
                ok(pm_matmul_pick(&caps, &m, &v));
                assert_true(pm_matmul_variant_fits(v, &caps, &m));
                const uint32_t held = pm_matmul_variant_rows(v), most = caps.is_cpu ? 16 : 64;
                assert_true(held >= (rows < most ? rows : most));
                assert_true(held >= before);
                assert_true(pm_matmul_variant_computes(v, rows, rows) < 2 * rows);
                before = held;
                assert_int_equal(pm_matmul_variant_numerics(v) == PM_MATMUL_INT8, dots && pm_vk_module_exists(dot_module));
            }
        }
    }
    buffer_free(&some);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_the_table_is_tested),
        cmocka_unit_test(every_weight_is_the_one_of_the_file),
        cmocka_unit_test(the_host_packs_as_the_device_does),
        cmocka_unit_test(no_type_grows_on_the_device),
        cmocka_unit_test(variants_agree_to_the_bit),
        cmocka_unit_test(the_choice_has_no_cliff),
    };
    return cmocka_run_group_tests_name("weight", tests, NULL, harness_finish);
}
