#version 460
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_shader_16bit_storage : require
layout(local_size_x = 32) in;
shared float sum;
void main()
{
    f16vec2 x = f16vec2(1.0, 2.0);
    sum = float(x.x * x.y);
}
