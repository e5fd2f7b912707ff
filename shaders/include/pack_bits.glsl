// pack_bits.glsl - the codes of a block of 32 as weight_bits.glsl reads them, from bytes of which
// four neighbours hold the codes of four neighbouring weights.

// 1-bit codes: bit `bit` of the 32 bytes at `at`.
uint plane_of_1(uint at, uint bit)
{
    uint word = 0;
    for (uint j = 0; j < 8; j++)
        word |= ((raw_u32(at + 4 * j) >> bit) & 0x01010101u) << j;
    return word;
}

// 2-bit codes, from bit `bit` of the 32 bytes at `at`.
uvec2 plane_of_2(uint at, uint bit)
{
    uvec2 words = uvec2(0u);
    for (uint j = 0; j < 8; j++)
        words[j / 4] |= ((raw_u32(at + 4 * j) >> bit) & 0x03030303u) << (j % 4 * 2);
    return words;
}

// 4-bit codes, from bit `bit` of the 32 bytes at `at`: byte i has weight i and weight 16 + i.
uvec4 plane_of_4(uint at, uint bit)
{
    uvec4 words;
    for (uint j = 0; j < 4; j++)
        words[j] = ((raw_u32(at + 4 * j) >> bit) & 0x0f0f0f0fu) | (((raw_u32(at + 16 + 4 * j) >> bit) & 0x0f0f0f0fu) << 4);
    return words;
}

// 16 bytes, which hold 4-bit codes in that order already.
uvec4 piece_at(uint at)
{
    return uvec4(raw_u32(at), raw_u32(at + 4), raw_u32(at + 8), raw_u32(at + 12));
}

// Bit i of the word at `at` is the code of weight i.
uint transposed_bits(uint at)
{
    const uint bits = raw_u32(at);
    uint word = 0;
    for (uint j = 0; j < 8; j++) // four bits to four bytes; no two products share a bit
        word |= ((((bits >> (4 * j)) & 15u) * 0x00204081u) & 0x01010101u) << j;
    return word;
}
