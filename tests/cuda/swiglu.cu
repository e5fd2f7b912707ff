/* swiglu.cu - y[r,i] = silu(gate) * up, gate = gate_up[r,i], up = gate_up[r, hidden + i]: one thread
 * for each element. */
#include "cuda/device.h"
#include "cuda/launch.h"

#define THREADS 128u

__global__ void swiglu(cuda_swiglu a)
{
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= a.hidden)
        return;
    const float *x = a.gate_up + (uint64_t)blockIdx.y * 2 * a.hidden;
    const float gate = x[i], up = x[a.hidden + i];
    a.y[(uint64_t)blockIdx.y * a.hidden + i] = gate / (1.0f + expf(-gate)) * up;
}

LAUNCHER(swiglu, cuda_swiglu)

bool cuda_swiglu_run(const cuda_swiglu *a)
{
    swiglu_launch(dims(div_up(a->hidden, THREADS), a->rows, 1), dims(THREADS, 1, 1), *a);
    return cuda_launched("swiglu");
}
