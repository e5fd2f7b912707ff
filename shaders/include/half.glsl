// half.glsl - f32 to f16, rounded to nearest, ties to even. packHalf2x16() may round either
// way, so the rounding is done on the bits, as base/half.h does it.
#ifndef HALF_GLSL
#define HALF_GLSL

uint half_bits(float value)
{
    const uint bits = floatBitsToUint(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return sign | 0x7e00u;
    if (magnitude >= 0x477ff000u) // 65520 and above
        return sign | 0x7c00u;
    if (magnitude < 0x38800000u) { // below 2^-14: multiples of 2^-24
        if (magnitude < 0x33000000u) // below 2^-25
            return sign;
        const uint shift = 126u - (magnitude >> 23); // 14 .. 24
        const uint mantissa = (magnitude & 0x7fffffu) | 0x800000u, half_ulp = 1u << (shift - 1u);
        const uint down = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u);
        return sign | (down + uint(rest > half_ulp || (rest == half_ulp && (down & 1u) == 1u)));
    }
    return sign | ((magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13);
}

uint half_pair(float low, float high)
{
    return half_bits(low) | (half_bits(high) << 16);
}
#endif
