/* verify/input.h - seeded inputs that are the same to the bit on every machine. Floor 3.
 *
 * Element i of a stream is a function of (seed, i) alone, made of integers and of one exact
 * conversion: no libm, so that recorded results hold everywhere.
 */
#ifndef PM_VERIFY_INPUT_H
#define PM_VERIFY_INPUT_H

#include "base/hash.h"

#include <stdint.h>

static inline uint64_t pm_input_word(uint64_t seed, uint64_t i)
{
    return pm_mix64(pm_mix64(seed) ^ i);
}

/* Near normal, mean 0, deviation 1, within +-3.47: the sum of four uniforms of 16 bits. */
static inline float pm_input_normal(uint64_t seed, uint64_t i)
{
    const uint64_t word = pm_input_word(seed, i);
    const int32_t sum = (int32_t)((word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48)) - 131070;
    return (float)sum * 0x1.bbp-16f; /* 18 + 9 bits: rounded once, the same everywhere */
}

/* In [0, limit). */
static inline uint32_t pm_input_index(uint64_t seed, uint64_t i, uint32_t limit)
{
    return (uint32_t)((pm_input_word(seed, i) >> 32) * limit >> 32);
}

#endif /* PM_VERIFY_INPUT_H */
