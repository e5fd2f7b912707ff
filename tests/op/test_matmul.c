/* test_matmul.c - matmul: every variant x every type, at the row counts and widths of real
 * models and at awkward ones.
 *
 * The reference sums in double over the weights of pm_dequant_row(). Each element: |error| <=
 * rtol * the terms' sum (matmul_numerics.h); the worst of a case: at most twice that of plain C at
 * the same precision. All variants of a case run in one recorder, each with its own output
 * between canaries. */
#include "op/matmul.h"

#include "base/env.h"
#include "base/half.h"
#include "op/matmul_numerics.h"
#include "op/suite.h"
#include "ref/matmul.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATOL 1e-30                 /* denormals may be flushed */
#define VARIANTS_MAX 64u
#define GAP 64u                    /* floats between outputs */
#define POOL 509u                  /* distinct rows of a large matrix */

/* All outputs of rows 0 .. rows - 1 of the stream (kind, seed), in double and in plain C. */
typedef struct reference {
    uint32_t rows;
    double *want, *size, *block_size; /* [rows, pool] */
    float *plain[MATMUL_NUMERICS]; /* NULL: no variant here computes so */
} reference;

static uint32_t variant_count(void)
{
    const uint32_t count = matmul_variant_count();
    assert_true(count <= VARIANTS_MAX);
    return count;
}

static bool fits(uint32_t variant, const pm_matmul *m)
{
    return pm_matmul_variant_fits(variant, pm_vk_device_caps(harness_device()), m);
}

/* Bits. */
static uint64_t wanted_variants(void)
{
    uint64_t wanted = 0;
    for (uint32_t v = 0; v < variant_count(); v++)
        if (variant_is_wanted(pm_matmul_variant(v)))
            wanted |= UINT64_C(1) << v;
    return wanted;
}

static void *many(uint64_t count, size_t size)
{
    void *p = calloc(count, size);
    assert_non_null(p);
    return p;
}

static reference reference_make(const matrix *m, input_kind kind, uint64_t seed, uint32_t rows)
{
    const uint32_t k = m->weight.k;
    const pm_matmul shape = {.weight = m->weight, .rows_max = rows, .x_q8 = m->packed.slice};
    reference ref = {.rows = rows, .want = many((uint64_t)rows * m->pool, 8), .size = many((uint64_t)rows * m->pool, 8),
                     .block_size = many((uint64_t)rows * m->pool, 8)};
    for (uint32_t v = 0; v < variant_count(); v++) {
        const matmul_numerics numerics = matmul_bound_of(pm_matmul_variant(v))->numerics;
        if (fits(v, &shape) && ref.plain[numerics] == NULL)
            ref.plain[numerics] = many((uint64_t)rows * m->pool, sizeof(float));
    }
    float *x = many(k, sizeof(*x));
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t j = 0; j < k; j++)
            x[j] = input_at(kind, seed, r, j);
        for (uint32_t i = 0; i < m->pool; i++) {
            const float *w = m->values + (uint64_t)i * k;
            const uint64_t at = (uint64_t)r * m->pool + i;
            ref.want[at] = ref_matmul(w, x, k, &ref.size[at], &ref.block_size[at]);
            if (ref.plain[MATMUL_F32] != NULL)
                ref.plain[MATMUL_F32][at] = ref_matmul_f32(w, x, k);
            if (ref.plain[MATMUL_F16] != NULL)
                ref.plain[MATMUL_F16][at] = ref_matmul_f16(w, x, k);
            if (ref.plain[MATMUL_INT8] != NULL)
                ref.plain[MATMUL_INT8][at] = ref_matmul_int8(w, x, k);
        }
    }
    free(x);
    return ref;
}

static void reference_free(reference *ref)
{
    free(ref->want);
    free(ref->size);
    free(ref->block_size);
    for (int i = 0; i < MATMUL_NUMERICS; i++)
        free(ref->plain[i]);
}

/* One case, all variants or those of a mask. */
typedef struct matmul_case {
    const matrix *m;
    const reference *ref;
    input_kind kind;
    uint64_t seed;                 /* of x */
    uint32_t rows, rows_max;
    bool bias;
    uint64_t variants;             /* bits */
} matmul_case;

#define ALL_VARIANTS UINT64_MAX

typedef struct matmul_run {
    pm_matmul m;
    test_buffer x, x_q8, bias, rows, y;
    uint64_t y_floats;             /* of one variant, the gap included */
} matmul_run;

/* x in 8-bit blocks, for the variants that read it. */
static test_buffer quantise(const pm_matmul *m)
{
    test_buffer x_q8 = buffer_make(pm_quantise_bytes(m->rows_max, m->weight.k));
    const pm_quantise q = {.x = m->x, .y = x_q8.slice, .rows = m->rows, .rows_max = m->rows_max, .k = m->weight.k,
                           .x_stride = m->x_stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_quantise_record(recorder, &q));
    run_recorder(recorder);
    return x_q8;
}

static matmul_run run_make(const matmul_case *c)
{
    const pm_weight *w = &c->m->weight;
    const uint32_t x_stride = pm_row_stride(w->k) + PM_ROW_ALIGN * (c->rows % 2), y_stride = w->n + 5;
    matmul_run run = {.y_floats = (uint64_t)c->rows_max * y_stride + GAP};
    float *bias = many(w->n, sizeof(*bias));
    input_fill(bias, w->n, INPUT_NORMAL, c->seed + 1);
    run.bias = buffer_from(bias, w->n * 4);
    free(bias);
    run.x = buffer_make((uint64_t)c->rows_max * x_stride * 4); /* rows past the count are NaN */
    slice_input(run.x.slice, c->kind, c->seed, c->rows, w->k, x_stride);
    run.rows = buffer_from(&c->rows, 4);
    run.y = buffer_make(run.y_floats * variant_count() * 4);
    run.m = (pm_matmul){.weight = *w, .bias = c->bias ? run.bias.slice : (pm_slice){0}, .x = run.x.slice,
                        .rows = run.rows.slice, .rows_max = c->rows_max, .x_stride = x_stride, .y_stride = y_stride};
    run.x_q8 = quantise(&run.m);
    run.m.x_q8 = run.x_q8.slice;
    return run;
}

static void run_free(matmul_run *run)
{
    buffer_free(&run->x);
    buffer_free(&run->x_q8);
    buffer_free(&run->bias);
    buffer_free(&run->rows);
    buffer_free(&run->y);
}

/* Records the case's variants, each into its part of y; *ran: bits. */
static pm_vk_recorder *run_record(const matmul_case *c, const matmul_run *run, uint64_t *ran)
{
    pm_vk_recorder *recorder = make_recorder();
    const uint64_t variants = c->variants & wanted_variants();
    *ran = 0;
    for (uint32_t v = 0; v < variant_count(); v++) {
        if (!(variants >> v & 1))
            continue;
        pm_matmul m = run->m;
        m.y = pm_slice_part(run->y.slice, v * run->y_floats * 4, (run->y_floats - GAP) * 4);
        if (!fits(v, &m)) {
            tally_skip("matmul", pm_matmul_variant(v), "it does not fit this device, build or type");
            continue;
        }
        ok(pm_matmul_record_variant(recorder, &m, v));
        *ran |= UINT64_C(1) << v;
    }
    return recorder;
}

/* Rows and columns of one variant's output, with the bias: what the case's reference says. */
typedef struct expected {
    double *want, *size, *block_size;
    float *plain[MATMUL_NUMERICS], *got;
} expected;

static expected expected_make(const matmul_case *c)
{
    const uint32_t n = c->m->weight.n, pool = c->m->pool;
    const uint64_t count = (uint64_t)c->rows * n;
    expected e = {.want = many(count, 8), .size = many(count, 8), .block_size = many(count, 8), .got = many(count, 4)};
    for (int p = 0; p < MATMUL_NUMERICS; p++)
        e.plain[p] = c->ref->plain[p] != NULL ? many(count, 4) : NULL;
    for (uint32_t r = 0; r < c->rows; r++)
        for (uint32_t i = 0; i < n; i++) {
            const uint64_t at = (uint64_t)r * n + i, from = (uint64_t)r * pool + i % pool;
            const float bias = c->bias ? input_value(INPUT_NORMAL, c->seed + 1, i) : 0.0f;
            e.want[at] = c->ref->want[from] + (double)bias;
            e.size[at] = c->ref->size[from] + fabs((double)bias);
            e.block_size[at] = c->ref->block_size[from] + fabs((double)bias);
            for (int p = 0; p < MATMUL_NUMERICS; p++)
                if (e.plain[p] != NULL)
                    e.plain[p][at] = c->ref->plain[p][from] + bias;
        }
    return e;
}

static void expected_free(expected *e)
{
    free(e->want);
    free(e->size);
    free(e->block_size);
    free(e->got);
    for (int p = 0; p < MATMUL_NUMERICS; p++)
        free(e->plain[p]);
}

/* One variant's output: right where it is to be written, untouched elsewhere. */
static void check_output(const matmul_case *c, const matmul_run *run, expected *e, uint32_t variant, const float *y)
{
    const uint32_t n = c->m->weight.n, stride = run->m.y_stride;
    const struct matmul_bound *bound = matmul_bound_of(pm_matmul_variant(variant));
    char what[200];
    snprintf(what, sizeof(what), "%s %s [%u,%u], %u rows of at most %u, x %s, blocks %d%s", pm_matmul_variant(variant),
             pm_dtype_get(c->m->weight.type)->name, n, c->m->weight.k, c->rows, c->rows_max, input_name(c->kind),
             (int)c->m->kind, c->bias ? ", bias" : "");
    for (uint64_t at = 0; at < run->y_floats; at++) {
        const uint64_t r = at / stride, i = at % stride;
        if (r < c->rows && i < n)
            e->got[r * n + i] = y[at];
        else if (pm_f32_bits(y[at]) != CANARY_WORD)
            fail_msg("%s: float %llu of row %llu was written", what, (unsigned long long)i, (unsigned long long)r);
    }
    const uint64_t count = (uint64_t)c->rows * n;
    const double *size = bound->numerics == MATMUL_INT8 ? e->block_size : e->size;
    compare(e->got, e->want, size, count, bound->rtol, ATOL, what);
    if (c->kind != INPUT_TINY) /* flushed denormals are no error of the sum */
        compare_rule(e->got, e->plain[bound->numerics], e->want, size, count, RULE_SLACK, what);
    tally("matmul", pm_matmul_variant(variant), count);
}

static void check_case(const matmul_case *c)
{
    matmul_run run = run_make(c);
    uint64_t ran;
    run_recorder(run_record(c, &run, &ran));
    float *y = many(run.y.slice.bytes / 4, 4);
    buffer_read(&run.y, y);
    expected e = expected_make(c);
    for (uint32_t v = 0; v < variant_count(); v++)
        if (ran >> v & 1)
            check_output(c, &run, &e, v, y + v * run.y_floats);
    expected_free(&e);
    free(y);
    run_free(&run);
}

#define TYPES_AT_LENGTH 5          /* types that get all that a test has; the others a part, by seed */

/* Rows that a case is recorded for. Kernels that are made for their rows, up to 16, are seen in all sizes for
 * the types at length, in few for the others. */
static uint32_t recorded_for(pm_dtype type, uint32_t rows)
{
    if (type_in_turn((uint32_t)type, TYPES_AT_LENGTH))
        return rows + pick(4);
    return rows <= 1 ? 1 : rows <= 9 ? 9 : (rows + 15) / 16 * 16;
}

/* A matrix, its reference for rows_most rows, and the cases of `rows[]`. */
static void check_rows(pm_dtype type, block_kind blocks, input_kind kind, uint32_t n, uint32_t k, const uint32_t *rows,
                       uint32_t count, uint64_t variants)
{
    const uint64_t seed = harness_seed() * 31 + type * 1000003u + n * 101u + k;
    uint32_t most = 0;
    for (uint32_t i = 0; i < count; i++)
        most = rows[i] > most ? rows[i] : most;
    matrix m = matrix_make(type, blocks, n, k, POOL, seed);
    reference ref = reference_make(&m, kind, seed + 5, most);
    for (uint32_t i = 0; i < count; i++) {
        const matmul_case c = {.m = &m, .ref = &ref, .kind = kind, .seed = seed + 5, .rows = rows[i],
                               .rows_max = recorded_for(type, rows[i]), .bias = pick(2) == 0, .variants = variants};
        check_case(&c);
    }
    reference_free(&ref);
    matrix_free(&m);
}

/* k of about `wish` elements that is legal for the type, and no multiple of a larger tile. */
static uint32_t legal_k(pm_dtype type, uint32_t wish)
{
    const uint32_t block = pm_dtype_get(type)->block;
    return block == 1 ? wish : (wish + block - 1) / block * block;
}

/* ------------------------------------------------------------------ tests */

static void every_variant_and_type_at_every_row_count(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,  12,  13,  14,
                                      15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 512};
    static const uint32_t outputs[] = {1, 31, 33, 65, 100}, widths[] = {1, 33, 172, 256, 300, 1000};
    for_each_type(type) {
        uint32_t rows[3][COUNT_OF(counts)], used[3] = {0};
        const bool at_length = type_in_turn(type, TYPES_AT_LENGTH);
        for (uint32_t i = 0; i < COUNT_OF(counts); i++) {
            const bool awkward = counts[i] == 1 || counts[i] == 9 || counts[i] == 17 || counts[i] == 65;
            if (!at_length && !awkward && (counts[i] == 512 || pick(3) > 0))
                continue;
            const uint32_t to = pick(3);
            rows[to][used[to]++] = counts[i];
        }
        for (int matrix_index = 0; matrix_index < 3; matrix_index++) {
            const uint32_t n = outputs[matrix_index == 0 ? 2 : pick(COUNT_OF(outputs))];
            const uint32_t k = legal_k((pm_dtype)type, matrix_index == 0 ? 300 : widths[pick(COUNT_OF(widths))]);
            if (used[matrix_index] > 0)
                check_rows((pm_dtype)type, BLOCKS_NORMAL, INPUT_NORMAL, n, k, rows[matrix_index], used[matrix_index],
                           matmul_variants_in_turn(type, TYPES_AT_LENGTH));
        }
    }
    compare_report("matmul, row counts");
}

static void hard_inputs_stay_in_bounds(void **state)
{
    (void)state;
    for_each_type(type) {
        const uint32_t k = legal_k((pm_dtype)type, 700);
        const bool at_length = type_in_turn(type, TYPES_AT_LENGTH);
        const uint64_t variants = matmul_variants_in_turn(type, TYPES_AT_LENGTH);
        for (int kind = INPUT_OUTLIERS; kind <= INPUT_SCALES; kind++) {
            const uint32_t rows[] = {1 + pick(20)};
            if (at_length || pick(3) == 0)
                check_rows((pm_dtype)type, BLOCKS_NORMAL, (input_kind)kind, 40, k, rows, 1, variants);
        }
        for (int blocks = BLOCKS_ZERO; blocks < BLOCK_KINDS; blocks++) {
            const uint32_t rows[] = {1 + pick(20)};
            check_rows((pm_dtype)type, (block_kind)blocks, INPUT_NORMAL, 70, k, rows, 1, variants);
        }
    }
    compare_report("matmul, hard inputs");
}

static const uint32_t real_widths[] = {2048, 4096, 5632, 11008, 14336};

/* By all variants. Whatever the seed, four types in turn have every width as k among them. */
static void widths_of_real_models(void **state)
{
    (void)state;
    const uint32_t widths = COUNT_OF(real_widths);
    uint32_t first = pick(widths), seen = 0, types = 0;
    for_each_type(type) {
        if (!type_in_turn(type, TYPES_AT_LENGTH))
            continue;
        const uint32_t rows[] = {1 + pick(16)}, few[] = {1 + pick(4)};
        const uint32_t second = (first + 2) % widths, third = (first + 1) % widths;
        check_rows((pm_dtype)type, BLOCKS_NORMAL, INPUT_NORMAL, 45, real_widths[first], rows, 1, ALL_VARIANTS);
        check_rows((pm_dtype)type, BLOCKS_NORMAL, INPUT_OUTLIERS, 33, real_widths[second], few, 1, ALL_VARIANTS);
        check_rows((pm_dtype)type, BLOCKS_NORMAL, INPUT_NORMAL, real_widths[third], 256, few, 1, ALL_VARIANTS);
        seen |= 1u << first | 1u << second;
        first = third;
        types++;
    }
    assert_true(types < 4 || seen == (1u << widths) - 1);
    compare_report("matmul, real widths");
}

/* Two variants by seed of two types by seed: all 32,000 and 151,936 outputs. */
static void outputs_of_real_vocabularies(void **state)
{
    (void)state;
    static const uint32_t vocabularies[] = {32000, 151936};
    for (uint32_t i = 0; i < COUNT_OF(vocabularies); i++) {
        const uint32_t rows[] = {1 + pick(3)};
        const uint64_t variants = UINT64_C(1) << pick(variant_count()) | UINT64_C(1) << pick(variant_count()) | 1;
        check_rows((pm_dtype)some_type(), BLOCKS_NORMAL, INPUT_NORMAL, vocabularies[i], 256, rows, 1, variants);
    }
    compare_report("matmul, vocabularies");
}

/* Q, K and V of a mixed file: matrices of different types write neighbouring columns of one y. */
static void parts_of_different_types_share_an_output(void **state)
{
    (void)state;
    static const uint32_t outputs[] = {64, 33, 31};
    const uint32_t k = 512, rows = 5, stride = 64 + 33 + 31 + 7;
    const uint64_t seed = harness_seed() + 77;
    matrix part[3];
    reference ref[3];
    for (int i = 0; i < 3; i++) {
        part[i] = matrix_make((pm_dtype)some_type(), BLOCKS_NORMAL, outputs[i], k, POOL, seed + (uint64_t)i);
        ref[i] = reference_make(&part[i], INPUT_NORMAL, seed, rows);
    }
    test_buffer x = buffer_input(INPUT_NORMAL, seed, rows, k, k), y = buffer_make(rows * stride * 4),
                count = buffer_from(&rows, 4);
    pm_vk_recorder *recorder = make_recorder();
    for (uint32_t i = 0, column = 0; i < 3; column += outputs[i++]) {
        const pm_matmul m = {.weight = part[i].weight, .x = x.slice, .rows = count.slice, .rows_max = rows, .x_stride = k,
                             .y = pm_slice_part(y.slice, column * 4, y.slice.bytes - column * 4), .y_stride = stride};
        ok(pm_matmul_record_variant(recorder, &m, 0));
    }
    run_recorder(recorder);
    float *got = many(rows * stride, 4);
    buffer_read(&y, got);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0, column = 0; i < 3; column += outputs[i++])
            compare(got + r * stride + column, ref[i].want + r * outputs[i], ref[i].size + r * outputs[i], outputs[i],
                    matmul_bound_of(pm_matmul_variant(0))->rtol, ATOL, "a part of a mixed matrix");
        for (uint32_t i = stride - 7; i < stride; i++)
            assert_int_equal(pm_f32_bits(got[r * stride + i]), CANARY_WORD);
    }
    for (int i = 0; i < 3; i++) {
        reference_free(&ref[i]);
        matrix_free(&part[i]);
    }
    buffer_free(&x);
    buffer_free(&y);
    buffer_free(&count);
    free(got);
}

/* ------------------------------------------------------------ past 4 GiB */

/* Rows of x and of y whose byte offsets pass 2^32; all variants, one type by seed. */
static void rows_past_4_gib(void **state)
{
    (void)state;
    const uint32_t n = 33, k = 64, rows = 530, stride = 1u << 21; /* 8 MiB */
    const uint64_t seed = harness_seed() + 11;
    const uint32_t type = some_type();
    matrix m = matrix_make((pm_dtype)type, BLOCKS_NORMAL, n, legal_k((pm_dtype)type, k), POOL, seed);
    reference ref = reference_make(&m, INPUT_NORMAL, seed + 1, rows);
    far_memory x, y;
    if (!far_make(&x, (uint64_t)rows * stride * 4, "matmul, x past 4 GiB"))
        skip();
    if (!far_make(&y, (uint64_t)rows * stride * 4, "matmul, y past 4 GiB")) {
        far_free(&x);
        skip();
    }
    float row[256], got[33];
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t j = 0; j < m.weight.k; j++)
            row[j] = input_at(INPUT_NORMAL, seed + 1, r, j);
        far_write(&x, (uint64_t)r * stride * 4, row, m.weight.k * 4);
    }
    test_buffer count = buffer_from(&rows, 4);
    for (uint32_t v = 0; v < variant_count(); v++) {
        pm_matmul mm = {.weight = m.weight, .x = x.slice, .y = y.slice, .rows = count.slice, .rows_max = rows,
                        .x_stride = stride, .y_stride = stride};
        test_buffer x_q8 = quantise(&mm);
        mm.x_q8 = x_q8.slice;
        if (!fits(v, &mm) || !(wanted_variants() >> v & 1)) {
            buffer_free(&x_q8);
            continue;
        }
        const struct matmul_bound *bound = matmul_bound_of(pm_matmul_variant(v));
        memset(got, 0xff, sizeof(got)); /* NaN: what is not written is seen */
        for (uint32_t r = 0; r < rows; r++)
            far_write(&y, (uint64_t)r * stride * 4, got, sizeof(got));
        pm_vk_recorder *recorder = make_recorder();
        ok(pm_matmul_record_variant(recorder, &mm, v));
        run_recorder(recorder);
        for (uint32_t r = 0; r < rows; r++) {
            far_read(&y, (uint64_t)r * stride * 4, got, sizeof(got));
            compare(got, ref.want + r * n, (bound->numerics == MATMUL_INT8 ? ref.block_size : ref.size) + r * n, n,
                    bound->rtol, ATOL, "a row past 4 GiB");
        }
        buffer_free(&x_q8);
        tally("matmul past 4 GiB", pm_matmul_variant(v), (uint64_t)rows * n);
    }
    buffer_free(&count);
    far_free(&x);
    far_free(&y);
    reference_free(&ref);
    matrix_free(&m);
}

/* F32 weights of more than 4 GiB, of which the first rows, the rows around 2^32 bytes and the
 * last are packed and all others are the zeros that they lie in. */
static void weights_past_4_gib(void **state)
{
    (void)state;
    const uint32_t k = 16384, n = 65536 + 96, row = 1;
    const uint64_t seed = harness_seed() + 12;
    const uint32_t bases[] = {0, 65536 - 32, 65536, n - 32};
    far_memory w;
    if (!far_make(&w, pm_weight_bytes(PM_DTYPE_F32, n, k), "matmul, weights past 4 GiB"))
        skip();
    float *values = many((uint64_t)32 * COUNT_OF(bases) * k, 4), *got = many(n, 4), *x = many(k, 4);
    input_fill(values, (uint64_t)32 * COUNT_OF(bases) * k, INPUT_NORMAL, seed);
    for (uint32_t j = 0; j < k; j++)
        x[j] = input_at(INPUT_NORMAL, seed + 1, 0, j);
    const pm_weight weight = {.type = PM_DTYPE_F32, .n = n, .k = k, .data = w.slice};
    test_buffer raw = buffer_from(values, (uint64_t)32 * COUNT_OF(bases) * k * 4), xb = buffer_from(x, k * 4),
                y = buffer_make(n * 4), count = buffer_from(&row, 4);
    pm_vk_recorder *recorder = make_recorder();
    for (uint32_t i = 0; i < COUNT_OF(bases); i++)
        ok(pm_weight_pack_record(recorder, &weight, bases[i], 32, pm_slice_part(raw.slice, (uint64_t)i * 32 * k * 4, 32 * k * 4)));
    run_recorder(recorder);
    const pm_matmul m = {.weight = weight, .x = xb.slice, .y = y.slice, .rows = count.slice, .rows_max = 1, .x_stride = k,
                         .y_stride = n};
    recorder = make_recorder();
    ok(pm_matmul_record(recorder, &m));
    run_recorder(recorder);
    buffer_read(&y, got);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t b = 0;
        while (b < COUNT_OF(bases) && (i < bases[b] || i >= bases[b] + 32))
            b++;
        double want = 0.0, size = 0.0, block_size;
        if (b < COUNT_OF(bases))
            want = ref_matmul(values + (uint64_t)(b * 32 + i - bases[b]) * k, x, k, &size, &block_size);
        compare(&got[i], &want, &size, 1, 1.5e-6, ATOL, "a weight row past 4 GiB");
    }
    tally("matmul past 4 GiB", "weights", n);
    buffer_free(&raw);
    buffer_free(&xb);
    buffer_free(&y);
    buffer_free(&count);
    far_free(&w);
    free(values);
    free(got);
    free(x);
}

/* ------------------------------------------- determinism and capabilities */

static void fifty_repeats_and_a_fresh_recording_are_the_same_bits(void **state)
{
    (void)state;
    for_each_type(type) {
        if (!type_in_turn(type, TYPES_AT_LENGTH))
            continue;
        const uint64_t seed = harness_seed() + 13;
        matrix m = matrix_make((pm_dtype)type, BLOCKS_NORMAL, 70, legal_k((pm_dtype)type, 250), POOL, seed);
        const matmul_case c = {.m = &m, .kind = INPUT_NORMAL, .seed = seed, .rows = 9, .rows_max = 10, .bias = true,
                               .variants = ALL_VARIANTS};
        matmul_run run = run_make(&c);
        pm_vk_commands *commands[2];
        for (int i = 0; i < 2; i++) {
            uint64_t ran;
            pm_vk_recorder *recorder = run_record(&c, &run, &ran);
            ok(pm_vk_recorder_end(recorder, &commands[i]));
            pm_vk_recorder_destroy(recorder);
        }
        check_repeats(commands[0], commands[1], &run.y, pm_dtype_get(type)->name);
        run_free(&run);
        matrix_free(&m);
    }
}

/* Deterministic, what an engine takes gives a row the same bits alone and among others, whose kernels are made
 * for other numbers of rows. */
static void deterministic_rows_are_the_same_bits_in_any_batch(void **state)
{
    (void)state;
    static const pm_dtype types[] = {PM_DTYPE_Q8_0, PM_DTYPE_Q4_1, PM_DTYPE_Q2_K, PM_DTYPE_Q4_K};
    static const uint32_t counts[] = {1, 2, 3};
    const uint32_t n = 70;
    for_each_type(type) {
        bool named = false;
        for (uint32_t i = 0; i < COUNT_OF(types); i++)
            named |= types[i] == (pm_dtype)type;
        if (!named)
            continue;
        const uint64_t seed = harness_seed() + 15;
        matrix m = matrix_make((pm_dtype)type, BLOCKS_NORMAL, n, 512, POOL, seed);
        float alone[70];
        for (uint32_t i = 0; i < COUNT_OF(counts); i++) {
            const matmul_case c = {.m = &m, .kind = INPUT_NORMAL, .seed = seed, .rows = counts[i], .rows_max = counts[i]};
            matmul_run run = run_make(&c);
            run.m.deterministic = true;
            run.m.y = pm_slice_part(run.y.slice, 0, (run.y_floats - GAP) * 4);
            pm_vk_recorder *recorder = make_recorder();
            ok(pm_matmul_record(recorder, &run.m));
            run_recorder(recorder);
            float *y = many(run.y.slice.bytes / 4, 4);
            buffer_read(&run.y, y);
            if (i == 0)
                memcpy(alone, y, sizeof(alone));
            for (uint32_t at = 0; at < n; at++)
                if (pm_f32_bits(y[at]) != pm_f32_bits(alone[at]))
                    fail_msg("%s: output %u of a row is %.9g alone and %.9g among %u", pm_dtype_get((pm_dtype)type)->name, at,
                             (double)alone[at], (double)y[at], counts[i]);
            free(y);
            run_free(&run);
        }
        matrix_free(&m);
    }
}

/* A replay whose row count changed is what a recording for that count is. */
static void a_replay_reads_the_count_anew(void **state)
{
    (void)state;
    const uint64_t seed = harness_seed() + 14;
    matrix m = matrix_make((pm_dtype)some_type(), BLOCKS_NORMAL, 33, 512, POOL, seed);
    reference ref = reference_make(&m, INPUT_NORMAL, seed, 16);
    matmul_case c = {.m = &m, .ref = &ref, .kind = INPUT_NORMAL, .seed = seed, .rows = 16, .rows_max = 16,
                     .variants = ALL_VARIANTS};
    matmul_run run = run_make(&c);
    uint64_t ran;
    pm_vk_recorder *recorder = run_record(&c, &run, &ran);
    pm_vk_commands *commands;
    ok(pm_vk_recorder_end(recorder, &commands));
    pm_vk_recorder_destroy(recorder);
    float *y = many(run.y.slice.bytes / 4, 4), *blank = many(run.y.slice.bytes / 4, 4);
    for (uint64_t i = 0; i < run.y.slice.bytes / 4; i++)
        blank[i] = pm_f32_from_bits(CANARY_WORD);
    static const uint32_t counts[] = {16, 1, 7, 16, 9};
    for (uint32_t i = 0; i < COUNT_OF(counts); i++) {
        c.rows = counts[i];
        ok(pm_vk_upload(harness_device(), run.rows.slice, &c.rows, 4));
        ok(pm_vk_upload(harness_device(), run.y.slice, blank, run.y.slice.bytes));
        ok(pm_vk_commands_run(commands));
        buffer_read(&run.y, y);
        expected e = expected_make(&c);
        for (uint32_t v = 0; v < variant_count(); v++)
            if (ran >> v & 1)
                check_output(&c, &run, &e, v, y + v * run.y_floats);
        expected_free(&e);
    }
    pm_vk_commands_destroy(commands);
    run_free(&run);
    reference_free(&ref);
    matrix_free(&m);
    free(y);
    free(blank);
}

/* With capabilities masked off a variant that needs one is refused, and the others are right. A
 * masked capability is not enabled on the device either. */
static void masked_capabilities(void **state)
{
    (void)state;
    const uint32_t present = pm_vk_device_caps(harness_device())->bits;
    uint32_t masks[3] = {present, present & PM_CAP_BIT(SUBGROUP), 0};
    for (uint32_t tries = 0; tries < 32 && masks[2] == 0; tries++)
        masks[2] = present & (1u << pick(PM_CAPS));
    const uint32_t type = some_type();
    for (uint32_t i = 0; i < COUNT_OF(masks); i++) {
        char list[256] = "";
        if (masks[i] == 0 || (i > 0 && masks[i] == masks[i - 1]))
            continue;
        for (uint32_t cap = 0; cap < PM_CAPS; cap++)
            if (masks[i] >> cap & 1)
                snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s-%s", list[0] != '\0' ? "," : "",
                         pm_cap_name((pm_cap)cap));
        harness_close();
        setenv("PUMICE_CAPS", list, 1);
        assert_int_equal(pm_vk_device_caps(harness_device())->bits & masks[i], 0);
        const uint32_t rows[] = {5, 17};
        check_rows((pm_dtype)type, BLOCKS_NORMAL, INPUT_NORMAL, 33, legal_k((pm_dtype)type, 300), rows, 2, ALL_VARIANTS);
        matrix m = matrix_make((pm_dtype)type, BLOCKS_NORMAL, 33, legal_k((pm_dtype)type, 300), POOL, 1);
        const matmul_case c = {.m = &m, .rows = 2, .rows_max = 2};
        matmul_run run = run_make(&c);
        run.m.y = run.y.slice;
        for (uint32_t v = 0; v < variant_count(); v++) {
            pm_vk_recorder *recorder = make_recorder();
            if (!fits(v, &run.m))
                assert_int_equal(pm_matmul_record_variant(recorder, &run.m, v), PM_ERR_UNSUP);
            pm_vk_recorder_destroy(recorder);
        }
        pm_vk_recorder *recorder = make_recorder();
        ok(pm_matmul_record(recorder, &run.m)); /* something always serves */
        run_recorder(recorder);
        run_free(&run);
        matrix_free(&m);
    }
    harness_close();
    unsetenv("PUMICE_CAPS");
    compare_report("matmul, masked capabilities");
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
        cmocka_unit_test(every_variant_and_type_at_every_row_count),
        cmocka_unit_test(hard_inputs_stay_in_bounds),
        cmocka_unit_test(widths_of_real_models),
        cmocka_unit_test(outputs_of_real_vocabularies),
        cmocka_unit_test(parts_of_different_types_share_an_output),
        cmocka_unit_test(rows_past_4_gib),
        cmocka_unit_test(weights_past_4_gib),
        cmocka_unit_test(fifty_repeats_and_a_fresh_recording_are_the_same_bits),
        cmocka_unit_test(deterministic_rows_are_the_same_bits_in_any_batch),
        cmocka_unit_test(a_replay_reads_the_count_anew),
        cmocka_unit_test(masked_capabilities),
    };
    return cmocka_run_group_tests_name("matmul", tests, NULL, finish);
}
