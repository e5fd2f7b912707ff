// pack_q2_k.glsl - {uint8 scales[16], q[64]; f16 d, dmin} of 84 bytes to 21 scale words. In the file bytes
// 32 h .. 32 h + 31 of q hold the blocks 4 h .. 4 h + 3, 2 bits each from bit 0 up.
#define UNIT 256u
#include "pack_bits.glsl"

void pack_unit(uint unit)
{
    const uint at = unit * 84, base = unit * 21;
    for (uint b = 0; b < 8; b++) {
        const uvec2 q = plane_of_2(at + 16 + 32 * (b / 4), 2 * (b % 4));
        put_scale(base + 2 * b, q.x);
        put_scale(base + 2 * b + 1, q.y);
    }
    for (uint s = 0; s < 4; s++)
        put_scale(base + 16 + s, raw_u32(at + 4 * s));
    put_scale(base + 20, raw_u32(at + 80));
}
