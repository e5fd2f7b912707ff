// weight_f32.glsl - F32 weights: a block of 32 is 8 pieces of 4 values; no scales.
#define PIECES_PER_BLOCK 8u

void load_block(Weight weight, uint b, out vec4 w[8])
{
    [[unroll]] for (uint i = 0; i < 8; i++)
        w[i] = uintBitsToFloat(piece(weight, b * PIECES_PER_BLOCK + i));
}

float load_weight(Weight weight, uint b, uint i)
{
    return uintBitsToFloat(piece(weight, b * PIECES_PER_BLOCK + i / 4)[i % 4]);
}
