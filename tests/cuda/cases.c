/* cases.c - the table, the inputs, and what the bounds are. */
#include "cuda/cases.h"

#include "base/half.h"
#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- table */

static cuda_case cases[CUDA_CASES_MAX];
static uint32_t case_count;

static cuda_case *add_case(cuda_case c)
{
    pm_assert(case_count < CUDA_CASES_MAX);
    cases[case_count] = c;
    return &cases[case_count++];
}

/* Shapes for every type: a decode step, a skinny batch, a batch with a bias and outliers. */
static void add_type(pm_dtype type)
{
    const char *stem = pm_dtype_get(type)->stem;
    cuda_case *c = add_case((cuda_case){.op = CUDA_EMBEDDING, .type = type, .rows = 19, .n = 40, .k = 768});
    snprintf(c->name, sizeof(c->name), "embedding.%s.%ux%u", stem, c->rows, c->k);
    static const cuda_case shapes[] = {
        {.rows = 1, .n = 96, .k = 4096},
        {.rows = 9, .n = 160, .k = 2048},
        {.rows = 33, .n = 100, .k = 768, .kind = INPUT_OUTLIERS, .option = true},
    };
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        c = add_case(shapes[i]);
        c->op = CUDA_MATMUL;
        c->type = type;
        snprintf(c->name, sizeof(c->name), "matmul.%s.%ux%ux%u%s", stem, c->rows, c->n, c->k, c->option ? ".bias" : "");
    }
}

static void add_matmul(pm_dtype type, uint32_t rows, uint32_t n, uint32_t k, input_kind kind, bool half_x, const char *suffix)
{
    cuda_case *c = add_case((cuda_case){.op = CUDA_MATMUL, .type = type, .rows = rows, .n = n, .k = k, .kind = kind, .half_x = half_x});
    snprintf(c->name, sizeof(c->name), "matmul.%s.%ux%ux%u%s", pm_dtype_get(type)->stem, rows, n, k, suffix);
}

static void add_rows(cuda_op op, const char *name, uint32_t rows, uint32_t n, uint32_t k, input_kind kind, bool option)
{
    static const char *const kinds[INPUT_KINDS] = {"", ".outliers", ".zeros", ".tiny", ".large"};
    cuda_case *c = add_case((cuda_case){.op = op, .rows = rows, .n = n, .k = k, .kind = kind, .option = option});
    snprintf(c->name, sizeof(c->name), "%s.%ux%u%s%s", name, rows, n > 0 ? n : k, kinds[kind], option ? ".add" : "");
}

static void add_attention(const char *name, cuda_case c)
{
    for (int op = CUDA_ROPE; op <= CUDA_PREFILL; op++) {
        c.op = (cuda_op)op;
        c.rows = 0;
        uint32_t most = 0;
        for (uint32_t s = 0; s < c.seqs; s++) {
            c.rows += c.fresh[s];
            most = c.fresh[s] > most ? c.fresh[s] : most;
        }
        c.n = c.heads * c.head_dim;
        snprintf(c.name, sizeof(c.name), "%s.%s", op == CUDA_ROPE ? "rope" : op == CUDA_DECODE ? "attention_decode" :
                 "attention_prefill", name);
        add_case(c);
    }
}

static void add_all(void)
{
    static const pm_dtype types[] = {PM_DTYPE_F32, PM_DTYPE_F16, PM_DTYPE_BF16, PM_DTYPE_Q4_0, PM_DTYPE_Q4_1, PM_DTYPE_Q5_0,
                                     PM_DTYPE_Q5_1, PM_DTYPE_Q8_0, PM_DTYPE_Q2_K, PM_DTYPE_Q3_K, PM_DTYPE_Q4_K, PM_DTYPE_Q5_K,
                                     PM_DTYPE_Q6_K, PM_DTYPE_IQ4_NL, PM_DTYPE_IQ4_XS, PM_DTYPE_MXFP4, PM_DTYPE_IQ1_S,
                                     PM_DTYPE_IQ1_M, PM_DTYPE_IQ2_XXS, PM_DTYPE_IQ2_XS, PM_DTYPE_IQ2_S, PM_DTYPE_IQ3_XXS,
                                     PM_DTYPE_IQ3_S};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        add_type(types[i]);
    add_matmul(PM_DTYPE_F16, 1, 96, 4096, INPUT_NORMAL, true, ".f16x");
    add_matmul(PM_DTYPE_F16, 64, 128, 2048, INPUT_NORMAL, true, ".f16x");
    add_matmul(PM_DTYPE_F16, 129, 65, 5632, INPUT_OUTLIERS, true, ".f16x");
    add_matmul(PM_DTYPE_Q4_0, 2, 64, 11008, INPUT_NORMAL, false, "");
    add_matmul(PM_DTYPE_Q4_K, 17, 33, 14336, INPUT_NORMAL, false, "");
    add_matmul(PM_DTYPE_Q6_K, 5, 70, 5632, INPUT_NORMAL, false, "");
    add_matmul(PM_DTYPE_Q8_0, 65, 31, 4096, INPUT_NORMAL, false, "");
    add_matmul(PM_DTYPE_Q8_0, 3, 40, 768, INPUT_ZEROS, false, ".zeros");
    add_matmul(PM_DTYPE_Q8_0, 3, 40, 768, INPUT_LARGE, false, ".large");
    add_rows(CUDA_RMSNORM, "rmsnorm", 3, 0, 64, INPUT_NORMAL, false);
    add_rows(CUDA_RMSNORM, "rmsnorm", 2, 0, 4096, INPUT_OUTLIERS, true);
    add_rows(CUDA_RMSNORM, "rmsnorm", 2, 0, 172, INPUT_TINY, false);
    add_rows(CUDA_RMSNORM, "rmsnorm", 2, 0, 2048, INPUT_LARGE, false);
    add_rows(CUDA_RMSNORM, "rmsnorm", 2, 0, 768, INPUT_ZEROS, false);
    add_rows(CUDA_SWIGLU, "swiglu", 3, 0, 172, INPUT_NORMAL, false);
    add_rows(CUDA_SWIGLU, "swiglu", 2, 0, 11008, INPUT_OUTLIERS, false);
    add_rows(CUDA_ARGMAX, "argmax", 5, 32000, 1, INPUT_NORMAL, false);
    add_rows(CUDA_ARGMAX, "argmax", 7, 31, 1, INPUT_LARGE, false); /* only ties */
    add_rows(CUDA_TOPK, "topk", 3, 32000, 64, INPUT_NORMAL, false);
    add_rows(CUDA_TOPK, "topk", 2, 31, 40, INPUT_LARGE, false); /* ties, and fewer than 40 */
    add_attention("pages", (cuda_case){.heads = 8, .kv_heads = 2, .head_dim = 128, .rotary_dim = 128, .page_tokens = 16, .seqs = 4,
                  .past = {0, 14, 15, 16}, .fresh = {1, 1, 1, 1}, .kv_type = CUDA_KV_F16});
    add_attention("neox", (cuda_case){.heads = 4, .kv_heads = 4, .head_dim = 64, .rotary_dim = 64, .page_tokens = 32, .seqs = 1,
                  .past = {999}, .fresh = {1}, .option = true, .kv_type = CUDA_KV_F32});
    add_attention("partial", (cuda_case){.heads = 12, .kv_heads = 4, .head_dim = 80, .rotary_dim = 40, .page_tokens = 16, .seqs = 2,
                  .past = {37, 200}, .fresh = {1, 1}, .window = 20, .kv_type = CUDA_KV_F32});
    add_attention("prompt", (cuda_case){.heads = 4, .kv_heads = 2, .head_dim = 64, .rotary_dim = 64, .page_tokens = 16, .seqs = 1,
                  .past = {0}, .fresh = {70}, .kv_type = CUDA_KV_F16});
    add_attention("mixed", (cuda_case){.heads = 16, .kv_heads = 1, .head_dim = 96, .rotary_dim = 96, .page_tokens = 16, .seqs = 4,
                  .past = {90, 0, 33, 64}, .fresh = {1, 40, 17, 1}, .option = true, .kv_type = CUDA_KV_F32});
    add_attention("window", (cuda_case){.heads = 2, .kv_heads = 1, .head_dim = 256, .rotary_dim = 256, .page_tokens = 16, .seqs = 3,
                  .past = {60, 0, 5}, .fresh = {1, 50, 9}, .window = 21, .kv_type = CUDA_KV_F16});
    add_attention("long", (cuda_case){.heads = 2, .kv_heads = 1, .head_dim = 32, .rotary_dim = 32, .page_tokens = 16, .seqs = 1,
                  .past = {4096}, .fresh = {3}, .kv_type = CUDA_KV_F16});
    add_attention("q8_0", (cuda_case){.heads = 8, .kv_heads = 2, .head_dim = 64, .rotary_dim = 64, .page_tokens = 16, .seqs = 3,
                  .past = {90, 0, 33}, .fresh = {1, 40, 17}, .kv_type = CUDA_KV_Q8_0});
    add_attention("q4_0", (cuda_case){.heads = 6, .kv_heads = 3, .head_dim = 128, .rotary_dim = 128, .page_tokens = 32, .seqs = 3,
                  .past = {160, 0, 31}, .fresh = {1, 33, 2}, .option = true, .window = 70, .kv_type = CUDA_KV_Q4_0});
}

const cuda_case *cuda_cases(uint32_t *count)
{
    if (case_count == 0)
        add_all();
    *count = case_count;
    return cases;
}

const cuda_case *cuda_case_find(const char *name)
{
    uint32_t count;
    const cuda_case *all = cuda_cases(&count);
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    return NULL;
}

uint64_t cuda_case_elements(const cuda_case *c)
{
    switch (c->op) {
    case CUDA_EMBEDDING: case CUDA_SWIGLU: return (uint64_t)c->rows * c->k;
    case CUDA_RMSNORM: case CUDA_TOPK: return (uint64_t)c->rows * c->k * 2;
    case CUDA_ARGMAX: return c->rows;
    default: return (uint64_t)c->rows * c->n;
    }
}

/* Unit roundoff is 6e-8. Of the sum of the |terms|:
 * - a weight is one or two roundings of the same products: no difference at all;
 * - matmul: sums of up to 14336 terms, in order or in blocks of 32: 3e-6, as tests/op holds;
 * - rmsnorm, swiglu: a square root or an exp() of up to 3 + 2 |x| ulp: 4e-6 and 3e-5, as tests/op;
 * - rope: one rotation by a table rounded to f32: 1e-6;
 * - attention: exp() and f32 scores make 3e-5; an f16 key that lies between two f16 values may be
 *   rounded to either, half a unit of 2^-10 in a term of q k: 5e-4; so may the scale of a block, and
 *   the integers of blocks hardly ever differ (a step is one of dim terms of one of many scores).
 * atol is what flushed denormals make. */
void cuda_case_bounds(const cuda_case *c, double *rtol, double *atol)
{
    *atol = 1e-30;
    switch (c->op) {
    case CUDA_MATMUL: *rtol = 3e-6; break;
    case CUDA_RMSNORM: *rtol = 4e-6; break;
    case CUDA_ROPE: *rtol = 1e-6; break;
    case CUDA_DECODE: case CUDA_PREFILL: *rtol = c->kv_type == CUDA_KV_F32 ? 3e-5 : 5e-4; break;
    case CUDA_SWIGLU: *rtol = 3e-5; break;
    default: *rtol = *atol = 0.0;
    }
}

double cuda_worst(const float *got, const double *want, const double *size, uint64_t count, double rtol, double atol,
                  uint64_t *at)
{
    double worst = 0.0;
    *at = 0;
    for (uint64_t i = 0; i < count; i++) {
        if ((double)got[i] == want[i])
            continue;
        const double error = fabs((double)got[i] - want[i]), bound = atol + rtol * size[i];
        const double share = isfinite(error) && bound > 0.0 ? error / bound : INFINITY;
        if (share > worst) {
            worst = share;
            *at = i;
        }
    }
    return worst;
}

/* ---------------------------------------------------------------- inputs */

static void *make(uint64_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    pm_assert(memory != NULL);
    return memory;
}

/* Random blocks: any bits are a legal block once its scales are finite and small. */
static void make_blocks(const cuda_case *c, uint64_t seed, cuda_inputs *in)
{
    const pm_dtype_info *info = pm_dtype_get(c->type);
    const uint64_t values = (uint64_t)c->n * c->k, blocks = values / info->block;
    in->blocks_bytes = blocks * info->bytes;
    in->blocks = make(in->blocks_bytes, 1);
    for (uint64_t i = 0; i < in->blocks_bytes; i++)
        in->blocks[i] = (uint8_t)input_index(seed, i, 256);
    for (uint64_t b = 0; b < blocks; b++) {
        uint8_t *block = in->blocks + b * info->bytes;
        const float value = input_value(INPUT_NORMAL, seed + 1, b) * 0.1f;
        const uint16_t d = b % 17 == 0 && info->block > 1 ? 0 : pm_f16_from_f32(value), m = pm_f16_from_f32(value * 0.5f);
        const uint16_t brain = pm_bf16_from_f32(value);
        switch (c->type) {
        case PM_DTYPE_F32: memcpy(block, &value, 4); break;
        case PM_DTYPE_BF16: memcpy(block, &brain, 2); break;
        case PM_DTYPE_Q4_1: case PM_DTYPE_Q5_1: case PM_DTYPE_Q4_K: case PM_DTYPE_Q5_K:
            memcpy(block, &d, 2);
            memcpy(block + 2, &m, 2);
            break;
        case PM_DTYPE_Q2_K:
            memcpy(block + 80, &d, 2);
            memcpy(block + 82, &m, 2);
            break;
        case PM_DTYPE_Q3_K: memcpy(block + 108, &d, 2); break;
        case PM_DTYPE_Q6_K: memcpy(block + 208, &d, 2); break;
        case PM_DTYPE_IQ1_M: /* d in the upper nibbles of four words */
            for (int i = 0; i < 4; i++)
                block[49 + 2 * i] = (uint8_t)((block[49 + 2 * i] & 15) | (d >> (4 * i) & 15) << 4);
            break;
        case PM_DTYPE_MXFP4: block[0] = (uint8_t)(110 + block[0] % 20); break;
        default: memcpy(block, &d, 2); break;
        }
    }
    in->w = make(values, sizeof(float));
    pm_dequant_row(c->type, in->blocks, in->w, values);
}

static bool is_prime(uint32_t n)
{
    for (uint32_t i = 2; i * i <= n; i++)
        if (n % i == 0)
            return false;
    return n > 1;
}

/* Rows, fresh ones first, and pages in a shuffled order with holes. */
static void make_sequences(const cuda_case *c, cuda_inputs *in)
{
    for (uint32_t s = 0; s < c->seqs; s++) {
        in->kv_len[s] = c->past[s] + c->fresh[s];
        in->row_start[s + 1] = in->row_start[s] + c->fresh[s];
        in->total += in->kv_len[s];
        in->context = in->kv_len[s] > in->context ? in->kv_len[s] : in->context;
    }
    in->rows = in->row_start[c->seqs];
    in->table_stride = in->context / c->page_tokens + 2;
    in->pages = c->seqs * in->table_stride + 5;
    while (!is_prime(in->pages) || in->pages == 7)
        in->pages++;
    in->tables = make(c->seqs * in->table_stride, sizeof(uint32_t));
    in->positions = make(in->total, sizeof(uint32_t));
    in->slots = make(in->total, sizeof(uint32_t));
    in->row_seq = make(in->total, sizeof(uint32_t));
    for (uint32_t s = 0, used = 0; s < c->seqs; s++)
        for (uint32_t i = 0; i * c->page_tokens < in->kv_len[s]; i++, used++)
            in->tables[s * in->table_stride + i] = (used * 7 + 3) % in->pages;
    uint32_t row = 0;
    for (int past = 0; past < 2; past++)
        for (uint32_t s = 0; s < c->seqs; s++)
            for (uint32_t i = past ? 0 : c->past[s]; i < (past ? c->past[s] : in->kv_len[s]); i++, row++) {
                in->row_seq[row] = s;
                in->positions[row] = i;
                in->slots[row] = in->tables[s * in->table_stride + i / c->page_tokens] * c->page_tokens + i % c->page_tokens;
            }
    in->frequencies = make(c->rotary_dim / 2, sizeof(double));
    for (uint32_t i = 0; i < c->rotary_dim / 2; i++)
        in->frequencies[i] = pow(10000.0, -2.0 * i / c->rotary_dim);
    in->width = (c->heads + 2 * c->kv_heads) * c->head_dim;
}

static void mix(cuda_inputs *in, const void *data, uint64_t bytes)
{
    if (data != NULL)
        in->hash = pm_hash64(data, bytes, in->hash);
}

void cuda_inputs_make(const cuda_case *c, uint64_t seed, cuda_inputs *in)
{
    memset(in, 0, sizeof(*in));
    seed = pm_hash64(c->name, strlen(c->name), pm_mix64(seed));
    switch (c->op) {
    case CUDA_EMBEDDING:
        make_blocks(c, seed, in);
        in->tokens = make(c->rows, sizeof(uint32_t));
        for (uint32_t i = 0; i < c->rows; i++)
            in->tokens[i] = input_index(seed + 2, i, c->n);
        break;
    case CUDA_MATMUL:
        make_blocks(c, seed, in);
        in->x_count = (uint64_t)c->rows * c->k;
        break;
    case CUDA_ROPE: case CUDA_DECODE: case CUDA_PREFILL:
        make_sequences(c, in);
        in->x_count = (uint64_t)in->total * in->width;
        break;
    case CUDA_RMSNORM: in->x_count = (uint64_t)c->rows * c->k; break;
    case CUDA_SWIGLU: in->x_count = (uint64_t)c->rows * c->k * 2; break;
    case CUDA_ARGMAX: case CUDA_TOPK: in->x_count = (uint64_t)c->rows * c->n; break;
    }
    if (in->x_count > 0) {
        in->x = make(in->x_count, sizeof(float));
        input_fill(in->x, in->x_count, c->kind, seed + 3);
        for (uint64_t i = 0; i < in->x_count && c->half_x; i++)
            in->x[i] = pm_f16_to_f32(pm_f16_from_f32(in->x[i]));
    }
    if (c->op == CUDA_RMSNORM) {
        in->w = make(c->k, sizeof(float));
        input_fill(in->w, c->k, INPUT_NORMAL, seed + 4);
        mix(in, in->w, c->k * sizeof(float));
        if (c->option) {
            in->add = make(in->x_count, sizeof(float));
            input_fill(in->add, in->x_count, INPUT_NORMAL, seed + 5);
            mix(in, in->add, in->x_count * sizeof(float));
        }
    }
    if (c->op == CUDA_MATMUL && c->option) {
        in->bias = make(c->n, sizeof(float));
        input_fill(in->bias, c->n, INPUT_NORMAL, seed + 6);
        mix(in, in->bias, c->n * sizeof(float));
    }
    for (uint32_t r = 0; r < c->rows && c->op == CUDA_ARGMAX; r++) {
        float *row = in->x + (uint64_t)r * c->n; /* NaN first, the greatest twice */
        if (r % 2 == 1)
            row[0] = NAN;
        row[c->n - 1 - r] = row[c->n / 2] = 70000.0f;
    }
    mix(in, in->blocks, in->blocks_bytes);
    mix(in, in->x, in->x_count * sizeof(float));
    mix(in, in->tokens, c->rows * sizeof(uint32_t));
    mix(in, in->slots, in->total * sizeof(uint32_t));
}

void cuda_inputs_free(cuda_inputs *in)
{
    free(in->blocks);
    free(in->w);
    free(in->x);
    free(in->add);
    free(in->bias);
    free(in->tokens);
    free(in->positions);
    free(in->slots);
    free(in->row_seq);
    free(in->tables);
    free(in->frequencies);
    memset(in, 0, sizeof(*in));
}
