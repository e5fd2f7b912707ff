// pack_mxfp4.glsl - four blocks {uint8 e, q[16]} of 17 bytes to 4 pieces and one scale word.
#define UNIT 128u
#include "pack_bits.glsl"

void pack_unit(uint unit)
{
    uint e = 0;
    for (uint b = 0; b < 4 && unit * UNIT + b * 32 < p.k; b++) {
        const uint block = unit * 4 + b, at = block * 17;
        e |= (raw_u16(at) & 255u) << (8 * b);
        put_piece(block, piece_at(at + 1));
    }
    put_scale(unit, e);
}
