// pack_q6_k.glsl - {uint8 ql[128], qh[64]; int8 scales[16]; f16 d} of 210 bytes to 12 pieces and
// 5 scale words. In the file, for each half of 128: ql byte i holds the low bits of
// q[i] and q[64 + i], ql byte 32 + i those of q[32 + i] and q[96 + i]; qh byte i the high
// bits of q[i], q[32 + i], q[64 + i], q[96 + i]. The layout: weight_q6_k.glsl.
#define UNIT 256u

// Low nibbles of q[32 b + i .. + 3] as four bytes.
uint low_bytes(uint at, uint b, uint i)
{
    const uint part = b % 4;
    return (raw_u32(at + 64 * (b / 4) + 32 * (part % 2) + i) >> (4 * (part / 2))) & 0x0f0f0f0fu;
}

// High two bits of q[32 b + i .. + 3] as four bytes.
uint high_bytes(uint at, uint b, uint i)
{
    return (raw_u32(at + 128 + 32 * (b / 4) + i) >> (2 * (b % 4))) & 0x03030303u;
}

// Eight bytes: byte i has the high bits of q[i], q[8 + i], q[16 + i], q[24 + i] of block b.
uvec2 high_words(uint at, uint b)
{
    uvec2 value = uvec2(0u);
    for (uint g = 0; g < 4; g++)
        value |= uvec2(high_bytes(at, b, 8 * g), high_bytes(at, b, 8 * g + 4)) << (2 * g);
    return value;
}

void pack_unit(uint unit)
{
    const uint at = unit * 210;
    for (uint s = 0; s < 4; s++)
        put_scale(unit * 5 + s, raw_u32(at + 192 + 4 * s));
    put_scale(unit * 5 + 4, raw_u16(at + 208));
    for (uint b = 0; b < 8; b++) {
        uvec4 value;
        for (uint j = 0; j < 4; j++)
            value[j] = low_bytes(at, b, 4 * j) | (low_bytes(at, b, 16 + 4 * j) << 4);
        put_piece(unit * 12 + b, value);
    }
    for (uint pair = 0; pair < 4; pair++)
        put_piece(unit * 12 + 8 + pair, uvec4(high_words(at, 2 * pair), high_words(at, 2 * pair + 1)));
}
