/* kernels.h - the reference kernels of tests/cuda, one function each. C11 and C++.
 *
 * The same sources make two of these tables:
 *   cuda_kernels_host()   gcc's build through shim.h, on this CPU: linked into every test
 *   cuda_kernels_load()   nvcc's build, a shared library, on an NVIDIA GPU
 * All pointers in the argument structs are to memory of alloc(). Strides are in elements. Arithmetic
 * is f32, summed in the order that the kernel's header states. A function that fails returns false
 * and error() says why.
 */
#ifndef PM_TEST_CUDA_KERNELS_H
#define PM_TEST_CUDA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* y[r,:] = W[tokens[r],:] */
typedef struct cuda_embedding {
    const uint8_t *w;              /* the file's blocks, [*, dim] */
    uint32_t type;                 /* id of the file format */
    const uint32_t *tokens;
    float *y;                      /* [rows, dim] */
    uint32_t rows, dim;
    const uint32_t *grid;          /* of a codebook type: the function itself puts it here */
} cuda_embedding;

/* What a matmul does to its factors and its sums, all in f32. */
typedef enum cuda_precision {
    CUDA_PLAIN,                    /* nothing; terms are added in order */
    CUDA_BLOCKS,                   /* nothing; sums of `block` terms are added in order */
    CUDA_HALF,                     /* weights rounded to f16, and x by cuda_round */
    CUDA_BYTES,                    /* x rounded to 8 bits by cuda_round */
} cuda_precision;

/* y = x as a matmul of that precision takes it, in f32. */
typedef struct cuda_round {
    const float *x;                /* [rows, k] */
    float *y;                      /* [rows, k] */
    uint32_t rows, k, precision;   /* CUDA_HALF or CUDA_BYTES */
} cuda_round;

/* y[r,i] = sum over j of W[i,j] x[r,j], + bias[i] */
typedef struct cuda_matmul {
    const uint8_t *w;              /* the file's blocks, [n, k] */
    uint32_t type;
    const float *bias;             /* [n] or NULL */
    const float *x;                /* [rows, x_stride] */
    float *y;                      /* [rows, y_stride] */
    uint32_t rows, n, k, x_stride, y_stride;
    const uint32_t *grid;          /* as above */
    uint32_t precision;            /* cuda_precision; CUDA_HALF and CUDA_BYTES: x is rounded already */
    uint32_t block;                /* CUDA_BLOCKS */
} cuda_matmul;

/* x[r,:] += add[r,:] when add is given; y[r,:] = x[r,:] / sqrt(mean(x[r,:]^2) + epsilon) * w */
typedef struct cuda_rmsnorm {
    float *x;                      /* [rows, dim] */
    const float *add;              /* [rows, dim] or NULL */
    const float *w;                /* [dim] */
    float *y;                      /* [rows, dim] */
    uint32_t rows, dim;
    float epsilon;
} cuda_rmsnorm;

/* Pairs (a, b) of each head become (a cos - b sin, a sin + b cos), angle = position * frequency:
 * (2i, 2i + 1), or with neox (i, i + rotary_dim / 2); the rest of the head is left alone. In place. */
typedef struct cuda_rope {
    float *x;                      /* [rows, stride]: head h at h * head_dim */
    const uint32_t *positions;     /* [rows] */
    const double *frequencies;     /* [rotary_dim / 2] */
    uint32_t rows, stride, heads, head_dim, rotary_dim;
    bool neox;
} cuda_rope;

/* What keys and values are kept in; the numbers of pm_kv_type. */
typedef enum cuda_kv_type { CUDA_KV_F16, CUDA_KV_F32, CUDA_KV_Q8_0, CUDA_KV_Q4_0 } cuda_kv_type;

/* Pages of keys and values: [pages, page_tokens, kv_heads, head_dim] of f16 bits, f32, or blocks of 32
 * elements as a file has them. */
typedef struct cuda_kv {
    void *k, *v;
    uint32_t type;                 /* cuda_kv_type */
    uint32_t page_tokens, kv_heads, head_dim;
} cuda_kv;

/* Token r goes to slot page * page_tokens + index: f16 rounded to nearest even, blocks by their formats'
 * reference rounding. */
typedef struct cuda_kv_store {
    cuda_kv kv;
    const float *k, *v;            /* [rows, stride] */
    const uint32_t *slots;         /* [rows] */
    uint32_t rows, stride;
} cuda_kv_store;

/* out[r,h,:] = softmax(scale q k^T) v over the keys max(0, e - window) .. e - 1, e = positions[r] + 1,
 * of sequence row_seq[r], whose page of tokens i is block_tables[seq, i / page_tokens]. */
typedef struct cuda_attention {
    cuda_kv kv;
    const float *q;                /* [rows, q_stride] */
    float *out;                    /* [rows, heads * head_dim] */
    const uint32_t *block_tables;  /* [seqs, table_stride] */
    const uint32_t *row_seq, *positions; /* [rows] */
    const uint32_t *row_start;     /* [seqs + 1]: rows of a sequence are neighbours */
    uint32_t rows, rows_per_seq_max, seqs, heads, q_stride, table_stride, window;
    float scale;
} cuda_attention;

/* y[r,i] = silu(gate_up[r,i]) * gate_up[r, hidden + i] */
typedef struct cuda_swiglu {
    const float *gate_up;          /* [rows, 2 * hidden] */
    float *y;                      /* [rows, hidden] */
    uint32_t rows, hidden;
} cuda_swiglu;

/* tokens[r] = the smallest i whose x[r,i] is the greatest; NaN never wins; UINT32_MAX: all NaN. */
typedef struct cuda_argmax {
    const float *x;                /* [rows, n] */
    uint32_t *tokens;              /* [rows] */
    uint32_t rows, n;
} cuda_argmax;

/* The k greatest of each row, greatest first, of equals the smallest id first; NaN never. */
typedef struct cuda_topk {
    const float *x;                /* [rows, n] */
    float *values;                 /* [rows, k]; -inf past the end */
    uint32_t *ids;                 /* [rows, k]; UINT32_MAX past the end */
    uint32_t rows, n, k;
} cuda_topk;

typedef struct cuda_kernels {
    const char *origin;            /* "CUDA" or "host" */
    char device[128], driver[64], runtime[64];
    const char *(*error)(void);
    void *(*alloc)(size_t bytes);  /* NULL: none left */
    void (*release)(void *memory);
    bool (*put)(void *device, const void *host, size_t bytes);
    bool (*get)(void *host, const void *device, size_t bytes); /* after all that was launched */
    bool (*embedding)(const cuda_embedding *);
    bool (*round_rows)(const cuda_round *);
    bool (*matmul)(const cuda_matmul *);
    bool (*rmsnorm)(const cuda_rmsnorm *);
    bool (*rope)(const cuda_rope *);
    bool (*kv_store)(const cuda_kv_store *);
    bool (*attention_decode)(const cuda_attention *);  /* any rows, each on its own */
    bool (*attention_prefill)(const cuda_attention *); /* rows of a sequence share its keys */
    bool (*swiglu)(const cuda_swiglu *);
    bool (*argmax)(const cuda_argmax *);
    bool (*topk)(const cuda_topk *);
} cuda_kernels;

/* Bytes of `elements` keys or values, whole blocks. */
uint64_t cuda_kv_bytes(uint32_t type, uint64_t elements);

/* True when embedding and matmul read the type. */
bool cuda_type_supported(uint32_t type);

const cuda_kernels *cuda_kernels_host(void);

/* Loads nvcc's build; NULL when it or a GPU is not there: `why` says which. Stays loaded. */
const cuda_kernels *cuda_kernels_load(const char *library, char *why, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif /* PM_TEST_CUDA_KERNELS_H */
