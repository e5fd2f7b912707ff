/* topk.cu - the k greatest of each row, greatest first, of equals the smallest id first.
 *
 * One block for each row, k rounds: each finds the best of what comes after the last one in that
 * order, as argmax.cu does. */
#include "cuda/device.h"
#include "cuda/launch.h"

#define THREADS 128u

/* True when element i comes before element j; UINT32_MAX comes last. */
static inline __device__ bool before(const float *x, uint32_t i, uint32_t j)
{
    if (i == UINT32_MAX || j == UINT32_MAX)
        return i != UINT32_MAX;
    return x[i] > x[j] || (x[i] == x[j] && i < j);
}

__global__ void topk(cuda_topk a)
{
    __shared__ uint32_t best[THREADS], last;
    const float *x = a.x + (uint64_t)blockIdx.x * a.n;
    if (threadIdx.x == 0)
        last = UINT32_MAX;
    for (uint32_t round = 0; round < a.k; round++) {
        __syncthreads();
        uint32_t mine = UINT32_MAX;
        for (uint32_t i = threadIdx.x; i < a.n; i += THREADS)
            if (!isnan(x[i]) && (round == 0 || before(x, last, i)) && before(x, i, mine))
                mine = i;
        best[threadIdx.x] = mine;
        __syncthreads();
        if (threadIdx.x != 0)
            continue;
        for (uint32_t t = 1; t < THREADS; t++)
            if (before(x, best[t], mine))
                mine = best[t];
        a.ids[(uint64_t)blockIdx.x * a.k + round] = mine;
        a.values[(uint64_t)blockIdx.x * a.k + round] = mine == UINT32_MAX ? -INFINITY : x[mine];
        if (mine == UINT32_MAX) { /* nothing is left */
            for (uint32_t rest = round; rest < a.k; rest++) {
                a.ids[(uint64_t)blockIdx.x * a.k + rest] = UINT32_MAX;
                a.values[(uint64_t)blockIdx.x * a.k + rest] = -INFINITY;
            }
        }
        last = mine;
    }
}

LAUNCHER(topk, cuda_topk)

bool cuda_topk_run(const cuda_topk *a)
{
    topk_launch(dims(a->rows, 1, 1), dims(THREADS, 1, 1), *a);
    return cuda_launched("topk");
}
