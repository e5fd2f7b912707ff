// The packed signed dot product without GL_EXT_integer_dot_product: what Debian 12's glslang takes.
#version 460
#extension GL_EXT_spirv_intrinsics : require
layout(local_size_x = 32) in;
layout(std430, push_constant) uniform Push { int a, b; } p;
shared int sum;
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int dot_packed(int a, int b, spirv_literal int format);
void main()
{
    sum = dot_packed(p.a, p.b, 0);
}
