// weight_q5_k.glsl - Q5_K: w = (d s) q - (dmin m), q of 5 bits, s and m of 6 bits for each block of
// 32, d and dmin f16 for each 256. A block is 1 piece of low bits as in Q4_0. Scale words of a 256:
// 0..3 = weight_k_scale.glsl; 4..11 = high bits of each block (quad_of_1()).
#define K_WORDS 12u
#include "weight_k_scale.glsl"

#define I8_BYTES unsigned_bytes
#define I8_OFFSET true
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint base = b / 8 * 12, high = scale_word(weight, base + 4 + b % 8);
    const vec2 both = k_scale(weight, base, b % 8);
    scale = vec2(both.x);
    offset = vec2(-both.y);
    const uvec4 low = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        q[j] = quad_of_4(low, j) | quad_of_1(high, j) << 4;
}
