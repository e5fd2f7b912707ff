/* attention.cu - softmax(scale q k^T) v over keys and values in pages, two ways.
 *
 * attention_decode: one block for each row and head. Tiles of THREADS keys: a thread makes one
 *   score, the block rescales what it has to the greatest score so far, then a thread adds the
 *   tile's values to every THREADS-th element of the sum, in ascending keys.
 * attention_prefill: one block for ROWS neighbouring rows of one sequence and a head. Tiles of
 *   KEYS keys and values are copied to shared memory; a thread has one row, with its own running
 *   maximum, and adds key after key (FlashAttention's loop, a tile in shared memory).
 * kv_store: token r's keys and values to its slot; of blocks of 32, one thread makes each.
 *
 * Source: M. Milakov, N. Gimelshein, arXiv:1805.02867 (one-pass softmax); T. Dao,
 * arXiv:2307.08691; W. Kwon et al., arXiv:2309.06180 (pages). */
#include "cuda/dequant.h"
#include "cuda/launch.h"

#define THREADS 128u
#define ROWS 32u
#define KEYS 16u
#define HEAD_DIM_MAX 256u

/* Element d of KV head h of token `index` of page `page`. */
static inline __device__ float kv_at(const cuda_kv *kv, const void *pages, uint32_t page, uint32_t index, uint32_t h,
                                     uint32_t d)
{
    const uint64_t at = (((uint64_t)page * kv->page_tokens + index) * kv->kv_heads + h) * kv->head_dim + d;
    const uint8_t *bytes = (const uint8_t *)pages;
    switch (kv->type) {
    case CUDA_KV_F16: return f16_of(((const uint16_t *)pages)[at]);
    case CUDA_KV_F32: return ((const float *)pages)[at];
    case CUDA_KV_Q8_0: return q8_0_value(bytes + at / 32 * 34, (int)(at % 32));
    default: return q4_0_value(bytes + at / 32 * 18, (int)(at % 32));
    }
}

static inline __device__ uint32_t first_key(uint32_t end, uint32_t window)
{
    return window > 0 && end > window ? end - window : 0;
}

__global__ void attention_decode(cuda_attention a)
{
    __shared__ float score[THREADS], sum[HEAD_DIM_MAX], most, total, old_share;
    const uint32_t row = blockIdx.x, head = blockIdx.y, dim = a.kv.head_dim, kv_head = head / (a.heads / a.kv.kv_heads);
    const uint32_t *table = a.block_tables + (uint64_t)a.row_seq[row] * a.table_stride;
    const float *q = a.q + (uint64_t)row * a.q_stride + head * dim;
    const uint32_t end = a.positions[row] + 1;
    for (uint32_t d = threadIdx.x; d < dim; d += THREADS)
        sum[d] = 0.0f;
    if (threadIdx.x == 0) {
        most = -INFINITY;
        total = 0.0f;
    }
    for (uint32_t tile = first_key(end, a.window); tile < end; tile += THREADS) {
        const uint32_t key = tile + threadIdx.x, count = end - tile < THREADS ? end - tile : THREADS;
        float dot = 0.0f;
        for (uint32_t d = 0; d < dim && key < end; d++)
            dot += q[d] * kv_at(&a.kv, a.kv.k, table[key / a.kv.page_tokens], key % a.kv.page_tokens, kv_head, d);
        score[threadIdx.x] = dot * a.scale;
        __syncthreads();
        if (threadIdx.x == 0) {
            float now = most;
            for (uint32_t t = 0; t < count; t++)
                now = fmaxf(now, score[t]);
            old_share = expf(most - now);
            most = now;
            total *= old_share;
            for (uint32_t t = 0; t < count; t++) {
                score[t] = expf(score[t] - now);
                total += score[t];
            }
        }
        __syncthreads();
        for (uint32_t d = threadIdx.x; d < dim; d += THREADS) {
            float value = sum[d] * old_share;
            for (uint32_t t = 0; t < count; t++)
                value += score[t] * kv_at(&a.kv, a.kv.v, table[(tile + t) / a.kv.page_tokens],
                                          (tile + t) % a.kv.page_tokens, kv_head, d);
            sum[d] = value;
        }
        __syncthreads();
    }
    for (uint32_t d = threadIdx.x; d < dim; d += THREADS)
        a.out[((uint64_t)row * a.heads + head) * dim + d] = sum[d] / total;
}

LAUNCHER(attention_decode, cuda_attention)

__global__ void attention_prefill(cuda_attention a)
{
    __shared__ float k[KEYS * HEAD_DIM_MAX], v[KEYS * HEAD_DIM_MAX];
    const uint32_t seq = blockIdx.z, head = blockIdx.y, dim = a.kv.head_dim, kv_head = head / (a.heads / a.kv.kv_heads);
    const uint32_t row_first = a.row_start[seq] + blockIdx.x * ROWS, row_end = a.row_start[seq + 1];
    if (row_first >= row_end)
        return;
    const uint32_t row_last = (row_first + ROWS < row_end ? row_first + ROWS : row_end) - 1;
    const uint32_t row = row_first + threadIdx.x, here = row <= row_last ? row : row_last;
    const uint32_t begin = first_key(a.positions[here] + 1, a.window), end = a.positions[here] + 1;
    const uint32_t *table = a.block_tables + (uint64_t)seq * a.table_stride;
    const float *q = a.q + (uint64_t)here * a.q_stride + head * dim;
    float sum[HEAD_DIM_MAX], most = -INFINITY, total = 0.0f;
    for (uint32_t d = 0; d < dim; d++)
        sum[d] = 0.0f;
    /* Positions ascend with the rows: the first row sees the first key, the last row the last. */
    const uint32_t tile_end = a.positions[row_last] + 1;
    for (uint32_t tile = first_key(a.positions[row_first] + 1, a.window); tile < tile_end; tile += KEYS) {
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < KEYS * dim; i += ROWS) {
            const uint32_t key = tile + i / dim, d = i % dim;
            if (key < tile_end) {
                k[i] = kv_at(&a.kv, a.kv.k, table[key / a.kv.page_tokens], key % a.kv.page_tokens, kv_head, d);
                v[i] = kv_at(&a.kv, a.kv.v, table[key / a.kv.page_tokens], key % a.kv.page_tokens, kv_head, d);
            }
        }
        __syncthreads();
        for (uint32_t t = 0; t < KEYS; t++) {
            if (tile + t < begin || tile + t >= end)
                continue;
            float dot = 0.0f;
            for (uint32_t d = 0; d < dim; d++)
                dot += q[d] * k[t * dim + d];
            const float score = dot * a.scale, now = fmaxf(most, score);
            const float old_share = expf(most - now), weight = expf(score - now);
            most = now;
            total = total * old_share + weight;
            for (uint32_t d = 0; d < dim; d++)
                sum[d] = sum[d] * old_share + weight * v[t * dim + d];
        }
    }
    if (row > row_last)
        return;
    for (uint32_t d = 0; d < dim; d++)
        a.out[((uint64_t)row * a.heads + head) * dim + d] = sum[d] / total;
}

LAUNCHER(attention_prefill, cuda_attention)

/* Block `at` of 32 elements:
 *   Q8_0  d = max |x| / 127, q = x (1 / d), halves away from zero
 *   Q4_0  d = the first x of max |x|, / -8, q = min(15, trunc(x (1 / d) + 8.5))
 * in f32, d then rounded to f16; where that is zero, all of the block is. */
static inline __device__ void store_block(uint32_t type, const float *x, uint8_t *pages, uint64_t at)
{
    float most = 0.0f;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(most))
            most = x[i];
    const float d = type == CUDA_KV_Q8_0 ? fabsf(most) / 127.0f : most / -8.0f;
    const uint16_t stored = f16_from(d);
    const float inverse = (stored & 0x7fff) != 0 ? 1.0f / d : 0.0f;
    uint8_t *b = pages + at * (type == CUDA_KV_Q8_0 ? 34 : 18);
    b[0] = (uint8_t)(inverse != 0.0f ? stored & 255 : 0);
    b[1] = (uint8_t)(inverse != 0.0f ? stored >> 8 : 0);
    for (int i = 0; i < 16; i++) {
        const float low = x[i] * inverse, high = x[16 + i] * inverse;
        if (type == CUDA_KV_Q8_0) {
            b[2 + i] = (uint8_t)(int8_t)roundf(low);
            b[18 + i] = (uint8_t)(int8_t)roundf(high);
        } else {
            b[2 + i] = (uint8_t)((int)fminf(low + 8.5f, 15.0f) | (int)fminf(high + 8.5f, 15.0f) << 4);
        }
    }
}

__global__ void kv_store(cuda_kv_store a)
{
    const uint32_t width = a.kv.kv_heads * a.kv.head_dim, i = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
    if (i >= width)
        return;
    const uint64_t from = (uint64_t)row * a.stride + i, to = (uint64_t)a.slots[row] * width + i;
    switch (a.kv.type) {
    case CUDA_KV_F16:
        ((uint16_t *)a.kv.k)[to] = f16_from(a.k[from]);
        ((uint16_t *)a.kv.v)[to] = f16_from(a.v[from]);
        return;
    case CUDA_KV_F32:
        ((float *)a.kv.k)[to] = a.k[from];
        ((float *)a.kv.v)[to] = a.v[from];
        return;
    default: /* the thread of a block's first element has all of it */
        if (i % 32 == 0) {
            store_block(a.kv.type, a.k + from, (uint8_t *)a.kv.k, to / 32);
            store_block(a.kv.type, a.v + from, (uint8_t *)a.kv.v, to / 32);
        }
    }
}

LAUNCHER(kv_store, cuda_kv_store)

bool cuda_attention_decode_run(const cuda_attention *a)
{
    attention_decode_launch(dims(a->rows, a->heads, 1), dims(THREADS, 1, 1), *a);
    return cuda_launched("attention_decode");
}

bool cuda_attention_prefill_run(const cuda_attention *a)
{
    attention_prefill_launch(dims(div_up(a->rows_per_seq_max, ROWS), a->heads, a->seqs), dims(ROWS, 1, 1), *a);
    return cuda_launched("attention_prefill");
}

uint64_t cuda_kv_bytes(uint32_t type, uint64_t elements)
{
    switch (type) {
    case CUDA_KV_F16: return elements * 2;
    case CUDA_KV_F32: return elements * 4;
    case CUDA_KV_Q8_0: return elements / 32 * 34;
    default: return elements / 32 * 18;
    }
}

bool cuda_kv_store_run(const cuda_kv_store *a)
{
    kv_store_launch(dims(div_up(a->kv.kv_heads * a->kv.head_dim, THREADS), a->rows, 1), dims(THREADS, 1, 1), *a);
    return cuda_launched("kv_store");
}
