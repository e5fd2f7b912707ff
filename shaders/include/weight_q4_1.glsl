// weight_q4_1.glsl - Q4_1: w = d q + m, q of 4 bits. A block of 32 is 1 piece as in Q4_0 and
// 1 scale word, d | m << 16, both f16.
#include "weight_bits.glsl"

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const vec2 d = unpackHalf2x16(scale_word(weight, b));
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        w[j] = d.x * unsigned_bytes(quad_of_4(q, j)) + d.y;
}
