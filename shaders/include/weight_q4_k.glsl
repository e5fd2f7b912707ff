// weight_q4_k.glsl - Q4_K: w = (d s) q - (dmin m), q of 4 bits, s and m of 6 bits for each
// block of 32, d and dmin f16 for each 256. A block is 1 piece as in Q4_0. Scale words of
// a 256: 0 = d | dmin << 16; 1..3 = the 12 bytes of s and m as in the file: for j < 4
// s = byte[j] & 63, m = byte[4 + j] & 63; for j >= 4 s = byte[4 + j] & 15 | (byte[j - 4] >> 6) << 4,
// m = byte[4 + j] >> 4 | (byte[j] >> 6) << 4.
#define PIECES_PER_BLOCK 1u

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const uint j = b % 8, base = b / 8 * 4, shift = 8 * (j % 4);
    const vec2 d = unpackHalf2x16(scale_word(weight, base));
    const uint s0 = scale_word(weight, base + 1) >> shift, m0 = scale_word(weight, base + 2) >> shift;
    uint s = s0 & 63u, m = m0 & 63u;
    if (j >= 4) {
        const uint both = scale_word(weight, base + 3) >> shift;
        s = (both & 15u) | ((s0 >> 6 & 3u) << 4);
        m = (both >> 4 & 15u) | ((m0 >> 6 & 3u) << 4);
    }
    const float scale = d.x * float(s), offset = d.y * float(m);
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        w[i] = scale * vec4((uvec4(q[i]) >> uvec4(0, 8, 16, 24)) & 15u) - offset;
        w[4 + i] = scale * vec4((uvec4(q[i]) >> uvec4(4, 12, 20, 28)) & 15u) - offset;
    }
}
