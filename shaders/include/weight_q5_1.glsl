// weight_q5_1.glsl - Q5_1: w = d q + m, q of 5 bits. A block of 32 is 1 piece of low bits as in
// Q4_0 and 2 scale words: d | m << 16, both f16, and the high bits (quad_of_1()).

#define I8_BYTES unsigned_bytes
#define I8_OFFSET true
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const vec2 d = unpack_halves(scale_word(weight, b * 2));
    const uint high = scale_word(weight, b * 2 + 1);
    scale = vec2(d.x);
    offset = vec2(d.y);
    const uvec4 low = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        q[j] = quad_of_4(low, j) | quad_of_1(high, j) << 4;
}
