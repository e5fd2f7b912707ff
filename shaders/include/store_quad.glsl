// store_quad.glsl - four floats stored as two words of 64 bits
//
// For CPU drivers: Mesa's llvmpipe (22.3) makes a loop over lanes of each word of a store, whatever its size, and
// of each of the four of a texel, too (imageStore() took 1.4 times as long as these in rmsnorm_texels.comp). A descriptor
// of a storage buffer would do better, since an index has half the bits of an address: with y in one rmsnorm of 16 rows
// takes 0.8 times as long.
#ifndef STORE_QUAD_GLSL
#define STORE_QUAD_GLSL
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#include "address.glsl"

layout(buffer_reference, std430, buffer_reference_align = 8) buffer U64Out { uint64_t v[]; };

// Floats 4 k .. 4 k + 3.
void store_quad(U64Out to, uint k, vec4 value)
{
    to.v[2u * k] = packUint2x32(floatBitsToUint(value.xy));
    to.v[2u * k + 1u] = packUint2x32(floatBitsToUint(value.zw));
}
#endif
