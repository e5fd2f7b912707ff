// pack_q4_1.glsl - a block {f16 d, m; uint8 q[16]} of 20 bytes to a piece and a scale word.
#define UNIT 32u
#include "pack_bits.glsl"

void pack_unit(uint unit)
{
    put_scale(unit, raw_u32(unit * 20));
    put_piece(unit, piece_at(unit * 20 + 4));
}
