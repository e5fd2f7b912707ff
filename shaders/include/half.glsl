// half.glsl - f32 to f16, rounded to nearest, ties to even. packHalf2x16() may round either
// way, so the rounding is done on the bits, as base/half.h does it.
#ifndef HALF_GLSL
#define HALF_GLSL

// No branches: on CPU drivers all ways are taken anyway, and their compiler takes longer.
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
#endif
