// pack_f16.glsl - F16 and BF16: 32 values to 4 pieces; zeros past k.
#define UNIT 32u

uint pair_bits(uint i)
{
    return (i < p.k ? raw_u16(i * 2) : 0u) | (i + 1 < p.k ? raw_u16(i * 2 + 2) << 16 : 0u);
}

void pack_unit(uint unit)
{
    for (uint j = 0; j < 4; j++) {
        const uint i = unit * UNIT + 8 * j;
        put_piece(unit * 4 + j, uvec4(pair_bits(i), pair_bits(i + 2), pair_bits(i + 4), pair_bits(i + 6)));
    }
}
