/* embedding.cu - y[r,:] = W[tokens[r],:]: one thread for each element. */
#include "cuda/dequant.h"
#include "cuda/launch.h"

#define THREADS 128u

__global__ void embedding(cuda_embedding a)
{
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
    if (i >= a.dim)
        return;
    const uint32_t elements = block_elements(a.type);
    const uint64_t blocks = a.dim / elements;
    const uint8_t *block = a.w + (a.tokens[row] * blocks + i / elements) * block_bytes(a.type);
    a.y[(uint64_t)row * a.dim + i] = value_at(a.type, block, (int)(i % elements), a.grid);
}

LAUNCHER(embedding, cuda_embedding)

bool cuda_embedding_run(const cuda_embedding *a)
{
    cuda_embedding with_grid = *a;
    with_grid.grid = cuda_codebook(a->type);
    embedding_launch(dims(div_up(a->dim, THREADS), a->rows, 1), dims(THREADS, 1, 1), with_grid);
    return cuda_launched("embedding");
}

bool cuda_type_supported(uint32_t type)
{
    return block_elements(type) != 0;
}
