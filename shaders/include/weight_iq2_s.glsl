// weight_iq2_s.glsl - IQ2_S: w = +-d (s + 1/2) / 4 c, c from a grid of 1024 x 8, s of 4 bits for each 16. Words
// of a 256 (weight_grid.glsl): 0..7 = low 8 bits of the 4 grid numbers of each block of 32; 8..15 = 32
// signs; 16, 17 = a byte for each block: high 2 bits of the 4 numbers; 18, 19 = likewise: two s.
#define GRID_WORDS 20u
#include "weight_grid.glsl"

#define I8_BYTES signed_bytes
#define I8_HALVES 2
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint j = b % 8, base = grid_base(b);
    const uint low = scale_word(weight, base + j), signs = scale_word(weight, base + 8 + j);
    const uint high = byte_at(weight, base + 16, j), s = byte_at(weight, base + 18, j);
    scale = grid_d(weight, b) * (vec2(s & 15u, s >> 4) + 0.5) * 0.25;
    offset = vec2(0.0);
    [[unroll]] for (uint g = 0; g < 4; g++)
        iq2_bytes(grid_point(weight, (low >> (8 * g) & 255u) | (high >> (2 * g) & 3u) << 8), signs >> (8 * g),
                  q[2 * g], q[2 * g + 1]);
}
