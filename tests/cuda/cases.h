/* cases.h - the seeded cases that CUDA and Pumice are compared on.
 *
 * A case and a seed are all of an input: tests/op/harness.c makes every number from them, so that
 * vectors hold outputs alone. Each op has the same four views: its inputs, the reference kernels'
 * run, the result in double with the size of its terms, and (vulkan.h) Pumice's run. */
#ifndef PM_TEST_CUDA_CASES_H
#define PM_TEST_CUDA_CASES_H

#include "cuda/kernels.h"
#include "gguf/dtype.h"
#include "op/harness.h"

#define CUDA_SEQS_MAX 4u
#define CUDA_CASES_MAX 192u

typedef enum cuda_op {
    CUDA_EMBEDDING,                /* rows tokens of a vocabulary of n, k wide */
    CUDA_MATMUL,                   /* rows x [n, k] */
    CUDA_RMSNORM,                  /* rows of k; with option: x += add first. Gives y, then x */
    CUDA_ROPE,                     /* rows, see attention; gives the rotated queries */
    CUDA_DECODE, CUDA_PREFILL,     /* attention through either kernel; K rotated and stored first */
    CUDA_SWIGLU,                   /* rows of 2k */
    CUDA_ARGMAX,                   /* rows of n; ids as numbers */
    CUDA_TOPK,                     /* k of n; ids, then values */
} cuda_op;

typedef struct cuda_case {
    char name[64];                 /* "matmul.q4_0.9x160x2048" */
    cuda_op op;
    pm_dtype type;                 /* of W */
    input_kind kind;               /* of x */
    uint32_t rows, n, k;
    bool option;                   /* matmul: bias; rmsnorm: add; rope, attention: neox */
    bool half_x;                   /* matmul: x is rounded to f16, as cuBLAS takes it */
    /* rope, attention: sequences with past[s] tokens in KV and fresh[s] rows */
    uint32_t heads, kv_heads, head_dim, rotary_dim, page_tokens, window, seqs;
    uint32_t past[CUDA_SEQS_MAX], fresh[CUDA_SEQS_MAX];
    cuda_kv_type kv_type;
} cuda_case;

typedef struct cuda_inputs {
    uint8_t *blocks;               /* W as in a file */
    uint64_t blocks_bytes;
    float *w;                      /* W's values by pm_dequant_row(), or the norm's weights */
    float *x, *add, *bias;
    uint64_t x_count;
    uint32_t *tokens;              /* embedding: [rows] */
    /* rope, attention: x is [total, width] rows of Q, K, V, the fresh rows first */
    uint32_t rows, total, width, pages, table_stride, context;
    uint32_t *positions, *slots, *row_seq; /* [total] */
    uint32_t row_start[CUDA_SEQS_MAX + 1], kv_len[CUDA_SEQS_MAX];
    uint32_t *tables;              /* [seqs, table_stride] */
    double *frequencies;           /* [rotary_dim / 2] */
    uint64_t hash;                 /* of all of the above */
} cuda_inputs;

/* The table; *count of them. */
const cuda_case *cuda_cases(uint32_t *count);
const cuda_case *cuda_case_find(const char *name);      /* NULL = none */

/* Floats of the result. */
uint64_t cuda_case_elements(const cuda_case *c);

void cuda_inputs_make(const cuda_case *c, uint64_t seed, cuda_inputs *in);
void cuda_inputs_free(cuda_inputs *in);

/* The reference kernels' result. False: kernels->error() says why. */
bool cuda_case_run(const cuda_kernels *kernels, const cuda_case *c, const cuda_inputs *in, float *out);

/* The result in double, and for each element the sum of the |terms| that make it. */
void cuda_case_double(const cuda_case *c, const cuda_inputs *in, double *want, double *size);

/* |error| <= atol + rtol * size for any f32 implementation of the case, reasoned in cases.c; two of
 * them are at most twice that apart. */
void cuda_case_bounds(const cuda_case *c, double *rtol, double *atol);

/* The greatest |got - want| / (atol + rtol * size), and where; infinite for a NaN, or for any
 * difference where the bound is 0. */
double cuda_worst(const float *got, const double *want, const double *size, uint64_t count, double rtol, double atol,
                  uint64_t *at);

#endif /* PM_TEST_CUDA_CASES_H */
