/* run.c - a case through the reference kernels. */
#include "cuda/cases.h"

#include <math.h>
#include <string.h>

#define MEMORY_MAX 16u

/* Device memory of one run. */
typedef struct arena {
    const cuda_kernels *kernels;
    void *memory[MEMORY_MAX];
    uint32_t count;
    bool failed;
} arena;

static void *room(arena *a, uint64_t bytes)
{
    pm_assert(a->count < MEMORY_MAX);
    void *memory = a->kernels->alloc(bytes);
    a->failed |= memory == NULL;
    return a->memory[a->count++] = memory;
}

/* A copy on the device; NULL of NULL. */
static void *copy(arena *a, const void *data, uint64_t bytes)
{
    if (data == NULL)
        return NULL;
    void *memory = room(a, bytes);
    a->failed |= memory == NULL || !a->kernels->put(memory, data, bytes);
    return memory;
}

static bool finish(arena *a, bool ran)
{
    for (uint32_t i = 0; i < a->count; i++)
        a->kernels->release(a->memory[i]);
    return ran;
}

static bool run_embedding(arena *a, const cuda_case *c, const cuda_inputs *in, float *out)
{
    const uint64_t bytes = (uint64_t)c->rows * c->k * 4;
    const cuda_embedding e = {.w = copy(a, in->blocks, in->blocks_bytes), .type = c->type,
                              .tokens = copy(a, in->tokens, c->rows * 4), .y = room(a, bytes), .rows = c->rows, .dim = c->k};
    return !a->failed && a->kernels->embedding(&e) && a->kernels->get(out, e.y, bytes);
}

static bool run_matmul(arena *a, const cuda_case *c, const cuda_inputs *in, float *out)
{
    const uint64_t bytes = (uint64_t)c->rows * c->n * 4;
    const cuda_matmul m = {.w = copy(a, in->blocks, in->blocks_bytes), .type = c->type, .bias = copy(a, in->bias, c->n * 4),
                           .x = copy(a, in->x, in->x_count * 4), .y = room(a, bytes), .rows = c->rows, .n = c->n, .k = c->k,
                           .x_stride = c->k, .y_stride = c->n};
    return !a->failed && a->kernels->matmul(&m) && a->kernels->get(out, m.y, bytes);
}

static bool run_rmsnorm(arena *a, const cuda_case *c, const cuda_inputs *in, float *out)
{
    const uint64_t bytes = in->x_count * 4;
    const cuda_rmsnorm n = {.x = copy(a, in->x, bytes), .add = copy(a, in->add, bytes), .w = copy(a, in->w, c->k * 4),
                            .y = room(a, bytes), .rows = c->rows, .dim = c->k, .epsilon = 1e-5f};
    return !a->failed && a->kernels->rmsnorm(&n) && a->kernels->get(out, n.y, bytes) &&
           a->kernels->get(out + in->x_count, n.x, bytes);
}

/* Rotates Q and K of all rows, stores K and V, and attends with the fresh rows. */
static bool run_attention(arena *a, const cuda_case *c, const cuda_inputs *in, float *out)
{
    const uint32_t q_width = c->heads * c->head_dim, kv_width = c->kv_heads * c->head_dim;
    float *qkv = copy(a, in->x, in->x_count * 4);
    uint32_t *positions = copy(a, in->positions, in->total * 4), *slots = copy(a, in->slots, in->total * 4);
    const uint64_t kv_bytes = cuda_kv_bytes(c->kv_type, (uint64_t)in->pages * c->page_tokens * kv_width);
    const cuda_kv kv = {.k = room(a, kv_bytes), .v = room(a, kv_bytes), .type = c->kv_type, .page_tokens = c->page_tokens,
                        .kv_heads = c->kv_heads, .head_dim = c->head_dim};
    const cuda_rope rope = {.x = qkv, .positions = positions, .frequencies = copy(a, in->frequencies, c->rotary_dim / 2 * 8),
                            .rows = in->total, .stride = in->width, .heads = c->heads + c->kv_heads, .head_dim = c->head_dim,
                            .rotary_dim = c->rotary_dim, .neox = c->option};
    if (a->failed || !a->kernels->rope(&rope))
        return false;
    if (c->op == CUDA_ROPE) {
        for (uint32_t r = 0; r < in->rows; r++)
            if (!a->kernels->get(out + (uint64_t)r * q_width, qkv + (uint64_t)r * in->width, q_width * 4))
                return false;
        return true;
    }
    const cuda_kv_store store = {.kv = kv, .k = qkv + q_width, .v = qkv + q_width + kv_width, .slots = slots,
                                 .rows = in->total, .stride = in->width};
    const uint64_t bytes = (uint64_t)in->rows * q_width * 4;
    uint32_t most = 0;
    for (uint32_t s = 0; s < c->seqs; s++)
        most = c->fresh[s] > most ? c->fresh[s] : most;
    const cuda_attention attention = {
        .kv = kv, .q = qkv, .out = room(a, bytes), .block_tables = copy(a, in->tables, c->seqs * in->table_stride * 4),
        .row_seq = copy(a, in->row_seq, in->total * 4), .positions = positions,
        .row_start = copy(a, in->row_start, (c->seqs + 1) * 4), .rows = in->rows, .rows_per_seq_max = most, .seqs = c->seqs,
        .heads = c->heads, .q_stride = in->width, .table_stride = in->table_stride, .window = c->window,
        .scale = (float)(1.0 / sqrt((double)c->head_dim))};
    return !a->failed && a->kernels->kv_store(&store) &&
           (c->op == CUDA_DECODE ? a->kernels->attention_decode : a->kernels->attention_prefill)(&attention) &&
           a->kernels->get(out, attention.out, bytes);
}

static bool run_swiglu(arena *a, const cuda_case *c, const cuda_inputs *in, float *out)
{
    const uint64_t bytes = (uint64_t)c->rows * c->k * 4;
    const cuda_swiglu s = {.gate_up = copy(a, in->x, in->x_count * 4), .y = room(a, bytes), .rows = c->rows, .hidden = c->k};
    return !a->failed && a->kernels->swiglu(&s) && a->kernels->get(out, s.y, bytes);
}

/* Ids become numbers, none becomes -1. */
static void numbers_of(float *out, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint32_t id;
        memcpy(&id, &out[i], 4);
        out[i] = id == UINT32_MAX ? -1.0f : (float)id;
    }
}

static bool run_argmax(arena *a, const cuda_case *c, const cuda_inputs *in, float *out)
{
    const cuda_argmax m = {.x = copy(a, in->x, in->x_count * 4), .tokens = room(a, c->rows * 4), .rows = c->rows, .n = c->n};
    if (a->failed || !a->kernels->argmax(&m) || !a->kernels->get(out, m.tokens, c->rows * 4))
        return false;
    numbers_of(out, c->rows);
    return true;
}

static bool run_topk(arena *a, const cuda_case *c, const cuda_inputs *in, float *out)
{
    const uint64_t count = (uint64_t)c->rows * c->k;
    const cuda_topk t = {.x = copy(a, in->x, in->x_count * 4), .values = room(a, count * 4), .ids = room(a, count * 4),
                         .rows = c->rows, .n = c->n, .k = c->k};
    if (a->failed || !a->kernels->topk(&t) || !a->kernels->get(out, t.ids, count * 4) ||
        !a->kernels->get(out + count, t.values, count * 4))
        return false;
    numbers_of(out, count);
    return true;
}

bool cuda_case_run(const cuda_kernels *kernels, const cuda_case *c, const cuda_inputs *in, float *out)
{
    arena a = {.kernels = kernels};
    switch (c->op) {
    case CUDA_EMBEDDING: return finish(&a, run_embedding(&a, c, in, out));
    case CUDA_MATMUL: return finish(&a, run_matmul(&a, c, in, out));
    case CUDA_RMSNORM: return finish(&a, run_rmsnorm(&a, c, in, out));
    case CUDA_ROPE: case CUDA_DECODE: case CUDA_PREFILL: return finish(&a, run_attention(&a, c, in, out));
    case CUDA_SWIGLU: return finish(&a, run_swiglu(&a, c, in, out));
    case CUDA_ARGMAX: return finish(&a, run_argmax(&a, c, in, out));
    case CUDA_TOPK: return finish(&a, run_topk(&a, c, in, out));
    }
    return false;
}
