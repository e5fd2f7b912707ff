// pack_q5_k.glsl - {f16 d, dmin; uint8 scales[12], high[32], q[128]} of 176 bytes to 8 pieces and 12 scale
// words. In the file q is as in Q4_K and bit b of high[i] is that of weight i of block b.
#define UNIT 256u
#include "pack_bits.glsl"

void pack_unit(uint unit)
{
    const uint at = unit * 176;
    for (uint s = 0; s < 4; s++)
        put_scale(unit * 12 + s, raw_u32(at + 4 * s));
    for (uint b = 0; b < 8; b++) {
        put_scale(unit * 12 + 4 + b, plane_of_1(at + 16, b));
        put_piece(unit * 8 + b, plane_of_4(at + 48 + 32 * (b / 2), 4 * (b % 2)));
    }
}
