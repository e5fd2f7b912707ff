// weight_iq1_m.glsl - IQ1_M: w = d (2 s + 1) (c - 1 + delta), c from the grid of IQ1_S, s of 3 bits for
// each 16, delta, 1/8 or -1/8, for each 8, d f16 for each 256. Scale words of a 256, in the order of
// the file: 0..7 = low 8 bits of the 4 grid numbers of each block of 32; 8..11 = 4 bits for each number:
// 3 high bits, the sign of delta; 12, 13 = 4 halves: 4 s, then 4 bits of d from the lowest up.
#define GRID_WORDS 14u
#include "weight_grid.glsl"

#define I8_BYTES unsigned_bytes
#define I8_BIAS IQ1_BIAS
#define I8_EXACT
#define I8_HALVES 2
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint j = b % 8, base = b / 8 * GRID_WORDS;
    const uint low = scale_word(weight, base + j), high = half_word_at(weight, base + 8, j);
    const uvec2 last = uvec2(scale_word(weight, base + 12), scale_word(weight, base + 13));
    const uvec2 parts = last >> 12 & 0x000f000fu;
    const float d = unpack_halves((parts.x & 15u) | parts.x >> 12 | (parts.y & 15u) << 8 | parts.y >> 4 & 0xf000u).x;
    const uint s = (j < 4 ? last.x : last.y) >> (16 * (j / 2 & 1u) + 6 * (j & 1u));
    scale = 0.125 * d * vec2(2u * uvec2(s & 7u, s >> 3 & 7u) + 1u);
    offset = vec2(0.0);
    [[unroll]] for (uint g = 0; g < 4; g++) {
        const uint h = high >> (4 * g);
        iq1_bytes(grid_point(weight, (low >> (8 * g) & 255u) | (h & 7u) << 8), (h & 8u) == 8u, q[2 * g], q[2 * g + 1]);
    }
}
