/* op/lanes.h - workgroup sizes of the simple ops. Floor 2. */
#ifndef PM_OP_LANES_H
#define PM_OP_LANES_H

#include "op/loops.h"

/* Lanes of a workgroup that works on one row of n elements: a power of two, at most 256
 * on a GPU; on a CPU driver, where lanes beyond a vector are a loop, 32, so long as a lane
 * has an eighth of the turns it may take: a row is read at most three times. */
static inline uint32_t pm_lanes_for(const pm_vk_caps *caps, uint32_t n)
{
    const uint32_t most = pm_loops_fit(caps, n / 4) && caps->is_cpu ? 32 : caps->workgroup_max < 256 ? 128 : 256;
    uint32_t lanes = 32;
    while (lanes < most && lanes * 4 < n)
        lanes *= 2;
    return lanes;
}

/* Those of sample.comp, whose loops are many. */
static inline uint32_t pm_lanes_for_sample(const pm_vk_caps *caps, uint32_t n)
{
    if (!caps->is_cpu)
        return pm_lanes_for(caps, n);
    return n <= 1u << 15 ? 32 : n <= 1u << 16 ? 64 : n <= 1u << 18 ? 128 : 256;
}

static inline uint32_t pm_div_up(uint32_t n, uint32_t d)
{
    return (n + d - 1) / d;
}

#endif /* PM_OP_LANES_H */
