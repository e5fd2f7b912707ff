/* replay.h - Pumice's run of a case against a vector.
 *
 * For every variant that the device admits, through the ops' own record functions:
 *
 *   |pumice - vector| <= 2 (atol + rtol * sum of |terms|) + what the variant's own rounding adds
 *
 * with the bounds of cases.c for each of the two. Beside it stand the worst errors of both against
 * double, as shares of the sum of |terms|: Pumice's must be at most twice the vector's, or within
 * rtol itself. A line says where its vector comes from: CUDA, or host (gcc's build of the same
 * kernels). What Pumice or the device does not support is counted apart. */
#ifndef PM_TEST_CUDA_REPLAY_H
#define PM_TEST_CUDA_REPLAY_H

#include "cuda/vectors.h"
#include "cuda/vulkan.h"

typedef struct replay_tally {
    uint32_t runs;                 /* comparisons: with vectors of CUDA, and of the host */
    uint32_t cuda, host;
    uint32_t unsupported;          /* vectors that nothing was compared with */
} replay_tally;

/* Fails the running test with the worst element. */
void replay(const cuda_case *c, const cuda_inputs *in, const cuda_vector *v, replay_tally *t);

#endif /* PM_TEST_CUDA_REPLAY_H */
