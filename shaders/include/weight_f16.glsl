// weight_f16.glsl - F16 weights: a block of 32 is 4 pieces of 8 values; no scales.
#define PIECES_PER_BLOCK 4u

void load_block(Weight weight, uint b, out vec4 w[8])
{
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const uvec4 q = piece(weight, b * PIECES_PER_BLOCK + i);
        w[2 * i] = vec4(unpack_halves(q.x), unpack_halves(q.y));
        w[2 * i + 1] = vec4(unpack_halves(q.z), unpack_halves(q.w));
    }
}

float load_weight(Weight weight, uint b, uint i)
{
    return unpack_halves(piece(weight, b * PIECES_PER_BLOCK + i / 8)[i / 2 % 4])[i % 2];
}
