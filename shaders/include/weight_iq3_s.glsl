// weight_iq3_s.glsl - IQ3_S: w = +-d (2 s + 1) c, c from a grid of 512 x 4, s of 4 bits for each block of 32. Words
// of a 256 (weight_grid.glsl): 0..15 = low 8 bits of the 8 grid numbers of each block; 16, 17 = a byte
// for each block: their high bits; 18..25 = 32 signs; 26 = the 8 s.
#define GRID_WORDS 27u
#include "weight_grid.glsl"

#define I8_BYTES signed_bytes
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint j = b % 8, base = grid_base(b);
    const uint high = byte_at(weight, base + 16, j), signs = scale_word(weight, base + 18 + j);
    scale = vec2(grid_d(weight, b) * float(2u * (scale_word(weight, base + 26) >> (4 * j) & 15u) + 1u));
    const uvec2 low = uvec2(scale_word(weight, base + 2 * j), scale_word(weight, base + 2 * j + 1));
    offset = vec2(0.0);
    [[unroll]] for (uint i = 0; i < 8; i++) {
        const uint point = grid_point(weight, (low[i / 4] >> (8 * (i % 4)) & 255u) | (high >> i & 1u) << 8);
        q[i] = with_signs(point, signs >> (4 * i));
    }
}
