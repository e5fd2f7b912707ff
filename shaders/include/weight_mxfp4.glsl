// weight_mxfp4.glsl - MXFP4: w = 2^(e - 127) q, q an E2M1 float (sign, 2 bits of exponent, 1 of mantissa:
// 0 .5 1 1.5 2 3 4 6), e of 8 bits. A block of 32 is 1 piece as in Q4_0; scale word s holds the e
// of blocks 4 s .. 4 s + 3.
// As the top bits of an f16, whose bias is 14 greater, the bits of q are the value 2^-14 q. For e
// below 2 the scale itself is subnormal, and a device may take it for 0.
#include "weight_bits.glsl"

// q of bytes 0 and 2 as two f16.
vec2 e2m1_pair(uint q)
{
    return unpackHalf2x16((q & 0x00070007u) << 9 | (q & 0x00080008u) << 12);
}

void load_block(Weight weight, uint b, out vec4 w[8])
{
    const uint e = (scale_word(weight, b / 4) >> (8 * (b % 4))) & 255u;
    const float half_scale = uintBitsToFloat(e > 1u ? (e - 1u) << 23 : 0x00200000u << e); // 2^(e - 128)
    const uvec4 q = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++) {
        const uint codes = quad_of_4(q, j);
        const vec2 even = e2m1_pair(codes), odd = e2m1_pair(codes >> 8);
        w[j] = half_scale * (32768.0 * vec4(even.x, odd.x, even.y, odd.y));
    }
}
