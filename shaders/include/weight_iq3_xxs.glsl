// weight_iq3_xxs.glsl - IQ3_XXS: w = +-d (s + 1/2) / 2 c, c from a grid of 256 x 4, s of 4 bits for each block of
// 32. Words of a 256 (weight_grid.glsl): 0..15 = 8 grid numbers for each block; 16..23 = 4 x 7 signs and s.
#define GRID_WORDS 24u
#include "weight_grid.glsl"

#define I8_BYTES signed_bytes
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint j = b % 8, base = grid_base(b), signs = scale_word(weight, base + 16 + j);
    scale = vec2(grid_d(weight, b) * (float(signs >> 28) + 0.5) * 0.5);
    const uvec2 numbers = uvec2(scale_word(weight, base + 2 * j), scale_word(weight, base + 2 * j + 1));
    offset = vec2(0.0);
    [[unroll]] for (uint i = 0; i < 8; i++) {
        const uint point = grid_point(weight, numbers[i / 4] >> (8 * (i % 4)) & 255u);
        q[i] = with_signs(point, eight_signs(signs >> (i / 2 * 7) & 127u) >> (i % 2 * 4));
    }
}
