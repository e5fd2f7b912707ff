/* shim.h - as much of CUDA as the kernels here use, on a CPU. Included by device.h under gcc.
 *
 * Blocks run one after the other. The threads of a block are fibers: one runs until it reaches
 * __syncthreads() or returns, then the next; when all have reached the barrier all go on. A
 * kernel without barriers runs as a plain loop. What breaks CUDA's rules is caught: a barrier
 * that some threads of a block do not reach ends the program with the kernel's name, and
 * shim_order() changes the order in which threads run between barriers, so that a missing
 * barrier shows as another result.
 *
 * __shared__ variables are static: they belong to the block that runs. One thread of the
 * program at a time.
 */
#ifndef PM_TEST_CUDA_SHIM_H
#define PM_TEST_CUDA_SHIM_H

#include <stdint.h>

typedef struct dim3 { uint32_t x, y, z; } dim3;

#define SHIM_THREADS_MAX 1024u     /* of a block, as on a GPU */

extern dim3 shim_thread, shim_block, shim_block_dim, shim_grid_dim;

void shim_barrier(void);

/* Runs thread(args) for each thread of each block; `name` is for messages. */
void shim_launch(const char *name, void (*thread)(const void *), const void *args, dim3 grid, dim3 block);

/* Threads of a block start and resume in an order of this seed; 0 = ascending, the default. */
void shim_order(uint32_t seed);

#define threadIdx shim_thread
#define blockIdx shim_block
#define blockDim shim_block_dim
#define gridDim shim_grid_dim
#define __global__ static
#define __device__
#define __host__
#define __shared__ static
#define __syncthreads() shim_barrier()

#endif /* PM_TEST_CUDA_SHIM_H */
