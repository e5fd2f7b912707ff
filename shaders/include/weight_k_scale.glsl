// weight_k_scale.glsl - scale and offset of block j of a 256 of Q4_K or Q5_K: (d s, dmin m), s and m
// of 6 bits. Scale words from `base`: 0 = d | dmin << 16, both f16; 1..3 = the 12 bytes of s and m
// as in the file: for j < 4 s = byte[j] & 63, m = byte[4 + j] & 63; for j >= 4
// s = byte[4 + j] & 15 | (byte[j - 4] >> 6) << 4, m = byte[4 + j] >> 4 | (byte[j] >> 6) << 4.
#define HELD_BLOCKS 8u
void hold(inout Weight weight, uint b)
{
    hold_words(weight, b / 8 * K_WORDS, 4);
}

vec2 k_scale(Weight weight, uint base, uint j)
{
    const uint shift = 8 * (j % 4);
    const vec2 d = unpack_halves(shared_word(weight, base, 0));
    const uint s0 = shared_word(weight, base, 1) >> shift, m0 = shared_word(weight, base, 2) >> shift;
    uint s = s0 & 63u, m = m0 & 63u;
    if (j >= 4) {
        const uint both = shared_word(weight, base, 3) >> shift;
        s = (both & 15u) | ((s0 >> 6 & 3u) << 4);
        m = (both >> 4 & 15u) | ((m0 >> 6 & 3u) << 4);
    }
    return d * vec2(s, m);
}
