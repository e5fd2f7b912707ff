// weight_iq2_xs.glsl - IQ2_XS: w = +-d (s + 1/2) / 4 c, c from a grid of 512 x 8, s of 4 bits for each 16. Words
// of a 256 (weight_grid.glsl): 0..15 = two for each block of 32: 4 halves, 9 bits of grid number and
// 7 signs; 16, 17 = a byte for each block: two s.
#define GRID_WORDS 18u
#include "weight_grid.glsl"

#define I8_BYTES signed_bytes
#define I8_HALVES 2
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint j = b % 8, base = grid_base(b), s = byte_at(weight, base + 16, j);
    scale = grid_d(weight, b) * (vec2(s & 15u, s >> 4) + 0.5) * 0.25;
    const uvec2 words = uvec2(scale_word(weight, base + 2 * j), scale_word(weight, base + 2 * j + 1));
    offset = vec2(0.0);
    [[unroll]] for (uint g = 0; g < 4; g++) {
        const uint word = words[g / 2] >> (16 * (g % 2));
        iq2_bytes(grid_point(weight, word & 511u), eight_signs(word >> 9 & 127u), q[2 * g], q[2 * g + 1]);
    }
}
