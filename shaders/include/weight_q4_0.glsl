// weight_q4_0.glsl - Q4_0: w = d (q - 8), q of 4 bits. A block of 32 is 1 piece: byte i has
// q[i] in its low and q[16 + i] in its high nibble. Scale word s holds the f16 d of blocks
// 2s and 2s + 1.
#define PIECES_PER_BLOCK 1u

#define I8_BYTES unsigned_bytes
#define I8_BIAS 8
#define I8_EXACT
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    scale = vec2(half_at(scale_word(weight, b / 2), (b & 1u) == 1u));
    offset = vec2(0.0);
    const uvec4 codes = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        q[j] = quad_of_4(codes, j);
}
