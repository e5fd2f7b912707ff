// weight_q8_0.glsl - Q8_0: w = d q, q of 8 bits. A block of 32 is 2 pieces; scale word s
// holds the f16 d of blocks 2s and 2s + 1.
#define PIECES_PER_BLOCK 2u

#define I8_BYTES signed_bytes
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    scale = vec2(half_at(scale_word(weight, b / 2), (b & 1u) == 1u));
    offset = vec2(0.0);
    [[unroll]] for (uint i = 0; i < 2; i++) {
        const uvec4 value = piece(weight, b * PIECES_PER_BLOCK + i);
        [[unroll]] for (uint j = 0; j < 4; j++)
            q[4 * i + j] = value[j];
    }
}
