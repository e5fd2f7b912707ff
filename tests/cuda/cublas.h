/* cublas.h - cuBLAS, found at run time: f16 times f16, summed in f32. */
#ifndef PM_TEST_CUDA_CUBLAS_H
#define PM_TEST_CUDA_CUBLAS_H

#include "cuda/cases.h"

/* Loads it and makes a handle for the process; false: `why`. */
bool cuda_cublas_open(char *why, size_t capacity);

/* A matmul case of type F16 with half_x; no bias. False: it failed. */
bool cuda_cublas_run(const cuda_kernels *kernels, const cuda_case *c, const cuda_inputs *in, float *out);

#endif /* PM_TEST_CUDA_CUBLAS_H */
