/* grid.c - the product's table of grids for both builds of the kernels: nvcc's, too, takes it as C. */
#include "gguf/codebook.h"

#include "cuda/launch.h"

const uint32_t *cuda_grid(uint32_t type, uint32_t *count)
{
    *count = 0;
    return type < PM_DTYPE_LIMIT ? pm_codebook_get((pm_dtype)type, count) : NULL;
}
