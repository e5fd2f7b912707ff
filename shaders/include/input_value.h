/* input_value.h - seeded test inputs: one definition for C and GLSL.
 *
 * Element i of the stream `seed` (both 64 bits, as two words) as the bits of an f32. Only
 * integers are computed, and one conversion of an integer below 2^24, which is exact, so
 * that a device makes the bits that the host makes, denormals and infinities included.
 * Source of the mixing function: C. Wellons, "lowbias32", hash-prospector, public domain. */
#ifndef PM_INPUT_VALUE_H
#define PM_INPUT_VALUE_H
#include "pm_shared.h"

#define PM_INPUT_NORMAL 0u         /* mean 0, deviation 1, at most 6: the sum of 12 uniforms */
#define PM_INPUT_OUTLIERS 1u       /* one channel in 64 is 100 times larger */
#define PM_INPUT_ZEROS 2u
#define PM_INPUT_TINY 3u           /* below 2^-123: a quarter are denormal */
#define PM_INPUT_LARGE 4u          /* +-65504 */
#define PM_INPUT_ZERO_BLOCKS 5u    /* half of the blocks of 32 are zero */
#define PM_INPUT_SCALES 6u         /* each block of 32 at another power of two, 2^-30 to 2^30 */
#define PM_INPUT_MASKED 7u         /* half are -infinity */

#ifdef GL_core_profile
#define PM_INPUT_FN
#define PM_INPUT_FLOAT_BITS(whole) floatBitsToUint(float(whole))
#else
#include "base/half.h"
#define PM_INPUT_FN static inline
#define PM_INPUT_FLOAT_BITS(whole) pm_f32_bits((float)(whole))
#endif

PM_INPUT_FN PM_U32 pm_input_mix(PM_U32 x)
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

/* A key for each (seed, i); words of it are pm_input_mix(key + draw * odd). */
PM_INPUT_FN PM_U32 pm_input_key(PM_U32 seed_low, PM_U32 seed_high, PM_U32 low, PM_U32 high)
{
    return pm_input_mix(pm_input_mix(pm_input_mix(pm_input_mix(seed_low + 0x9e3779b9u) ^ seed_high) ^ high) ^ low);
}

/* whole * 2^-shift as bits; whole < 2^24. */
PM_INPUT_FN PM_U32 pm_input_scaled(PM_U32 whole, PM_U32 shift)
{
    return whole == 0u ? 0u : PM_INPUT_FLOAT_BITS(whole) - (shift << 23);
}

PM_INPUT_FN PM_U32 pm_input_bits(PM_U32 kind, PM_U32 seed_low, PM_U32 seed_high, PM_U32 low, PM_U32 high)
{
    const PM_U32 key = pm_input_key(seed_low, seed_high, low, high), odd = 0x9e3779b9u;
    const PM_U32 block_key = pm_input_key(~seed_low, seed_high, low >> 5, high);
    const PM_U32 word = pm_input_mix(key + 6u * odd);
    if (kind == PM_INPUT_ZEROS || (kind == PM_INPUT_ZERO_BLOCKS && (block_key & 1u) == 1u))
        return 0u;
    if (kind == PM_INPUT_TINY)
        return word & 0x81ffffffu;
    if (kind == PM_INPUT_LARGE)
        return 0x477fe000u | (word & 0x80000000u);
    if (kind == PM_INPUT_MASKED && (word & 16u) == 16u)
        return 0xff800000u;

    PM_U32 sum = 0u;               /* of 12 numbers of 16 bits; then 4 bits more */
    for (PM_U32 draw = 0u; draw < 6u; draw++) {
        const PM_U32 pair = pm_input_mix(key + draw * odd);
        sum += (pair & 0xffffu) + (pair >> 16);
    }
    const PM_U32 whole = sum * 16u + (word & 15u), middle = 6u * 0xffffu * 16u + 8u;
    const PM_U32 sign = whole < middle ? 0x80000000u : 0u, size = whole < middle ? middle - whole : whole - middle;
    if (kind == PM_INPUT_OUTLIERS && (low & 63u) == 7u)
        return sign | pm_input_scaled((size >> 6) * 100u, 14u);
    const PM_U32 bits = pm_input_scaled(size, 20u);
    if (kind == PM_INPUT_SCALES && size != 0u)
        return sign | (bits + ((block_key % 61u) << 23) - (30u << 23));
    return sign | bits;
}

#endif /* PM_INPUT_VALUE_H */
