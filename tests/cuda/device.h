/* device.h - the words that the kernels of tests/cuda are written in.
 *
 * A .cu file here is CUDA C that is also C11: nvcc compiles it for a GPU, gcc (through shim.h) for
 * the CPU. What both need beyond the language is below; every kernel takes one struct of
 * arguments by value, and LAUNCHER(kernel, args) defines kernel_launch(grid, block, args).
 *
 * nvcc must be told -fmad=false, gcc -ffp-contract=off: then both round where the source does, and
 * what has no exp(), sin() or cos() in it has the same bits on both.
 */
#ifndef PM_TEST_CUDA_DEVICE_H
#define PM_TEST_CUDA_DEVICE_H

#include "cuda/kernels.h"

#include <math.h>

#ifdef __CUDACC__

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define LAUNCHER(kernel, args_type)                                                                                    \
    static void kernel##_launch(dim3 grid, dim3 block, args_type args) { kernel<<<grid, block>>>(args); }

static inline __device__ float f32_of(uint32_t bits) { return __uint_as_float(bits); }
static inline __device__ float f16_of(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
static inline __device__ uint16_t f16_from(float x) { return __half_as_ushort(__float2half_rn(x)); }

#else

#include "base/half.h"
#include "cuda/shim.h"

#define LAUNCHER(kernel, args_type)                                                                                    \
    static void kernel##_thread(const void *args) { kernel(*(const args_type *)args); }                                \
    static void kernel##_launch(dim3 grid, dim3 block, args_type args)                                                 \
    {                                                                                                                  \
        shim_launch(#kernel, kernel##_thread, &args, grid, block);                                                     \
    }

static inline float f32_of(uint32_t bits) { return pm_f32_from_bits(bits); }
static inline float f16_of(uint16_t bits) { return pm_f16_to_f32(bits); }
static inline uint16_t f16_from(float x) { return pm_f16_from_f32(x); }

#endif

static inline __host__ dim3 dims(uint32_t x, uint32_t y, uint32_t z)
{
    dim3 d;
    d.x = x;
    d.y = y;
    d.z = z;
    return d;
}

static inline __host__ uint32_t div_up(uint32_t n, uint32_t d)
{
    return (n + d - 1) / d;
}

#endif /* PM_TEST_CUDA_DEVICE_H */
