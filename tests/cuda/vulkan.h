/* vulkan.h - a case through Pumice: the ops' own record functions, on the harness's device. */
#ifndef PM_TEST_CUDA_VULKAN_H
#define PM_TEST_CUDA_VULKAN_H

#include "cuda/cases.h"
#include "op/matmul.h"

/* The name of variant `index` of the case's op; NULL past the last. Ops without a table have one,
 * "base"; what has no op on the device has none. */
const char *vulkan_variant(const cuda_case *c, uint32_t index);

/* What it computes with: op/matmul.h's words, for attention too. */
pm_matmul_numerics vulkan_numerics(const cuda_case *c, uint32_t index);

/* What it needs and device, build or case lack, in words; NULL = nothing. */
const char *vulkan_lacks(const cuda_case *c, const cuda_inputs *in, uint32_t index);

/* Runs variant `index`, which lacks nothing. */
void vulkan_run(const cuda_case *c, const cuda_inputs *in, uint32_t index, float *out);

#endif /* PM_TEST_CUDA_VULKAN_H */
