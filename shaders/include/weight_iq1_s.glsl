// weight_iq1_s.glsl - IQ1_S: w = d (2 s + 1) (c - 1 + delta), c from a grid of 2048 x 8, s of 3 bits and
// delta, 1/8 or -1/8, for each block of 32. Words of a 256 (weight_grid.glsl): 0..7 = low 8 bits of
// the 4 grid numbers of each block; 8..11 = 16 bits for each: 3 high bits of the 4 numbers, s,
// the sign of delta.
#define GRID_WORDS 12u
#include "weight_grid.glsl"

#define I8_BYTES unsigned_bytes
#define I8_BIAS IQ1_BIAS
#define I8_EXACT
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint j = b % 8, base = grid_base(b);
    const uint low = scale_word(weight, base + j), high = half_word_at(weight, base + 8, j);
    scale = vec2(0.125 * grid_d(weight, b) * float(2u * (high >> 12 & 7u) + 1u));
    offset = vec2(0.0);
    [[unroll]] for (uint g = 0; g < 4; g++)
        iq1_bytes(grid_point(weight, (low >> (8 * g) & 255u) | (high >> (3 * g) & 7u) << 8), high >= 0x8000u,
                  q[2 * g], q[2 * g + 1]);
}
