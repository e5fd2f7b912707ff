/* argmax.cu - tokens[r] = the smallest i whose x[r,i] is the greatest.
 *
 * One block for each row: a thread looks at every THREADS-th element, the first thread at the
 * threads' bests. NaN is greater than nothing; UINT32_MAX where nothing was. */
#include "cuda/device.h"
#include "cuda/launch.h"

#define THREADS 128u

__global__ void argmax(cuda_argmax a)
{
    __shared__ uint32_t best[THREADS];
    const float *x = a.x + (uint64_t)blockIdx.x * a.n;
    uint32_t mine = UINT32_MAX;
    for (uint32_t i = threadIdx.x; i < a.n; i += THREADS)
        if (!isnan(x[i]) && (mine == UINT32_MAX || x[i] > x[mine]))
            mine = i;
    best[threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    for (uint32_t t = 1; t < THREADS; t++) {
        const uint32_t other = best[t];
        if (other != UINT32_MAX && (mine == UINT32_MAX || x[other] > x[mine] || (x[other] == x[mine] && other < mine)))
            mine = other;
    }
    a.tokens[blockIdx.x] = mine;
}

LAUNCHER(argmax, cuda_argmax)

bool cuda_argmax_run(const cuda_argmax *a)
{
    argmax_launch(dims(a->rows, 1, 1), dims(THREADS, 1, 1), *a);
    return cuda_launched("argmax");
}
