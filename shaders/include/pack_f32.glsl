// pack_f32.glsl - 32 values to 8 pieces; zeros past k.
#define UNIT 32u

uint value_bits(uint i)
{
    return i < p.k ? raw_u32(i * 4) : 0u;
}

void pack_unit(uint unit)
{
    for (uint j = 0; j < 8; j++) {
        const uint i = unit * UNIT + 4 * j;
        put_piece(unit * 8 + j, uvec4(value_bits(i), value_bits(i + 1), value_bits(i + 2), value_bits(i + 3)));
    }
}
