/* test_embedding.c - packing and embedding: every weight is the one of the file, exactly, for
 * every type, at any row of the matrix, at any row count. */
#include "op/suite.h"

#include "base/half.h"
#include "op/embedding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL 509u

/* tokens: [rows], each < n. */
static void check(const matrix *m, const uint32_t *tokens, uint32_t rows, uint32_t rows_max)
{
    const uint32_t k = m->weight.k, stride = pm_row_stride(k);
    float *got = malloc((uint64_t)rows_max * stride * sizeof(*got));
    assert_non_null(got);
    test_buffer token_buffer = buffer_from(tokens, rows_max * 4), count = buffer_from(&rows, 4),
                y = buffer_make((uint64_t)rows_max * stride * 4);
    const pm_embedding e = {.weight = m->weight, .tokens = token_buffer.slice, .y = y.slice, .rows = count.slice,
                            .rows_max = rows_max, .y_stride = stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_embedding_record(recorder, &e));
    run_recorder(recorder);
    buffer_read(&y, got);
    const char *name = pm_dtype_get(m->weight.type)->name;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < stride; i++) {
            const float want = i < k ? m->values[(uint64_t)(tokens[r] % m->pool) * k + i] : 0.0f;
            if (got[(uint64_t)r * stride + i] != want)
                fail_msg("%s [%u,%u], blocks %d: row %u of %u, token %u: element %u is %.9g, expected %.9g", name,
                         m->weight.n, k, (int)m->kind, r, rows, tokens[r], i, (double)got[(uint64_t)r * stride + i],
                         (double)want);
        }
    for (uint64_t i = (uint64_t)rows * stride; i < (uint64_t)rows_max * stride; i++)
        assert_int_equal(pm_f32_bits(got[i]), CANARY_WORD);
    tally("embedding", name, (uint64_t)rows * k);
    buffer_free(&token_buffer);
    buffer_free(&count);
    buffer_free(&y);
    free(got);
}

/* rows tokens of any kind, the first and the last of the vocabulary among them. */
static void check_tokens(const matrix *m, uint32_t rows)
{
    uint32_t *tokens = calloc(rows + 2, sizeof(*tokens));
    assert_non_null(tokens);
    for (uint32_t r = 0; r < rows; r++)
        tokens[r] = r == 0 ? m->weight.n - 1 : r == 1 ? 0 : pick(m->weight.n);
    check(m, tokens, rows, rows + pick(3));
    free(tokens);
}

static uint32_t legal_k(uint32_t type, uint32_t wish)
{
    const uint32_t block = pm_dtype_get(type)->block;
    return block == 1 ? wish : (wish + block - 1) / block * block;
}

static void every_weight_of_every_type(void **state)
{
    (void)state;
    static const uint32_t outputs[] = {1, 31, 33, 71, 130}, widths[] = {1, 33, 172, 300, 1000, 2048};
    for_each_type(type)
        for (int kind = 0; kind < BLOCK_KINDS; kind++)
            for (uint32_t w = 0; w < COUNT_OF(widths); w++) {
                if (kind != BLOCKS_NORMAL && !type_in_turn(type, 8) && pick(3) > 0)
                    continue;
                const uint32_t n = outputs[pick(COUNT_OF(outputs))];
                uint32_t tokens[132] = {0};
                matrix m = matrix_make((pm_dtype)type, (block_kind)kind, n, legal_k(type, widths[w]), POOL,
                                       harness_seed() + type * 100 + w);
                for (uint32_t i = 0; i < n; i++)
                    tokens[i] = n - 1 - i;
                check(&m, tokens, n, n + 2);
                matrix_free(&m);
            }
}

/* By the driver's own conversion, and with capabilities masked by half.glsl's. */
static void every_f16(void **state)
{
    (void)state;
    enum { COUNT = 1 << 16 };
    uint16_t *bits = calloc(COUNT, sizeof(*bits));
    float *got = calloc(COUNT, sizeof(*got)), *want = calloc(COUNT, sizeof(*want));
    assert_true(bits != NULL && got != NULL && want != NULL);
    for (uint32_t i = 0; i < COUNT; i++)
        bits[i] = (uint16_t)i;
    pm_dequant_row(PM_DTYPE_F16, bits, want, COUNT);
    pm_weight weight = {.type = PM_DTYPE_F16, .n = 1, .k = COUNT};
    const uint32_t zero = 0, one = 1;
    test_buffer packed = buffer_make(pm_weight_bytes(weight.type, weight.n, weight.k)), raw = buffer_from(bits, COUNT * 2),
                tokens = buffer_from(&zero, 4), count = buffer_from(&one, 4), y = buffer_make(COUNT * 4);
    weight.data = packed.slice;
    const pm_embedding e = {.weight = weight, .tokens = tokens.slice, .y = y.slice, .rows = count.slice, .rows_max = 1,
                            .y_stride = COUNT};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_weight_pack_record(recorder, &weight, 0, 1, raw.slice));
    ok(pm_embedding_record(recorder, &e));
    run_recorder(recorder);
    buffer_read(&y, got);
    for (uint32_t i = 0; i < COUNT; i++)
        if (isnan(want[i]) ? !isnan(got[i]) : pm_f32_bits(got[i]) != pm_f32_bits(want[i]))
            fail_msg("f16 0x%04x is %.9g, expected %.9g", i, (double)got[i], (double)want[i]);
    tally("embedding", "every f16", COUNT);
    buffer_free(&packed);
    buffer_free(&raw);
    buffer_free(&tokens);
    buffer_free(&count);
    buffer_free(&y);
    free(bits);
    free(got);
    free(want);
}

static void row_counts_of_a_batch(void **state)
{
    (void)state;
    static const uint32_t counts[] = {31, 32, 33, 63, 64, 65, 127, 128, 129, 512};
    matrix m = matrix_make((pm_dtype)some_type(), BLOCKS_NORMAL, 1000, 256, POOL, harness_seed());
    for (uint32_t rows = 1; rows <= 17; rows++)
        check_tokens(&m, rows);
    for (uint32_t i = 0; i < COUNT_OF(counts); i++)
        check_tokens(&m, counts[i]);
    matrix_free(&m);
}

static void vocabularies_and_widths_of_real_models(void **state)
{
    (void)state;
    static const uint32_t vocabularies[] = {32000, 151936}, widths[] = {2048, 4096, 5632, 11008, 14336};
    for (uint32_t i = 0; i < COUNT_OF(vocabularies); i++) {
        matrix m = matrix_make((pm_dtype)some_type(), BLOCKS_NORMAL, vocabularies[i], 256, POOL, harness_seed() + i);
        check_tokens(&m, 40);
        matrix_free(&m);
    }
    for_each_type(type) {
        matrix m = matrix_make((pm_dtype)type, BLOCKS_NORMAL, 40, widths[pick(COUNT_OF(widths))], POOL, harness_seed() + type);
        check_tokens(&m, 7);
        matrix_free(&m);
    }
}

/* A matrix of more than 4 GiB of which a few groups of rows exist. */
static void rows_past_4_gib(void **state)
{
    (void)state;
    const uint32_t k = 2048, n = 600000; /* 4.6 GiB */
    const uint32_t bases[] = {0, 524288 - 32, 524288, n - 32}; /* 2^32 bytes are 524,288 rows */
    far_memory far;
    if (!far_make(&far, pm_weight_bytes(PM_DTYPE_F32, n, k), "embedding past 4 GiB"))
        skip();
    const uint64_t group_bytes = 32 * k * 4;
    float *values = malloc(COUNT_OF(bases) * group_bytes), *got = malloc(32 * k * 4);
    assert_true(values != NULL && got != NULL);
    input_fill(values, COUNT_OF(bases) * 32 * k, INPUT_NORMAL, harness_seed());
    test_buffer raw = buffer_from(values, COUNT_OF(bases) * group_bytes), y = buffer_make(group_bytes);
    const pm_weight weight = {.type = PM_DTYPE_F32, .n = n, .k = k, .data = far.slice};
    pm_vk_recorder *recorder = make_recorder();
    for (uint32_t b = 0; b < COUNT_OF(bases); b++)
        ok(pm_weight_pack_record(recorder, &weight, bases[b], 32, pm_slice_part(raw.slice, b * group_bytes, group_bytes)));
    run_recorder(recorder);
    for (uint32_t b = 0; b < COUNT_OF(bases); b++) {
        uint32_t tokens[32];
        const uint32_t rows = 32;
        for (uint32_t i = 0; i < rows; i++)
            tokens[i] = bases[b] + i;
        test_buffer token_buffer = buffer_from(tokens, sizeof(tokens)), count = buffer_from(&rows, 4);
        const pm_embedding e = {.weight = weight, .tokens = token_buffer.slice, .y = y.slice, .rows = count.slice,
                                .rows_max = rows, .y_stride = k};
        recorder = make_recorder();
        ok(pm_embedding_record(recorder, &e));
        run_recorder(recorder);
        buffer_read(&y, got);
        for (uint32_t i = 0; i < rows * k; i++)
            if (got[i] != values[(uint64_t)b * rows * k + i])
                fail_msg("row %u of a matrix of 4.6 GiB: element %u is %.9g, expected %.9g", bases[b] + i / k, i % k,
                         (double)got[i], (double)values[(uint64_t)b * rows * k + i]);
        buffer_free(&token_buffer);
        buffer_free(&count);
        tally("embedding", "past 4 GiB", rows * k);
    }
    buffer_free(&raw);
    buffer_free(&y);
    far_free(&far);
    free(values);
    free(got);
}

static void fifty_repeats_and_a_fresh_recording_are_the_same_bits(void **state)
{
    (void)state;
    matrix m = matrix_make((pm_dtype)some_type(), BLOCKS_NORMAL, 100, 512, POOL, harness_seed());
    uint32_t tokens[40], rows = 40;
    for (uint32_t i = 0; i < rows; i++)
        tokens[i] = pick(100);
    test_buffer token_buffer = buffer_from(tokens, sizeof(tokens)), count = buffer_from(&rows, 4), y = buffer_make(rows * 512 * 4);
    const pm_embedding e = {.weight = m.weight, .tokens = token_buffer.slice, .y = y.slice, .rows = count.slice,
                            .rows_max = rows, .y_stride = 512};
    pm_vk_commands *commands[2];
    for (int i = 0; i < 2; i++) {
        pm_vk_recorder *recorder = make_recorder();
        ok(pm_embedding_record(recorder, &e));
        ok(pm_vk_recorder_end(recorder, &commands[i]));
        pm_vk_recorder_destroy(recorder);
    }
    check_repeats(commands[0], commands[1], &y, "embedding");
    buffer_free(&token_buffer);
    buffer_free(&count);
    buffer_free(&y);
    matrix_free(&m);
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
        cmocka_unit_test(every_weight_of_every_type),
        cmocka_unit_test(every_f16),
        cmocka_unit_test(row_counts_of_a_batch),
        cmocka_unit_test(vocabularies_and_widths_of_real_models),
        cmocka_unit_test(rows_past_4_gib),
        cmocka_unit_test(fifty_repeats_and_a_fresh_recording_are_the_same_bits),
    };
    return cmocka_run_group_tests_name("embedding", tests, NULL, finish);
}
