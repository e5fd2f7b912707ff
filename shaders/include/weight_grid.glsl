// weight_grid.glsl - what the codebook types share. A grid point is one word of the table, as in
// src/gguf/codebook.h. All of a block but d is in scale words; d f16 for each 256, except in IQ1_M.
//
// Scale words of a 512: GRID_WORDS for each 256, in the order of the file, then both d. No pieces.

// The first scale word of block b's 256.
uint grid_base(uint b)
{
    return b / 16 * (2 * GRID_WORDS + 1) + (b / 8 & 1u) * GRID_WORDS;
}

float grid_d(Weight weight, uint b)
{
    return half_at(scale_word(weight, b / 16 * (2 * GRID_WORDS + 1) + 2 * GRID_WORDS), (b & 8u) == 8u);
}

uint grid_point(Weight weight, uint i)
{
    return table_word(weight, i);
}

// Byte i, half i or nibble i of the words from `first`.
uint byte_at(Weight weight, uint first, uint i)
{
    return (scale_word(weight, first + i / 4) >> (8 * (i % 4))) & 255u;
}

uint half_word_at(Weight weight, uint first, uint i)
{
    return (scale_word(weight, first + i / 2) >> (16 * (i % 2))) & 0xffffu;
}

// Seven stored signs and an eighth that makes their number even.
uint eight_signs(uint seven)
{
    return seven | (uint(bitCount(seven)) & 1u) << 7;
}

// Bytes, none of them 0, negated where a bit of the low four is set.
uint with_signs(uint magnitudes, uint signs)
{
    const uint negative = ((signs & 15u) * 0x00204081u) & 0x01010101u;
    return (magnitudes ^ (negative * 255u)) + negative;
}

// Codes 0, 1, 2 in bytes to the magnitudes 8, 25, 43.
uint iq2_magnitudes(uint codes)
{
    return codes * 17u + 0x08080808u + (codes >> 1 & 0x01010101u);
}

// The 8 bytes of a point of an IQ2 grid.
void iq2_bytes(uint point, uint signs, out uint low, out uint high)
{
    low = with_signs(iq2_magnitudes(point & 0x0f0f0f0fu), signs);
    high = with_signs(iq2_magnitudes(point >> 4 & 0x0f0f0f0fu), signs >> 4);
}

// The 8 bytes of a point of the IQ1 grid, 8 (code - 1 + delta) + IQ1_BIAS: delta is an eighth.
#define IQ1_BIAS 9
void iq1_bytes(uint point, bool negative_delta, out uint low, out uint high)
{
    const uint shift = negative_delta ? 0u : 0x02020202u;
    low = (point & 0x0f0f0f0fu) * 8u + shift;
    high = (point >> 4 & 0x0f0f0f0fu) * 8u + shift;
}
