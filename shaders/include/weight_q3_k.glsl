// weight_q3_k.glsl - Q3_K: w = d (s - 32) (q - 4), q of 3 bits, s of 6 bits for each 16, d f16 for each
// 256. Scale words of a 256: 0..23 = three for each block of 32: low two bits of q (quad_of_2()),
// high bits of q (quad_of_1()); 24, 25 = low 4 bits of the 16 s; 26 = their high 2 bits; 27 = d.
// No pieces.

#define I8_BYTES unsigned_bytes
#define I8_BIAS 4
#define I8_EXACT
#define I8_HALVES 2
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint j = b % 8, base = b / 8 * 28;
    const float d = unpack_halves(scale_word(weight, base + 27)).x;
    const uint low = scale_word(weight, base + 24 + j / 4) >> (8 * (j % 4)), high = scale_word(weight, base + 26) >> (4 * j);
    const uvec2 s = uvec2((low & 15u) | (high & 3u) << 4, ((low >> 4) & 15u) | ((high >> 2) & 3u) << 4);
    scale = d * (vec2(s) - 32.0);
    offset = vec2(0.0);
    const uvec2 two = uvec2(scale_word(weight, base + 3 * j), scale_word(weight, base + 3 * j + 1));
    const uint third = scale_word(weight, base + 3 * j + 2);
    [[unroll]] for (uint i = 0; i < 8; i++)
        q[i] = quad_of_2(two, i) | quad_of_1(third, i) << 2;
}
