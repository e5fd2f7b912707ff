// weight_mxfp4.glsl - MXFP4: w = 2^(e - 127) q, q an E2M1 float (sign, 2 bits of exponent, 1 of mantissa:
// 0 .5 1 1.5 2 3 4 6), e of 8 bits. A block of 32 is 1 piece as in Q4_0; scale word s holds the e
// of blocks 4 s .. 4 s + 3.
// As the top bits of an f16, whose bias is 14 greater, the bits of q are the value 2^-14 q. For e
// below 2 the scale itself is subnormal, and a device may take it for 0.

// q of bytes 0 and 2 as two f16.
vec2 e2m1_pair(uint q)
{
    return unpack_halves((q & 0x00070007u) << 9 | (q & 0x00080008u) << 12);
}

// 2^(e - 128)
float mxfp4_half_scale(Weight weight, uint b)
{
    const uint e = (scale_word(weight, b / 4) >> (8 * (b % 4))) & 255u;
    return uintBitsToFloat(e > 1u ? (e - 1u) << 23 : 0x00200000u << e);
}

// 2 q of the four codes in the bytes of a word, as signed bytes: 0 1 2 3 4 6 8 12 are m plus, from
// m = 4 up, m & 3 and, of 7 alone, 2 more. Sign bits of zeros are dropped before bytes are negated.
uint e2m1_bytes(uint codes)
{
    const uint m = codes & 0x07070707u, ones = 0x01010101u, large = m >> 2 & ones;
    const uint value = m + (m & large * 3u) + ((m & m >> 1 & large) << 1);
    const uint negative = codes >> 3 & (m | m >> 1 | m >> 2) & ones;
    return (value ^ negative * 255u) + negative;
}

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const float half_scale = mxfp4_half_scale(weight, b);
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++) {
        const uint codes = quad_of_4(q, j);
        const vec2 even = e2m1_pair(codes), odd = e2m1_pair(codes >> 8);
        w[j] = half_scale * (32768.0 * vec4(even.x, odd.x, even.y, odd.y));
    }
}

float load_weight(Weight weight, uint b, uint i)
{
    const uint code = quad_of_4(piece(weight, b), i / 4) >> (8 * (i % 4));
    return mxfp4_half_scale(weight, b) * (32768.0 * e2m1_pair(code).x);
}

void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    scale = vec2(mxfp4_half_scale(weight, b));
    offset = vec2(0.0);
    const uvec4 codes = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        q[j] = e2m1_bytes(quad_of_4(codes, j));
}
