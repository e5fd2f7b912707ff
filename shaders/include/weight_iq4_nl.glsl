// weight_iq4_nl.glsl - IQ4_NL: w = d iq4_value(q), q of 4 bits. Pieces and scale words as in Q4_0.
#include "weight_iq4_value.glsl"

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const float d = half_at(scale_word(weight, b / 2), (b & 1u) == 1u);
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        w[j] = d * iq4_value(unsigned_bytes(quad_of_4(q, j)));
}

float load_weight(Weight weight, uint b, uint i)
{
    const float d = half_at(scale_word(weight, b / 2), (b & 1u) == 1u);
    return d * iq4_value(unsigned_bytes(quad_of_4(piece(weight, b), i / 4)))[i % 4];
}

void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    scale = vec2(half_at(scale_word(weight, b / 2), (b & 1u) == 1u));
    offset = vec2(0.0);
    const uvec4 codes = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        q[j] = iq4_bytes(quad_of_4(codes, j));
}
