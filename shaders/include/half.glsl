// half.glsl - f32 to f16 and back.
#ifndef HALF_GLSL
#define HALF_GLSL
#include "pm_shared.h"

// True where unpackHalf2x16() is not to be used: pm_vk_caps.soft_half.
layout(constant_id = PM_SPEC_SOFT_HALF) const bool SOFT_HALF = false;

// Rounded to nearest, ties to even. packHalf2x16() may round either way, so the rounding is done on the bits, as
// base/half.h does it. No branches: on CPU drivers all ways are taken anyway, and their compiler takes longer.
uint half_bits(float value)
{
    const uint bits = floatBitsToUint(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    const uint normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
    // Below 2^-14 multiples of 2^-24, none below 2^-25, of which rest is half at most.
    const uint shift = clamp(126u - min(magnitude >> 23, 126u), 14u, 25u);
    const uint mantissa = (magnitude & 0x7fffffu) | 0x800000u, half_ulp = 1u << (shift - 1u);
    const uint down = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u);
    const uint tiny = down + (uint(rest > half_ulp) | (uint(rest == half_ulp) & down & 1u));
    uint half_of = mix(normal, tiny, magnitude < 0x38800000u);
    half_of = mix(half_of, 0x7c00u, magnitude >= 0x477ff000u); // 65520 and above
    return sign | mix(half_of, 0x7e00u, magnitude > 0x7f800000u);
}

uint half_pair(float low, float high)
{
    return half_bits(low) | (half_bits(high) << 16);
}

// The f16 in the low 16 bits, exact: what is below 2^-14 as a multiple of 2^-24, since a driver may flush f32 that small.
float half_value(uint bits)
{
    const uint magnitude = bits & 0x7fffu;
    const uint normal = (magnitude << 13) + mix(0x38000000u, 0x70000000u, magnitude >= 0x7c00u);
    const float value = mix(uintBitsToFloat(normal), float(magnitude) * 5.9604644775390625e-8, magnitude < 0x400u);
    return uintBitsToFloat(floatBitsToUint(value) | (bits & 0x8000u) << 16);
}

// The two f16 of a word. A choice, not a branch: of those SwiftShader's compiler takes gigabytes.
vec2 unpack_halves(uint word)
{
    return mix(unpackHalf2x16(word), vec2(half_value(word), half_value(word >> 16)), bvec2(SOFT_HALF));
}
#endif
