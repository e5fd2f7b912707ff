// pack_q4_k.glsl - {f16 d, dmin; uint8 scales[12], q[128]} of 144 bytes to 8 pieces and 4 scale
// words. In the file bytes 32 g .. 32 g + 31 of q hold block 2g in their low nibbles and
// block 2g + 1 in their high ones; a piece holds one block: byte i has q[i] and q[16 + i].
#define UNIT 256u

void pack_unit(uint unit)
{
    const uint at = unit * 144;
    for (uint s = 0; s < 4; s++)
        put_scale(unit * 4 + s, raw_u32(at + 4 * s));
    for (uint b = 0; b < 8; b++) {
        const uint q = at + 16 + 32 * (b / 2), nibble = 4 * (b % 2);
        uvec4 value;
        for (uint j = 0; j < 4; j++)
            value[j] = ((raw_u32(q + 4 * j) >> nibble) & 0x0f0f0f0fu) |
                       (((raw_u32(q + 16 + 4 * j) >> nibble) & 0x0f0f0f0fu) << 4);
        put_piece(unit * 8 + b, value);
    }
}
