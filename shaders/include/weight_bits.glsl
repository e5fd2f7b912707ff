// weight_bits.glsl - codes of four weights at a time, as the bytes of a word: quad j of a
// block of 32 is the weights 4 j .. 4 j + 3.
#ifndef WEIGHT_BITS_GLSL
#define WEIGHT_BITS_GLSL
#include "half.glsl"

#ifdef BYTES_IN_PLACE
// For CPU drivers, where shifts, conversions and additions share two ports of four (AMD Zen 4): 2^23 as f32 has its
// unit in bit 0, 2^15 in bit 8. Of four bytes that takes a shift and four subtractions in place of seven shifts
// and four conversions.
vec4 bytes_less(uint codes, float zero)
{
    const uvec2 two = uvec2(codes, codes >> 16);
    const uvec2 even = two & 0xffu | 0x4b000000u, odd = two & 0xff00u | 0x47000000u;
    return uintBitsToFloat(uvec4(even.x, odd.x, even.y, odd.y)) - vec4(8388608.0, 32768.0, 8388608.0, 32768.0) - zero;
}

vec4 unsigned_bytes(uint codes)
{
    return bytes_less(codes, 0.0);
}

vec4 signed_bytes(uint codes)
{
    return bytes_less(codes ^ 0x80808080u, 128.0);
}
#else
vec4 unsigned_bytes(uint codes)
{
    return vec4((uvec4(codes) >> uvec4(0, 8, 16, 24)) & 255u);
}

vec4 signed_bytes(uint codes)
{
    return vec4((ivec4(int(codes)) << ivec4(24, 16, 8, 0)) >> 24);
}
#endif

// 4-bit codes of a piece whose byte i has those of weight i, low, and weight 16 + i, high.
uint quad_of_4(uvec4 q, uint j)
{
    return (q[j % 4] >> (j / 4 * 4)) & 0x0f0f0f0fu;
}

// 2-bit codes: byte c of word w has those of the weights 16 w + 4 i + c from bit 2 i up.
uint quad_of_2(uvec2 q, uint j)
{
    return (q[j / 4] >> (j % 4 * 2)) & 0x03030303u;
}

// 1-bit codes: byte c of the word has those of the weights 4 i + c at bit i.
uint quad_of_1(uint q, uint j)
{
    return (q >> j) & 0x01010101u;
}

// The low or the high half of a word as f16.
float half_at(uint word, bool high)
{
    const vec2 pair = unpack_halves(word);
    return high ? pair.y : pair.x;
}
#endif
