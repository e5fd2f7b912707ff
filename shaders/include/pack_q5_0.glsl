// pack_q5_0.glsl - two blocks {f16 d; uint32 high; uint8 q[16]} of 22 bytes to 2 pieces and 3 scale words.
#define UNIT 64u
#include "pack_bits.glsl"

void pack_unit(uint unit)
{
    uint d = 0;
    for (uint b = 0; b < 2 && unit * UNIT + b * 32 < p.k; b++) {
        const uint block = unit * 2 + b, at = block * 22;
        d |= raw_u16(at) << (16 * b);
        put_scale(unit * 3 + b, transposed_bits(at + 2));
        put_piece(block, piece_at(at + 6));
    }
    put_scale(unit * 3 + 2, d);
}
