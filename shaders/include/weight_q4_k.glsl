// weight_q4_k.glsl - Q4_K: w = (d s) q - (dmin m), q of 4 bits, s and m of 6 bits for each
// block of 32, d and dmin f16 for each 256. A block is 1 piece as in Q4_0. The 4 scale words of
// a 256: weight_k_scale.glsl.
#define PIECES_PER_BLOCK 1u
#include "weight_k_scale.glsl"

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const vec2 scale = k_scale(weight, b / 8 * 4, b % 8);
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        w[i] = scale.x * vec4((uvec4(q[i]) >> uvec4(0, 8, 16, 24)) & 15u) - scale.y;
        w[4 + i] = scale.x * vec4((uvec4(q[i]) >> uvec4(4, 12, 20, 28)) & 15u) - scale.y;
    }
}
