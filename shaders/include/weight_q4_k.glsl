// weight_q4_k.glsl - Q4_K: w = (d s) q - (dmin m), q of 4 bits, s and m of 6 bits for each
// block of 32, d and dmin f16 for each 256. A block is 1 piece as in Q4_0. The 4 scale words of
// a 256: weight_k_scale.glsl.
#define PIECES_PER_BLOCK 1u
#define K_WORDS 4u
#include "weight_k_scale.glsl"

#define I8_BYTES unsigned_bytes
#define I8_OFFSET true
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const vec2 both = k_scale(weight, b / 8 * 4, b % 8);
    scale = vec2(both.x);
    offset = vec2(-both.y);
    const uvec4 codes = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        q[j] = quad_of_4(codes, j);
}
