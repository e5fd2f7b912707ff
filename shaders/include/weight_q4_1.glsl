// weight_q4_1.glsl - Q4_1: w = d q + m, q of 4 bits. A block of 32 is 1 piece as in Q4_0 and
// 1 scale word, d | m << 16, both f16.

#define I8_BYTES unsigned_bytes
#define I8_OFFSET true
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const vec2 d = unpack_halves(scale_word(weight, b));
    scale = vec2(d.x);
    offset = vec2(d.y);
    const uvec4 codes = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        q[j] = quad_of_4(codes, j);
}
