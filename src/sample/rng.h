/* sample/rng.h - random numbers by counter. Floor 1, host only.
 *
 * A number is a function of (seed, position) alone and no state is kept, so that what a
 * request draws does not depend on which others run beside it, on preemption, or on the
 * order of calls.
 *
 * Source: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
 * for the idea; the mixing function is that of base/hash.h.
 */
#ifndef PM_SAMPLE_RNG_H
#define PM_SAMPLE_RNG_H

#include "base/hash.h"

/* 64 random bits: what a row of a batch carries to the device. */
static inline uint64_t pm_rng_bits(uint64_t seed, uint64_t position)
{
    return pm_mix64(pm_mix64(seed) ^ pm_mix64(position + UINT64_C(0x51ed2701)));
}

/* Uniform in [0, 1), 53 bits of these. */
static inline double pm_rng_uniform(uint64_t seed, uint64_t position)
{
    return (double)(pm_rng_bits(seed, position) >> 11) * 0x1p-53;
}

#endif /* PM_SAMPLE_RNG_H */
