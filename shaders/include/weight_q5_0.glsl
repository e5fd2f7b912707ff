// weight_q5_0.glsl - Q5_0: w = d (q - 16), q of 5 bits. A block of 32 is 1 piece of low bits as in
// Q4_0. Scale words of two blocks: 0, 1 = their high bits (quad_of_1()), 2 = both f16 d.
#include "weight_bits.glsl"

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const uint base = b / 2 * 3, high = scale_word(weight, base + b % 2);
    const float d = half_at(scale_word(weight, base + 2), (b & 1u) == 1u);
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        w[j] = d * (unsigned_bytes(quad_of_4(q, j) | quad_of_1(high, j) << 4) - 16.0);
}
