// pack_iq4_xs.glsl - {f16 d; uint16 scales_high; uint8 scales_low[4], q[128]} of 136 bytes to 8 pieces and 2
// scale words; a piece is a block, as in the file.
#define UNIT 256u
#include "pack_bits.glsl"

void pack_unit(uint unit)
{
    const uint at = unit * 136;
    for (uint s = 0; s < 2; s++)
        put_scale(unit * 2 + s, raw_u32(at + 4 * s));
    for (uint b = 0; b < 8; b++)
        put_piece(unit * 8 + b, piece_at(at + 8 + 16 * b));
}
