// weight_q2_k.glsl - Q2_K: w = (d s) q - (dmin m), q of 2 bits, s and m of 4 bits for each 16,
// d and dmin f16 for each 256. Scale words of a 256: 0..15 = q, two for each block of 32
// (quad_of_2()); 16..19 = 16 bytes s | m << 4; 20 = d | dmin << 16. No pieces.

#define I8_BYTES unsigned_bytes
#define I8_HALVES 2
#define I8_OFFSET true
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint j = b % 8, base = b / 8 * 21;
    const vec2 d = unpack_halves(scale_word(weight, base + 20));
    const uint s = scale_word(weight, base + 16 + j / 2) >> (16 * (j & 1u));
    scale = d.x * vec2(s & 15u, (s >> 8) & 15u);
    offset = -d.y * vec2((s >> 4) & 15u, (s >> 12) & 15u);
    const uvec2 codes = uvec2(scale_word(weight, base + 2 * j), scale_word(weight, base + 2 * j + 1));
    [[unroll]] for (uint i = 0; i < 8; i++)
        q[i] = quad_of_2(codes, i);
}
