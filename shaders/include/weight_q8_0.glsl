// weight_q8_0.glsl - Q8_0: w = d q, q of 8 bits. A block of 32 is 2 pieces; scale word s
// holds the f16 d of blocks 2s and 2s + 1.
#define PIECES_PER_BLOCK 2u

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const vec2 pair = unpackHalf2x16(scale_word(weight, b / 2));
    const float d = (b & 1u) == 0u ? pair.x : pair.y;
    [[unroll]] for (uint i = 0; i < 2; i++) {
        const ivec4 q = ivec4(piece(weight, b * PIECES_PER_BLOCK + i));
        [[unroll]] for (uint j = 0; j < 4; j++)
            w[4 * i + j] = d * vec4((ivec4(q[j]) << ivec4(24, 16, 8, 0)) >> 24);
    }
}

void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const vec2 pair = unpackHalf2x16(scale_word(weight, b / 2));
    scale = vec2((b & 1u) == 0u ? pair.x : pair.y);
    offset = vec2(0.0);
    [[unroll]] for (uint i = 0; i < 2; i++) {
        const uvec4 value = piece(weight, b * PIECES_PER_BLOCK + i);
        [[unroll]] for (uint j = 0; j < 4; j++)
            q[4 * i + j] = value[j];
    }
}
