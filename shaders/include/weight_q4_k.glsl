// weight_q4_k.glsl - Q4_K: w = (d s) q - (dmin m), q of 4 bits, s and m of 6 bits for each
// block of 32, d and dmin f16 for each 256. A block is 1 piece as in Q4_0. The 4 scale words of
// a 256: weight_k_scale.glsl.
#define PIECES_PER_BLOCK 1u
#include "weight_bits.glsl"
#include "weight_k_scale.glsl"

// (d s, dmin m) of block b.
vec2 scale_offset(Weight weight, uint b)
{
    return k_scale(weight, b / 8 * 4, b % 8);
}

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const vec2 both = scale_offset(weight, b);
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        w[j] = both.x * unsigned_bytes(quad_of_4(q, j)) - both.y;
}

#define I8_OFFSET true
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const vec2 both = scale_offset(weight, b);
    scale = vec2(both.x);
    offset = vec2(-both.y);
    const uvec4 value = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 4; j++) {
        q[j] = value[j] & 0x0f0f0f0fu;
        q[4 + j] = value[j] >> 4 & 0x0f0f0f0fu;
    }
}
