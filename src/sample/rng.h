/* sample/rng.h - random numbers by counter. Floor 1, host only.
 *
 * A number is a function of (seed, position) alone, so that what a request draws does
 * not depend on which other requests run beside it. */
#ifndef PM_SAMPLE_RNG_H
#define PM_SAMPLE_RNG_H

#include "base/hash.h"

/* Uniform in [0, 1), 53 bits. */
static inline double pm_rng_uniform(uint64_t seed, uint64_t position)
{
    return (double)(pm_mix64(pm_mix64(seed) ^ pm_mix64(position + UINT64_C(0x51ed2701))) >> 11) * 0x1p-53;
}

#endif /* PM_SAMPLE_RNG_H */
