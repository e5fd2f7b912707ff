// weight_q5_0.glsl - Q5_0: w = d (q - 16), q of 5 bits. A block of 32 is 1 piece of low bits as in
// Q4_0. Scale words of two blocks: 0, 1 = their high bits (quad_of_1()), 2 = both f16 d.

#define I8_BYTES unsigned_bytes
#define I8_BIAS 16
#define I8_EXACT
void load_block_i8(Weight weight, uint b, out uint q[8], out vec2 scale, out vec2 offset)
{
    const uint base = b / 2 * 3, high = scale_word(weight, base + b % 2);
    scale = vec2(half_at(scale_word(weight, base + 2), (b & 1u) == 1u));
    offset = vec2(0.0);
    const uvec4 low = piece(weight, b);
    [[unroll]] for (uint j = 0; j < 8; j++)
        q[j] = quad_of_4(low, j) | quad_of_1(high, j) << 4;
}
