// weight_bits.glsl - codes of four weights at a time, as the bytes of a word: quad j of a
// block of 32 is the weights 4 j .. 4 j + 3.
#ifndef WEIGHT_BITS_GLSL
#define WEIGHT_BITS_GLSL

vec4 unsigned_bytes(uint codes)
{
    return vec4((uvec4(codes) >> uvec4(0, 8, 16, 24)) & 255u);
}

vec4 signed_bytes(uint codes)
{
    return vec4((ivec4(int(codes)) << ivec4(24, 16, 8, 0)) >> 24);
}

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
    const vec2 pair = unpackHalf2x16(word);
    return high ? pair.y : pair.x;
}
#endif
