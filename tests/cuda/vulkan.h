/* vulkan.h - a case through Pumice: the ops' own record functions, on the harness's device. */
#ifndef PM_TEST_CUDA_VULKAN_H
#define PM_TEST_CUDA_VULKAN_H

#include "cuda/cases.h"

/* The name of variant `index` of the case's op; NULL past the last. Ops without a table have one,
 * "base"; what has no op on the device has none. */
const char *vulkan_variant(const cuda_case *c, uint32_t index);

/* What the variant's own rounding adds to the bound's rtol: 2^-10 where weights or x go through f16. */
double vulkan_rtol(const cuda_case *c, uint32_t index);

/* Runs variant `index`; false: it does not take this case on this device. */
bool vulkan_run(const cuda_case *c, const cuda_inputs *in, uint32_t index, float *out);

#endif /* PM_TEST_CUDA_VULKAN_H */
