/* rmsnorm.cu - x[r,:] += add[r,:]; y[r,:] = x[r,:] / sqrt(mean(x[r,:]^2) + epsilon) * w.
 *
 * One block for each row. A thread sums the squares of every THREADS-th element, the first thread
 * adds the threads' sums in ascending order. */
#include "cuda/device.h"
#include "cuda/launch.h"

#define THREADS 128u

__global__ void rmsnorm(cuda_rmsnorm a)
{
    __shared__ float squares[THREADS], factor;
    float *x = a.x + (uint64_t)blockIdx.x * a.dim, *y = a.y + (uint64_t)blockIdx.x * a.dim;
    const float *add = a.add != NULL ? a.add + (uint64_t)blockIdx.x * a.dim : NULL;
    float sum = 0.0f;
    for (uint32_t i = threadIdx.x; i < a.dim; i += THREADS) {
        if (add != NULL)
            x[i] += add[i];
        sum += x[i] * x[i];
    }
    squares[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        float total = 0.0f;
        for (uint32_t t = 0; t < THREADS; t++)
            total += squares[t];
        factor = 1.0f / sqrtf(total / (float)a.dim + a.epsilon);
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < a.dim; i += THREADS)
        y[i] = x[i] * factor * a.w[i];
}

LAUNCHER(rmsnorm, cuda_rmsnorm)

bool cuda_rmsnorm_run(const cuda_rmsnorm *a)
{
    rmsnorm_launch(dims(a->rows, 1, 1), dims(THREADS, 1, 1), *a);
    return cuda_launched("rmsnorm");
}
