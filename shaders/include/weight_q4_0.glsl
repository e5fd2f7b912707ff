// weight_q4_0.glsl - Q4_0: w = d (q - 8), q of 4 bits. A block of 32 is 1 piece: byte i has
// q[i] in its low and q[16 + i] in its high nibble. Scale word s holds the f16 d of blocks
// 2s and 2s + 1.
#define PIECES_PER_BLOCK 1u

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const vec2 pair = unpackHalf2x16(scale_word(weight, b / 2));
    const float d = (b & 1u) == 0u ? pair.x : pair.y;
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 4; j++) {
        w[j] = d * (vec4((uvec4(q[j]) >> uvec4(0, 8, 16, 24)) & 15u) - 8.0);
        w[4 + j] = d * (vec4((uvec4(q[j]) >> uvec4(4, 12, 20, 28)) & 15u) - 8.0);
    }
}

#define I8_BIAS 8
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const vec2 pair = unpackHalf2x16(scale_word(weight, b / 2));
    scale = vec2((b & 1u) == 0u ? pair.x : pair.y);
    offset = vec2(0.0);
    const uvec4 value = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 4; j++) {
        q[j] = value[j] & 0x0f0f0f0fu;
        q[4 + j] = value[j] >> 4 & 0x0f0f0f0fu;
    }
}
