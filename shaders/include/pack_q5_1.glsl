// pack_q5_1.glsl - a block {f16 d, m; uint32 high; uint8 q[16]} of 24 bytes to a piece and 2 scale words.
#define UNIT 32u
#include "pack_bits.glsl"

void pack_unit(uint unit)
{
    put_scale(unit * 2, raw_u32(unit * 24));
    put_scale(unit * 2 + 1, transposed_bits(unit * 24 + 4));
    put_piece(unit, piece_at(unit * 24 + 8));
}
