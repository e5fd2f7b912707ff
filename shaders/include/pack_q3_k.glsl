// pack_q3_k.glsl - {uint8 high[32], q[64], scales[12]; f16 d} of 110 bytes to 28 scale words. In the file q is
// as in Q2_K and bit b of high[i] is that of weight i of block b; scale i has its low 4 bits in
// byte i % 8, low nibble for i < 8, and its high 2 bits in byte 8 + i % 4 from bit 2 (i / 4) up.
#define UNIT 256u
#include "pack_bits.glsl"

void pack_unit(uint unit)
{
    const uint at = unit * 110, base = unit * 28;
    for (uint b = 0; b < 8; b++) {
        const uvec2 q = plane_of_2(at + 32 + 32 * (b / 4), 2 * (b % 4));
        put_scale(base + 3 * b, q.x);
        put_scale(base + 3 * b + 1, q.y);
        put_scale(base + 3 * b + 2, plane_of_1(at, b));
    }
    const uvec2 low = uvec2(raw_u32(at + 96), raw_u32(at + 100));
    const uint high = raw_u32(at + 104);
    uvec3 s = uvec3(0u);
    for (uint i = 0; i < 16; i++) {
        s[i / 8] |= ((low[i % 8 / 4] >> (8 * (i % 4) + 4 * (i / 8))) & 15u) << (4 * (i % 8));
        s.z |= ((high >> (8 * (i % 4) + 2 * (i / 4))) & 3u) << (2 * i);
    }
    for (uint i = 0; i < 3; i++)
        put_scale(base + 24 + i, s[i]);
    put_scale(base + 27, raw_u16(at + 108));
}
