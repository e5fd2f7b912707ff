// weight_q6_k.glsl - Q6_K: w = d s (q - 32), q of 6 bits, s of 8 bits (signed) for each 16,
// d f16 for each 256. Pieces of a 256: 0..7 = low 4 bits of each block of 32, as in Q4_0;
// 8..11 = high 2 bits of two blocks, 8 bytes each: byte i has those of q[i], q[8 + i],
// q[16 + i], q[24 + i] from bit 0 up. Scale words of a 256: 0..3 = 16 s, 4 = d.
#define PIECES_PER_BLOCK 1u // and a half; see load_block_i8()

#define I8_BYTES unsigned_bytes
#define I8_BIAS 32
#define I8_HALVES 2
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint j = b % 8, base = b / 8;
    const float d = unpack_halves(scale_word(weight, base * 5 + 4)).x;
    const uint word = scale_word(weight, base * 5 + j / 2) >> (16 * (j & 1u));
    scale = d * vec2(int(word << 24) >> 24, int(word << 16) >> 24);
    offset = vec2(0.0);
    const uvec4 low = piece(weight, base * 12 + j), pair = piece(weight, base * 12 + 8 + j / 2);
    const uvec2 high = (j & 1u) == 0u ? pair.xy : pair.zw;
    [[unroll]] for (uint i = 0; i < 8; i++)
        q[i] = quad_of_4(low, i) | (high[i % 2] >> (2u * (i / 2u)) & 0x03030303u) << 4;
}
