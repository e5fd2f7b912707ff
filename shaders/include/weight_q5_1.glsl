// weight_q5_1.glsl - Q5_1: w = d q + m, q of 5 bits. A block of 32 is 1 piece of low bits as in
// Q4_0 and 2 scale words: d | m << 16, both f16, and the high bits (quad_of_1()).
#include "weight_bits.glsl"

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const vec2 d = unpackHalf2x16(scale_word(weight, b * 2));
    const uint high = scale_word(weight, b * 2 + 1);
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        w[j] = d.x * unsigned_bytes(quad_of_4(q, j) | quad_of_1(high, j) << 4) + d.y;
}
