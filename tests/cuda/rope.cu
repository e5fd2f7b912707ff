/* rope.cu - rotates the pairs of each head by position * frequency, in place: one thread for each
 * pair. The angle, its sine and its cosine are double, the rotation f32. */
#include "cuda/device.h"
#include "cuda/launch.h"

#define THREADS 64u

__global__ void rope(cuda_rope a)
{
    const uint32_t half = a.rotary_dim / 2, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= half)
        return;
    float *head = a.x + (uint64_t)blockIdx.z * a.stride + blockIdx.y * a.head_dim;
    const double angle = (double)a.positions[blockIdx.z] * a.frequencies[i];
    const float c = (float)cos(angle), s = (float)sin(angle);
    float *first = a.neox ? head + i : head + 2 * i, *second = a.neox ? head + i + half : head + 2 * i + 1;
    const float x = *first, y = *second;
    *first = x * c - y * s;
    *second = x * s + y * c;
}

LAUNCHER(rope, cuda_rope)

bool cuda_rope_run(const cuda_rope *a)
{
    rope_launch(dims(div_up(a->rotary_dim / 2, THREADS), a->heads, a->rows), dims(THREADS, 1, 1), *a);
    return cuda_launched("rope");
}
