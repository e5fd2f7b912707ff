// weight_q5_k.glsl - Q5_K: w = (d s) q - (dmin m), q of 5 bits, s and m of 6 bits for each block of
// 32, d and dmin f16 for each 256. A block is 1 piece of low bits as in Q4_0. Scale words of a 256:
// 0..3 = weight_k_scale.glsl; 4..11 = high bits of each block (quad_of_1()).
#include "weight_bits.glsl"
#include "weight_k_scale.glsl"

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const uint base = b / 8 * 12;
    const vec2 scale = k_scale(weight, base, b % 8);
    const uint high = scale_word(weight, base + 4 + b % 8);
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        w[j] = scale.x * unsigned_bytes(quad_of_4(q, j) | quad_of_1(high, j) << 4) - scale.y;
}
