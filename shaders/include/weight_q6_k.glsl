// weight_q6_k.glsl - Q6_K: w = d s (q - 32), q of 6 bits, s of 8 bits (signed) for each 16,
// d f16 for each 256. Pieces of a 256: 0..7 = low 4 bits of each block of 32, as in Q4_0;
// 8..11 = high 2 bits of two blocks, 8 bytes each: byte i has those of q[i], q[8 + i],
// q[16 + i], q[24 + i] from bit 0 up. Scale words of a 256: 0..3 = 16 s, 4 = d.
#define PIECES_PER_BLOCK 1u // and a half; see load_block()

// The low 4 and the high 2 bits of block b, and d s of its two halves.
vec2 load_q6_k(Weight weight, uint b, out uvec4 low, out uvec2 high)
{
    const uint j = b % 8, base = b / 8;
    const float d = unpackHalf2x16(scale_word(weight, base * 5 + 4)).x;
    const uint word = scale_word(weight, base * 5 + j / 2) >> (16 * (j & 1u));
    low = piece(weight, base * 12 + j);
    const uvec4 pair = piece(weight, base * 12 + 8 + j / 2);
    high = (j & 1u) == 0u ? pair.xy : pair.zw;
    return d * vec2(int(word << 24) >> 24, int(word << 16) >> 24);
}

void load_block(Weight weight, uint b, out vec4 w[8])
{
    uvec4 low;
    uvec2 high;
    const vec2 scale = load_q6_k(weight, b, low, high);
    [[unroll]] for (uint i = 0; i < 8; i++) { // q[4i .. 4i + 3]
        const uvec4 l = (uvec4(low[i % 4]) >> (uvec4(0, 8, 16, 24) + (i < 4 ? 0u : 4u))) & 15u;
        const uvec4 h = (uvec4(high[i % 2]) >> (uvec4(0, 8, 16, 24) + 2u * (i / 2u))) & 3u;
        w[i] = (i < 4 ? scale.x : scale.y) * (vec4(l | (h << 4)) - 32.0);
    }
}

#define I8_BIAS 32
#define I8_HALVES 2
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    uvec4 low;
    uvec2 high;
    scale = load_q6_k(weight, b, low, high);
    offset = vec2(0.0);
    [[unroll]] for (uint i = 0; i < 8; i++) {
        const uint h = high[i % 2] >> 2u * (i / 2u) & 0x03030303u;
        q[i] = (low[i % 4] >> (i < 4 ? 0u : 4u) & 0x0f0f0f0fu) | h << 4;
    }
}
