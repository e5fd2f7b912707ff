// pack_q4_0.glsl - two blocks {f16 d; uint8 q[16]} of 18 bytes to 2 pieces and one scale word.
#define UNIT 64u

void pack_unit(uint unit)
{
    uint d = 0;
    for (uint b = 0; b < 2 && unit * UNIT + b * 32 < p.k; b++) {
        const uint block = unit * 2 + b, at = block * 18;
        d |= raw_u16(at) << (16 * b);
        put_piece(block, uvec4(raw_u32(at + 2), raw_u32(at + 6), raw_u32(at + 10), raw_u32(at + 14)));
    }
    put_scale(unit, d);
}
