#version 460
#extension GL_EXT_integer_dot_product : require
layout(local_size_x = 32) in;
layout(std430, push_constant) uniform Push { int a, b; } p;
shared int sum;
void main()
{
    sum = dotPacked4x8EXT(p.a, p.b);
}
