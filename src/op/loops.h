/* op/loops.h - how many turns of loops a shader may take. Floor 2.
 *
 * Mesa's llvmpipe, and so lavapipe, counts down from 65,535 each time the body of a loop has
 * been run to its end, one count for all loops of a shader and all lanes of a vector, nested
 * ones included; at zero every loop ends after the turn it is in, and nothing says so. A loop
 * of n turns counts n + 1, since the test that ends it stands in its body; one that the
 * compiler unrolls counts nothing. (LP_MAX_TGSI_LOOP_ITERATIONS in
 * src/gallium/auxiliary/gallivm/lp_bld_limits.h, lp_exec_endloop() in lp_bld_ir_common.c, from
 * 2012 to 2025.) Shaders whose loops grow with a shape are cut on CPU drivers so that they stay
 * below it: tests/unit/test_loops.c, op.attention's contexts_that_outlast_a_drivers_loops.
 */
#ifndef PM_OP_LOOPS_H
#define PM_OP_LOOPS_H

#include "vk/caps.h"

#define PM_LOOPS_MAX 65535u
#define PM_LOOPS_LACK "this CPU driver may end loops after 65,535 turns"

/* Whether a shader whose lanes take so many turns at most runs them all. */
static inline bool pm_loops_fit(const pm_vk_caps *caps, uint64_t turns)
{
    return !caps->is_cpu || turns < PM_LOOPS_MAX;
}

#endif /* PM_OP_LOOPS_H */
