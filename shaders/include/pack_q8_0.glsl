// pack_q8_0.glsl - two blocks {f16 d; int8 q[32]} of 34 bytes to 4 pieces and one scale word.
#define UNIT 64u

void pack_unit(uint unit)
{
    uint d = 0;
    for (uint b = 0; b < 2 && unit * UNIT + b * 32 < p.k; b++) {
        const uint block = unit * 2 + b, at = block * 34;
        d |= raw_u16(at) << (16 * b);
        for (uint j = 0; j < 2; j++) {
            const uint q = at + 2 + 16 * j;
            put_piece(block * 2 + j, uvec4(raw_u32(q), raw_u32(q + 4), raw_u32(q + 8), raw_u32(q + 12)));
        }
    }
    put_scale(unit, d);
}
