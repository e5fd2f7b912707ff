// vk_test.comp - y[i] = times y[i] + x[i] + ADD, in wrapping u32
//
//   x  [count]  u32
//   y  [count]  u32
//
// Grid: ceil(count / LOCAL_X) workgroups. Exact, and the order of two of them on one y
// changes the result: what the tests of src/vk need, and nothing else uses it.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "push_vk_test.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 32;
layout(constant_id = PM_SPEC_VK_TEST_ADD) const uint ADD = 0;

void main()
{
    const uint i = gl_GlobalInvocationID.x;
    if (i < p.count) {
        U32Out y = U32Out(p.y);
        y.v[i] = p.times * y.v[i] + U32In(p.x).v[i] + ADD;
    }
}
