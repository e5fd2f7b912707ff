// exact.glsl - what floats may not do alike everywhere: Vulkan lets a division err by 2.5 ulp.
#ifndef EXACT_GLSL
#define EXACT_GLSL

// a / b rounded to nearest, for normal positive a, b whose quotient is normal: long division
// of the significands, 8 bits a step.
float exact_quotient(float a, float b)
{
    const uint bits_a = floatBitsToUint(a), bits_b = floatBitsToUint(b);
    uint m = (bits_a & 0x7fffffu) | 0x800000u;
    const uint n = (bits_b & 0x7fffffu) | 0x800000u;
    uint exponent = (bits_a >> 23) - (bits_b >> 23) + 127u;
    if (m < n) {
        m <<= 1;
        exponent--;
    }
    m <<= 7; // of 32 bits; the quotient of 24 bits follows in 3 digits
    uint quotient = m / n, rest = m % n;
    for (uint digit = 0; digit < 2; digit++) {
        rest <<= 8;
        quotient = quotient << 8 | rest / n;
        rest %= n;
    }
    quotient += uint(2u * rest > n || (2u * rest == n && (quotient & 1u) == 1u));
    return uintBitsToFloat((exponent << 23) + (quotient - 0x800000u)); // a carry goes to the exponent
}
#endif
