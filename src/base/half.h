/* base/half.h - IEEE binary16 and bfloat16 as bits. Floor 0.
 *
 * Conversions to the short formats round to nearest, ties to even. NaN stays NaN.
 */
#ifndef PM_BASE_HALF_H
#define PM_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t pm_f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static inline float pm_f32_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* Exact: every binary16 value is a binary32 value, subnormals included. */
static inline float pm_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t exponent = (h >> 10) & 0x1fu, mantissa = h & 0x3ffu;
    if (exponent == 0) /* zero or subnormal: mantissa * 2^-24 */
        return pm_f32_from_bits(sign | pm_f32_bits((float)mantissa * 5.9604644775390625e-8f));
    if (exponent == 31)
        return pm_f32_from_bits(sign | 0x7f800000u | (mantissa << 13));
    return pm_f32_from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

static inline uint16_t pm_f16_from_f32(float x)
{
    const uint32_t bits = pm_f32_bits(x), sign = (bits >> 16) & 0x8000u, abs = bits & 0x7fffffffu;
    if (abs > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (abs >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (abs < 0x38800000u) { /* below 2^-14: the sum's last bit is 2^-24 */
        const float shifted = pm_f32_from_bits(abs) + 0.5f;
        return (uint16_t)(sign | (pm_f32_bits(shifted) - 0x3f000000u));
    }
    const uint32_t rounded = abs + 0xfffu + ((abs >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

static inline float pm_bf16_to_f32(uint16_t b)
{
    return pm_f32_from_bits((uint32_t)b << 16);
}

static inline uint16_t pm_bf16_from_f32(float x)
{
    const uint32_t bits = pm_f32_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#endif /* PM_BASE_HALF_H */
