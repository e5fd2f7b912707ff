// address.glsl - 64-bit addresses without 64-bit integers, and typed views of them.
#ifndef ADDRESS_GLSL
#define ADDRESS_GLSL
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer F32In { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer F32Out { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer F32x4In { vec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer F32x4Out { vec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer U32In { uint v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer U32Out { uint v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer U32x4In { uvec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer U32x4Out { uvec4 v[]; };

// base + count * stride bytes, any product below 2^64.
uvec2 advance(uvec2 base, uint count, uint stride)
{
    uint high, low, carry;
    umulExtended(count, stride, high, low);
    const uint sum = uaddCarry(base.x, low, carry);
    return uvec2(sum, base.y + high + carry);
}

bool is_null(uvec2 address)
{
    return (address.x | address.y) == 0u;
}
#endif
