// swiglu_texels.comp - y[r,i] = silu(x[r,i]) * x[r,hidden + i], reading buffer textures
//
//   Buffers as in swiglu.comp; x is a texture of set 0, at binding 0.
//
// For CPU drivers (op/texels.h). Grid: (ceil(y_stride / (4 LANES PER_LANE)), rows_max), LANES, each
// of 4 elements at a time; hidden and the strides are multiples of 4.
// Bytes moved, reference and tolerance: as swiglu.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "push_swiglu.h"
#include "store_quad.glsl"

#define PER_LANE 8u                // quads
layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LANES = 8;
layout(set = 0, binding = 0) uniform samplerBuffer x;

void main()
{
    const uint row = gl_WorkGroupID.y;
    if (row >= U32In(p.rows).v[0])
        return;
    const uint quads = p.hidden / 4u, from = row * (p.x_stride / 4u);
    U64Out y = U64Out(advance(p.y, row, p.y_stride * 4u));
    for (uint j = 0; j < PER_LANE; j++) {
        const uint k = (gl_WorkGroupID.x * PER_LANE + j) * LANES + gl_LocalInvocationID.x;
        if (k >= p.y_stride / 4u)
            return;
        const uint at = from + min(k, quads - 1u);
        const vec4 gate = texelFetch(x, int(at)), up = texelFetch(x, int(at + quads));
        store_quad(y, k, k < quads ? gate / (1.0 + exp(-gate)) * up : vec4(0.0));
    }
}
