// dot.glsl - the packed signed 4x8-bit dot product: SPV_KHR_integer_dot_product, core since
// SPIR-V 1.6, declared here since older compilers do not know GL_EXT_integer_dot_product.
#ifndef DOT_GLSL
#define DOT_GLSL
#extension GL_EXT_spirv_intrinsics : require

spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int dot_packed_(int a, int b, spirv_literal int format);

// The sum of 4 products of signed bytes.
int dot_packed(uint a, uint b)
{
    return dot_packed_(int(a), int(b), 0);
}
#endif
