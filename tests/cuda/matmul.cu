/* matmul.cu - y[r,i] = sum over j of W[i,j] x[r,j], + bias[i].
 *
 * One thread for each output i and ROWS rows: it walks W's row in the file's own blocks, makes each
 * weight once and multiplies it with the rows. Each sum is one f32, added in ascending j, or with CUDA_BLOCKS
 * of the sums of blocks. */
#include "cuda/dequant.h"
#include "cuda/launch.h"

#define THREADS 64u
#define ROWS 8u

__global__ void matmul(cuda_matmul a)
{
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * ROWS;
    if (i >= a.n)
        return;
    const uint32_t rows = a.rows - row < ROWS ? a.rows - row : ROWS;
    const uint32_t elements = block_elements(a.type), bytes = block_bytes(a.type);
    const uint8_t *block = a.w + (uint64_t)i * (a.k / elements) * bytes;
    const float *x = a.x + (uint64_t)row * a.x_stride;
    float sum[ROWS] = {0.0f}, part[ROWS] = {0.0f};
    for (uint32_t j = 0; j < a.k; j += elements, block += bytes)
        for (uint32_t e = 0; e < elements; e++) {
            float w = value_at(a.type, block, (int)e, a.grid);
            if (a.precision == CUDA_HALF)
                w = f16_of(f16_from(w));
            for (uint32_t r = 0; r < rows; r++)
                sum[r] += w * x[(uint64_t)r * a.x_stride + j + e];
            if (a.precision == CUDA_BLOCKS && ((j + e + 1) % a.block == 0 || j + e + 1 == a.k))
                for (uint32_t r = 0; r < rows; r++) {
                    part[r] += sum[r];
                    sum[r] = 0.0f;
                }
        }
    for (uint32_t r = 0; r < rows && a.precision == CUDA_BLOCKS; r++)
        sum[r] = part[r];
    for (uint32_t r = 0; r < rows; r++)
        a.y[(uint64_t)(row + r) * a.y_stride + i] = a.bias != NULL ? sum[r] + a.bias[i] : sum[r];
}

LAUNCHER(matmul, cuda_matmul)

bool cuda_matmul_run(const cuda_matmul *a)
{
    cuda_matmul with_grid = *a;
    with_grid.grid = cuda_codebook(a->type);
    matmul_launch(dims(div_up(a->n, THREADS), div_up(a->rows, ROWS), 1), dims(THREADS, 1, 1), with_grid);
    return cuda_launched("matmul");
}
