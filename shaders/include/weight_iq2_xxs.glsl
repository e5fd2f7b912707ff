// weight_iq2_xxs.glsl - IQ2_XXS: w = +-d (s + 1/2) / 4 c, c from a grid of 256 x 8, s of 4 bits for each block
// of 32. Two words of a 256 (weight_grid.glsl) for each block: 4 grid numbers; 4 x 7 signs and s.
#define GRID_WORDS 16u
#include "weight_grid.glsl"

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const uint base = grid_base(b) + b % 8 * 2;
    const uint numbers = scale_word(weight, base), signs = scale_word(weight, base + 1);
    const float scale = grid_d(weight, b) * (float(signs >> 28) + 0.5) * 0.25;
    [[unroll]] for (uint g = 0; g < 4; g++)
        iq2_weights(grid_point(weight, numbers >> (8 * g) & 255u), eight_signs(signs >> (7 * g) & 127u), scale, w[2 * g],
                    w[2 * g + 1]);
}
