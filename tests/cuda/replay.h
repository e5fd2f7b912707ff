/* replay.h - Pumice's run of a case against a vector.
 *
 * For every variant that lacks nothing, through the ops' own record functions:
 *
 *   |pumice - vector| <= 2 (atol + rtol * sum of |terms|) + own
 *
 * with the bounds of cases.c for each of the two, and what the variant's own roundings add:
 *
 *   f32             0
 *   f16 factors     2^-10 * sum of |terms|: half a unit of either factor
 *   x in 8 bits     6 times what the rounding of x reaches, sqrt(sum of (|w| d / 2)^2) with d the step of x in its
 *                   block of 32: the bound of shaders/matmul_dot.comp, some hundredth of the result where the worst
 *                   case, in which all roundings have one sign, would be half of it
 *
 * Beside it FlashAttention's rule: Pumice's worst error against double, in units of the sum of |terms| or of that
 * reach, is at most twice the vector's, or within rtol; for a matmul that rounds, at most twice that of plain C with
 * the same roundings (tests/ref/matmul.h). A vector is CUDA's, or host: of gcc's build of the same kernels. What
 * the device or the build lacks is counted and named, never passed.
 *
 * On a GPU all of it. A CPU driver compiles for longer than it runs: there a type whose turn it is not has of each
 * family of matmuls one size (op/turn.h; PUMICE_TEST_FULL=1: all). */
#ifndef PM_TEST_CUDA_REPLAY_H
#define PM_TEST_CUDA_REPLAY_H

#include "cuda/vectors.h"
#include "cuda/vulkan.h"

#define REPLAY_ROWS_MAX 64u

/* One variant of the op's table. */
typedef struct replay_row {
    const char *name;              /* NULL past the last */
    uint32_t runs, lacking;        /* vectors compared with; vectors that it does not take */
    uint32_t waiting;              /* vectors with which it has no turn */
    bool int8;
    double worst;                  /* share of the bound, and whose */
    const char *worst_case;
    const char *lacks;             /* what the last of those needs */
} replay_row;

typedef struct replay_tally {
    uint32_t vectors, runs;        /* runs: comparisons, with vectors of CUDA and of the host */
    uint32_t cuda, host;
    uint32_t unsupported;          /* vectors that nothing was compared with */
    replay_row rows[REPLAY_ROWS_MAX];
} replay_tally;

/* Fails the running test with the worst element. */
void replay(const cuda_case *c, const cuda_inputs *in, const cuda_vector *v, replay_tally *t);

/* Prints vectors x variants, a line for each variant. */
void replay_report(const char *op, const replay_tally *t);

#endif /* PM_TEST_CUDA_REPLAY_H */
