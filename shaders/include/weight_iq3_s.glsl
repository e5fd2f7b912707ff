// weight_iq3_s.glsl - IQ3_S: w = +-d (2 s + 1) c, c from a grid of 512 x 4, s of 4 bits for each block of 32. Words
// of a 256 (weight_grid.glsl): 0..15 = low 8 bits of the 8 grid numbers of each block; 16, 17 = a byte
// for each block: their high bits; 18..25 = 32 signs; 26 = the 8 s.
#define GRID_WORDS 27u
#include "weight_grid.glsl"

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const uint j = b % 8, base = grid_base(b);
    const uint high = byte_at(weight, base + 16, j), signs = scale_word(weight, base + 18 + j);
    const float scale = grid_d(weight, b) * float(2u * (scale_word(weight, base + 26) >> (4 * j) & 15u) + 1u);
    const uvec2 low = uvec2(scale_word(weight, base + 2 * j), scale_word(weight, base + 2 * j + 1));
    [[unroll]] for (uint i = 0; i < 8; i++) {
        const uint point = grid_point(weight, (low[i / 4] >> (8 * (i % 4)) & 255u) | (high >> i & 1u) << 8);
        w[i] = scale * signed_bytes(with_signs(point, signs >> (4 * i)));
    }
}
