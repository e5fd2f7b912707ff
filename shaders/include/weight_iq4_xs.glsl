// weight_iq4_xs.glsl - IQ4_XS: w = d (s - 32) iq4_value(q), q of 4 bits, s of 6 bits for each block of
// 32, d f16 for each 256. A block is 1 piece as in Q4_0. Scale words of a 256: 0 = d | the high 2
// bits of the 8 s << 16; 1 = their low 4 bits.
#include "weight_iq4_value.glsl"

float iq4_xs_scale(Weight weight, uint b)
{
    const uint j = b % 8, base = b / 8 * 2, first = scale_word(weight, base);
    const uint s = ((scale_word(weight, base + 1) >> (4 * j)) & 15u) | ((first >> (16 + 2 * j)) & 3u) << 4;
    return unpack_halves(first).x * (float(s) - 32.0);
}

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const float scale = iq4_xs_scale(weight, b);
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint i = 0; i < 8; i++)
        w[i] = scale * iq4_value(unsigned_bytes(quad_of_4(q, i)));
}

float load_weight(Weight weight, uint b, uint i)
{
    return iq4_xs_scale(weight, b) * iq4_value(unsigned_bytes(quad_of_4(piece(weight, b), i / 4)))[i % 4];
}

void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    scale = vec2(iq4_xs_scale(weight, b));
    offset = vec2(0.0);
    const uvec4 codes = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        q[j] = iq4_bytes(quad_of_4(codes, j));
}
