// weight_iq2_xxs.glsl - IQ2_XXS: w = +-d (s + 1/2) / 4 c, c from a grid of 256 x 8, s of 4 bits for each block
// of 32. Two words of a 256 (weight_grid.glsl) for each block: 4 grid numbers; 4 x 7 signs and s.
#define GRID_WORDS 16u
#include "weight_grid.glsl"

#define I8_BYTES signed_bytes
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint base = grid_base(b) + b % 8 * 2;
    const uint numbers = scale_word(weight, base), signs = scale_word(weight, base + 1);
    scale = vec2(grid_d(weight, b) * (float(signs >> 28) + 0.5) * 0.25);
    offset = vec2(0.0);
    [[unroll]] for (uint g = 0; g < 4; g++)
        iq2_bytes(grid_point(weight, numbers >> (8 * g) & 255u), eight_signs(signs >> (7 * g) & 127u),
                  q[2 * g], q[2 * g + 1]);
}
