// weight_bf16.glsl - BF16 weights: a block of 32 is 4 pieces of 8 values; no scales.
#define PIECES_PER_BLOCK 4u

void load_block(Weight weight, uint b, out vec4 w[8])
{
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const uvec4 q = piece(weight, b * PIECES_PER_BLOCK + i);
        w[2 * i] = uintBitsToFloat(uvec4(q.x << 16, q.x & 0xffff0000u, q.y << 16, q.y & 0xffff0000u));
        w[2 * i + 1] = uintBitsToFloat(uvec4(q.z << 16, q.z & 0xffff0000u, q.w << 16, q.w & 0xffff0000u));
    }
}

float load_weight(Weight weight, uint b, uint i)
{
    const uint both = piece(weight, b * PIECES_PER_BLOCK + i / 8)[i / 2 % 4];
    return uintBitsToFloat(i % 2 == 0 ? both << 16 : both & 0xffff0000u);
}
