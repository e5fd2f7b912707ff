/* launch.h - what the kernels' files share with kernels.cu: the launches, and what became of them. */
#ifndef PM_TEST_CUDA_LAUNCH_H
#define PM_TEST_CUDA_LAUNCH_H

#include "cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* After a launch: false, with error(), when it could not be made. */
bool cuda_launched(const char *kernel);

/* The grid of a codebook type (gguf/codebook.h): on the host; in device memory, which stays. NULL for another
 * type. */
const uint32_t *cuda_grid(uint32_t type, uint32_t *count);
const uint32_t *cuda_codebook(uint32_t type);

bool cuda_embedding_run(const cuda_embedding *a);
bool cuda_round_run(const cuda_round *a);
bool cuda_matmul_run(const cuda_matmul *a);
bool cuda_rmsnorm_run(const cuda_rmsnorm *a);
bool cuda_rope_run(const cuda_rope *a);
bool cuda_kv_store_run(const cuda_kv_store *a);
bool cuda_attention_decode_run(const cuda_attention *a);
bool cuda_attention_prefill_run(const cuda_attention *a);
bool cuda_swiglu_run(const cuda_swiglu *a);
bool cuda_argmax_run(const cuda_argmax *a);
bool cuda_topk_run(const cuda_topk *a);

#ifdef __cplusplus
}
#endif
#endif /* PM_TEST_CUDA_LAUNCH_H */
