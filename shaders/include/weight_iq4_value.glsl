// weight_iq4_value.glsl - the 16 values of IQ4_NL and IQ4_XS: -127 -104 -83 -65 -49 -35 -22 -10 1 13 25
// 38 53 69 89 113. They are the integers nearest to a quartic of the code, which is 0.06 or more away
// from the halves between: cheaper than a table, which some drivers would keep in memory.
vec4 iq4_value(vec4 q)
{
    return floor((((0.001586 * q + 0.031086) * q - 1.3719) * q + 24.174) * q - 126.07);
}

// The same of the four codes in the bytes of a word, as signed bytes.
uint iq4_bytes(uint codes)
{
    const ivec4 value = ivec4(iq4_value(unsigned_bytes(codes))) & 255;
    return uint(value.x | value.y << 8 | value.z << 16 | value.w << 24);
}
