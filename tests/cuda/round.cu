/* round.cu - x as a matmul of low precision takes it, in f32: one thread for each 32 of a row.
 *
 * CUDA_HALF: each x rounded to f16. CUDA_BYTES: d rint(x / d), d = max |x| / 127 of the 32. */
#include "cuda/device.h"
#include "cuda/launch.h"

#define THREADS 64u

__global__ void round_rows(cuda_round a)
{
    const uint32_t first = 32 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (first >= a.k)
        return;
    const uint32_t count = a.k - first < 32 ? a.k - first : 32;
    const float *x = a.x + (uint64_t)blockIdx.y * a.k + first;
    float *y = a.y + (uint64_t)blockIdx.y * a.k + first, most = 0.0f;
    for (uint32_t i = 0; i < count; i++)
        most = fmaxf(most, fabsf(x[i]));
    const float d = most / 127.0f;
    for (uint32_t i = 0; i < count; i++)
        y[i] = a.precision == CUDA_HALF ? f16_of(f16_from(x[i])) : d > 0.0f ? d * rintf(x[i] / d) : 0.0f;
}

LAUNCHER(round_rows, cuda_round)

bool cuda_round_run(const cuda_round *a)
{
    round_rows_launch(dims(div_up(a->k, 32 * THREADS), a->rows, 1), dims(THREADS, 1, 1), *a);
    return cuda_launched("round_rows");
}
