// swiglu.comp - y[r,i] = silu(x[r,i]) * x[r,hidden + i], silu(g) = g / (1 + exp(-g))
//
//   x  [rows, x_stride]  f32   gate in 0 .. hidden - 1, up in hidden .. 2 hidden - 1
//   y  [rows, y_stride]  f32   elements hidden .. y_stride - 1 get zeros
//   rows u32
//
// Grid: (ceil(y_stride / (LOCAL_X * PER_LANE)), rows_max). One element at a time, no sums.
// Bytes moved: rows * hidden * 12. Bandwidth-bound.
// Reference and tolerance: tests/op/test_rows.c, in double; 3e-5 relative: 1.7e-6 was the worst seen, but
// exp() may err by 3 + 2 |g| ulp (Vulkan, precision of core functions).
// Source: N. Shazeer, "GLU Variants Improve Transformer", 2020, arXiv:2002.05202.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "push_swiglu.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 64;
#define PER_LANE 4u

void main()
{
    const uint row = gl_WorkGroupID.y;
    if (row >= U32In(p.rows).v[0])
        return;
    F32In x = F32In(advance(p.x, row, p.x_stride * 4u));
    F32Out y = F32Out(advance(p.y, row, p.y_stride * 4u));
    for (uint j = 0; j < PER_LANE; j++) {
        const uint i = (gl_WorkGroupID.x * PER_LANE + j) * LOCAL_X + gl_LocalInvocationID.x;
        if (i < p.hidden) {
            const float gate = x.v[i];
            y.v[i] = gate / (1.0 + exp(-gate)) * x.v[p.hidden + i];
        } else if (i < p.y_stride) {
            y.v[i] = 0.0;
        }
    }
}
