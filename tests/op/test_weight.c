/* test_weight.c - packing, matmul and embedding: every type, every variant, awkward shapes.
 *
 * The reference dequantises the file's own blocks with pm_dequant_row() and sums in double. */
#include "op/harness.h"

#include "base/half.h"
#include "op/embedding.h"
#include "op/matmul.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* f32 sums of up to 5632 terms in blocks of 32: 6e-7 of the terms' sum was the worst seen
 * on lavapipe and SwiftShader; denormals may be flushed. */
#define RTOL 3e-6
#define ATOL 1e-30

/* w and x rounded to f16 and sums of 8 products in f16: 7.6e-4 was the worst seen. */
#define RTOL_F16 5e-3

/* w and x rounded to f16, f32 sums: each rounds by at most 2^-11 of a term. */
#define RTOL_MATRIX (0x1p-10 + RTOL)

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

/* What x in 8-bit blocks may change in a dot product: an element errs by at most half a step,
 * h_i = |w_i| max |x| of its block / 254. The sum of h_i bounds it, and where there are many, 6
 * sqrt(sum h_i^2): independent errors are beyond that once in 3e7 (Hoeffding); see test_quantise.c. */
static double q8_bound(const float *w, const float *x, uint32_t k)
{
    double sum = 0.0, squares = 0.0;
    for (uint32_t b = 0; b < k; b += 32) {
        double most = 0.0;
        for (uint32_t i = b; i < b + 32 && i < k; i++)
            most = fabs((double)x[i]) > most ? fabs((double)x[i]) : most;
        for (uint32_t i = b; i < b + 32 && i < k; i++) {
            const double h = fabs((double)w[i]) * most / 254.0;
            sum += h;
            squares += h * h;
        }
    }
    return sum < 6.0 * sqrt(squares) ? sum : 6.0 * sqrt(squares);
}

static double rtol_of(pm_matmul_numerics numerics)
{
    return numerics == PM_MATMUL_F16 ? RTOL_F16 : numerics == PM_MATMUL_MATRIX ? RTOL_MATRIX : RTOL;
}

static uint32_t checked[64];       /* matmuls of each variant */

static uint32_t variant_named(const char *name)
{
    for (uint32_t v = 0; pm_matmul_variant(v) != NULL; v++)
        if (strcmp(pm_matmul_variant(v), name) == 0)
            return v;
    fail_msg("matmul has no variant %s", name);
    return 0;
}

static void check_matmul(pm_dtype type, uint32_t n, uint32_t k, uint32_t rows, uint32_t rows_max, uint32_t variant,
                         input_kind kind, bool has_bias)
{
    const uint64_t seed = harness_seed() + type * 1000 + n * 10 + k;
    uint8_t *blocks = random_blocks(type, n, k, SCALE_SMALL, seed);
    float *w = dequantise(type, blocks, n, k);
    pm_weight weight = {.type = type, .n = n, .k = k};
    test_buffer packed = pack(&weight, blocks);
    const uint32_t x_stride = pm_row_stride(k), y_stride = n + 5;
    float *x = calloc((uint64_t)rows_max * x_stride, sizeof(*x)), *bias = malloc(n * sizeof(*bias));
    float *got = malloc((uint64_t)rows_max * y_stride * sizeof(*got));
    double *want = malloc(n * sizeof(*want)), *scale = malloc(n * sizeof(*scale));
    assert_true(x != NULL && bias != NULL && got != NULL && want != NULL && scale != NULL);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < k; i++)
            x[(uint64_t)r * x_stride + i] = input_value(kind, seed + 7, (uint64_t)r * k + i);
    input_fill(bias, n, INPUT_NORMAL, seed + 8);
    test_buffer x_buffer = buffer_from(x, (uint64_t)rows_max * x_stride * 4), bias_buffer = buffer_from(bias, n * 4),
                count = buffer_from(&rows, 4), y = buffer_make((uint64_t)rows_max * y_stride * 4);
    static const uint32_t slices[] = {0, 2, 8}; /* one of them for each pipeline: compiling is what takes time */
    pm_matmul m = {.weight = weight, .x = x_buffer.slice, .y = y.slice, .rows = count.slice, .rows_max = rows_max,
                   .x_stride = x_stride, .y_stride = y_stride, .slices = slices[(variant + type) % 3]};
    if (has_bias)
        m.bias = bias_buffer.slice;
    const pm_matmul_numerics numerics = pm_matmul_variant_numerics(variant);
    test_buffer x_q8 = {0};
    if (numerics == PM_MATMUL_INT8) {
        x_q8 = quantise(x_buffer.slice, count.slice, rows_max, k, x_stride);
        m.x_q8 = x_q8.slice;
    }
    const bool fits = pm_matmul_variant_fits(variant, pm_vk_device_caps(harness_device()), &m);
    if (fits) { /* else every_variant_runs_where_it_can() holds that it may be refused */
        pm_vk_recorder *recorder = make_recorder();
        ok(pm_matmul_record_variant(recorder, &m, variant));
        run_recorder(recorder);
        buffer_read(&y, got);
        checked[variant]++;
    }
    char what[128];
    for (uint32_t r = 0; fits && r < rows_max; r++) {
        for (uint32_t i = r < rows ? n : 0; i < y_stride; i++) /* nothing else was written */
            assert_int_equal(pm_f32_bits(got[(uint64_t)r * y_stride + i]), CANARY_WORD);
        if (r >= rows)
            continue;
        for (uint32_t i = 0; i < n; i++) {
            want[i] = scale[i] = 0.0;
            for (uint32_t j = 0; j < k; j++) {
                const double term = (double)w[(uint64_t)i * k + j] * (double)x[(uint64_t)r * x_stride + j];
                want[i] += term;
                scale[i] += term < 0 ? -term : term;
            }
            want[i] += has_bias ? (double)bias[i] : 0.0;
            scale[i] += has_bias ? 1.0 : 0.0;
            if (numerics == PM_MATMUL_INT8)
                scale[i] += q8_bound(&w[(uint64_t)i * k], &x[(uint64_t)r * x_stride], k) / RTOL;
        }
        snprintf(what, sizeof(what), "%s %s [%u,%u] row %u of %u", pm_matmul_variant(variant), pm_dtype_get(type)->name, n, k,
                 r, rows);
        compare(&got[(uint64_t)r * y_stride], want, scale, n, rtol_of(numerics), ATOL, what);
    }
    buffer_free(&packed);
    buffer_free(&x_q8);
    buffer_free(&x_buffer);
    buffer_free(&bias_buffer);
    buffer_free(&count);
    buffer_free(&y);
    free(blocks);
    free(w);
    free(x);
    free(bias);
    free(got);
    free(want);
    free(scale);
}

static void every_variant_matches_double(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 33, 65};
    uint64_t pick = 0;
    for (size_t t = 0; t < TYPES; t++) {
        const uint32_t block = pm_dtype_get(types[t])->block;
        const uint32_t widths[] = {block == 1 ? 172 : block, block * (block == 256 ? 2 : 9), block == 1 ? 100 : 768};
        static const uint32_t outputs[] = {1, 31, 33, 100};
        for (uint32_t v = 0; pm_matmul_variant(v) != NULL; v++)
            for (size_t w = 0; w < 3; w++)
                for (int sample = 0; sample < 2; sample++) {
                    const uint32_t count = rows[input_index(harness_seed(), pick++, 12)];
                    const uint32_t n = outputs[input_index(harness_seed(), pick++, 4)];
                    check_matmul(types[t], n, widths[w], count, count + input_index(harness_seed(), pick++, 4), v,
                                 INPUT_NORMAL, sample == 1);
                }
    }
    compare_report("matmul");
}

static void hard_inputs_stay_in_bounds(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++)
        for (int kind = INPUT_OUTLIERS; kind < INPUT_KINDS; kind++) {
            for (uint32_t v = 0; pm_matmul_variant(v) != NULL; v++)
                check_matmul(types[t], 40, 768, 5, 5, v, (input_kind)kind, false);
        }
    compare_report("matmul, hard inputs");
}

static void wide_rows_of_real_models_match_double(void **state)
{
    (void)state;
    check_matmul(PM_DTYPE_Q4_0, 64, 5632, 2, 2, 1, INPUT_NORMAL, false);
    check_matmul(PM_DTYPE_Q4_K, 64, 5632, 9, 9, 4, INPUT_NORMAL, false);
    check_matmul(PM_DTYPE_Q6_K, 64, 4096, 1, 1, 0, INPUT_NORMAL, false);
    check_matmul(PM_DTYPE_Q8_0, 64, 11008, 1, 1, 0, INPUT_NORMAL, true);
    check_matmul(PM_DTYPE_MXFP4, 64, 2880, 1, 1, 0, INPUT_NORMAL, false); /* 22.5 units */
    check_matmul(PM_DTYPE_IQ3_XXS, 64, 11008, 3, 3, 2, INPUT_NORMAL, false); /* 21.5 units */
    check_matmul(PM_DTYPE_IQ1_S, 64, 14336, 1, 1, variant_named("lanes1"), INPUT_NORMAL, false);
    check_matmul(PM_DTYPE_Q4_K, 64, 5632, 40, 40, variant_named("tile64"), INPUT_NORMAL, false);
    compare_report("matmul, wide rows");
    check_matmul(PM_DTYPE_Q8_0, 64, 5632, 40, 40, variant_named("half64"), INPUT_NORMAL, false);
    compare_report("matmul, wide rows, f16 weights");
    check_matmul(PM_DTYPE_Q8_0, 64, 11008, 2, 2, variant_named("dot2"), INPUT_NORMAL, true);
    check_matmul(PM_DTYPE_Q4_0, 64, 5632, 9, 9, variant_named("dot16"), INPUT_NORMAL, false);
    check_matmul(PM_DTYPE_Q4_K, 64, 5632, 65, 65, variant_named("dot64"), INPUT_NORMAL, false);
    check_matmul(PM_DTYPE_Q6_K, 64, 4096, 33, 33, variant_named("dot32"), INPUT_NORMAL, false);
    compare_report("matmul, wide rows, x in 8 bits");
}

/* With what Vulkan 1.3 has anyway three families run; the others say what they need. */
static void every_variant_runs_where_it_can(void **state)
{
    (void)state;
    const pm_vk_caps *caps = pm_vk_device_caps(harness_device());
    const pm_matmul plain = {.weight = {.type = PM_DTYPE_F16, .n = 64, .k = 64}, .rows_max = 64};
    for (uint32_t v = 0; pm_matmul_variant(v) != NULL; v++) {
        const char *name = pm_matmul_variant(v);
        const char *matrices = pm_matmul_variant_numerics(v) == PM_MATMUL_MATRIX ? pm_matmul_variant_lacks(v, caps, &plain) : NULL;
        assert_true(matrices == NULL || !(caps->bits & PM_CAP_BIT(COOPMAT2)) || strstr(matrices, "glslang") != NULL);
        const bool lacks = (strncmp(name, "lanes", 5) == 0 && !((caps->bits & PM_CAP_BIT(SUBGROUP)) && caps->subgroup_min >= 8)) ||
                           (strncmp(name, "half", 4) == 0 && !(caps->bits & PM_CAP_BIT(F16))) || matrices != NULL;
        print_message("  %-12s %3u matmuls%s%s\n", name, checked[v], lacks ? "; it needs " : "",
                      matrices != NULL ? matrices : lacks ? "what the device lacks" : "");
        assert_true(lacks ? checked[v] == 0 : checked[v] > 0);
    }
}

/* A row's result depends neither on how many others run beside it nor on the place it has:
 * bits are equal in all variants of one numerics and one order of additions (which is
 * another for the lanes; on a GPU slices of k differ, and cooperative matrices add as they like). What
 * does not fit is refused. */
static void variants_agree_to_the_bit(void **state)
{
    (void)state;
    enum { N = 96, K = 512, ROWS = 5, LANES = PM_MATMUL_INT8 + 1, ORDERS };
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
            const int order = strncmp(pm_matmul_variant(v), "lanes", 5) == 0 ? LANES : (int)numerics;
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
 * weights once up to 64 rows where a GPU is (16 on a CPU, where arithmetic is dear), has
 * no more rows than it must, and rounds x only on a GPU that multiplies bytes faster. */
static void the_choice_has_no_cliff(void **state)
{
    (void)state;
    test_buffer some = buffer_make(16);
    for (uint32_t mask = 0; mask < 32; mask++) {
        const pm_vk_caps caps = {
            .bits = (mask & 1 ? PM_CAP_BIT(F16) : 0) | (mask & 2 ? PM_CAP_BIT(INT8DOT) : 0) | (mask & 4 ? PM_CAP_BIT(SUBGROUP) : 0),
            .is_cpu = mask & 8,
            .subgroup_min = mask & 16 ? 4 : 8, .subgroup_max = 32, .subgroup_default = 32,
            .shared_bytes = 32768, .workgroup_max = 256,
        };
        const bool dots = (caps.bits & PM_CAP_BIT(INT8DOT)) && !caps.is_cpu;
        assert_int_equal(pm_matmul_x_q8_bytes(&caps, 3, 40) > 0, dots);
        for (size_t t = 0; t < TYPES; t++) {
            uint32_t before = 0;
            for (uint32_t rows = 1; rows <= 512; rows++) {
                pm_matmul m = {.weight = {.type = types[t], .n = 4096, .k = 4096}, .rows_max = rows};
                if (dots)
                    m.x_q8 = some.slice;
                uint32_t v;
                ok(pm_matmul_pick(&caps, &m, &v));
                assert_true(pm_matmul_variant_fits(v, &caps, &m));
                const uint32_t held = pm_matmul_variant_rows(v), most = caps.is_cpu ? 16 : 64;
                assert_true(held >= (rows < most ? rows : most));
                assert_true(held < 2 * rows && held >= before);
                before = held;
                const bool quantised = pm_dtype_get(types[t])->block > 1;
                assert_int_equal(pm_matmul_variant_numerics(v) == PM_MATMUL_INT8, dots && quantised);
                assert_true(pm_matmul_variant_numerics(v) != PM_MATMUL_F16 || !caps.is_cpu);
            }
        }
    }
    buffer_free(&some);
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
        cmocka_unit_test(every_type_of_the_table_is_tested),
        cmocka_unit_test(every_weight_is_the_one_of_the_file),
        cmocka_unit_test(no_type_grows_on_the_device),
        cmocka_unit_test(every_variant_matches_double),
        cmocka_unit_test(hard_inputs_stay_in_bounds),
        cmocka_unit_test(wide_rows_of_real_models_match_double),
        cmocka_unit_test(every_variant_runs_where_it_can),
        cmocka_unit_test(variants_agree_to_the_bit),
        cmocka_unit_test(the_choice_has_no_cliff),
    };
    return cmocka_run_group_tests_name("weight", tests, NULL, finish);
}
