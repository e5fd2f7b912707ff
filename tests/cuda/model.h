/* model.h - a whole forward pass out of the reference kernels, in plain C.
 *
 * Independent of src/model, src/op and src/plan: of Pumice it uses the GGUF directory alone. One
 * sequence, its pages in descending order; `llama` and `qwen2` with biases, sliding window, linear
 * and tabled RoPE scaling. */
#ifndef PM_TEST_CUDA_MODEL_H
#define PM_TEST_CUDA_MODEL_H

#include "cuda/kernels.h"

typedef struct cuda_model cuda_model;

/* Puts the weights on the device, in the file's blocks. NULL: `why`. */
cuda_model *cuda_model_open(const cuda_kernels *kernels, const char *path, char *why, size_t capacity);
void cuda_model_close(cuda_model *model); /* NULL is fine */
uint32_t cuda_model_vocab(const cuda_model *model);

typedef struct cuda_model_pass {
    uint32_t chunk;                /* rows at a time; 1: as if decoding */
    bool kv_f16;                   /* K and V are rounded to f16, else kept */
    cuda_precision precision;      /* of every matmul */
    uint32_t block;                /* CUDA_BLOCKS: terms of a sum that are added first */
    float scale;                   /* of the scores, besides 1 / sqrt(head_dim): 1, or 0 for 1; another plants an error */
} cuda_model_pass;

/* logits: [count, vocab], of every position. False: the kernels' error(). */
bool cuda_model_score(cuda_model *model, const int32_t *tokens, uint32_t count, const cuda_model_pass *pass, float *logits);

#endif /* PM_TEST_CUDA_MODEL_H */
