// bandwidth.comp - reads a buffer once with 16-byte loads; keeps one word per workgroup
//
//   x  [groups, LOCAL_X * per_lane]  uvec4
//   y  [groups]                      u32: some function of what was read
//
// Grid: one workgroup per chunk. Bytes moved: all of x. The measure for "percent of the
// device's bandwidth" everywhere in the project.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "push_bandwidth.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 64;

void main()
{
    const uint lane = gl_LocalInvocationID.x;
    U32x4In x = U32x4In(advance(p.x, gl_WorkGroupID.x, LOCAL_X * p.per_lane * 16u));
    uvec4 seen = uvec4(0u);
    for (uint i = 0; i < p.per_lane; i++)
        seen ^= x.v[i * LOCAL_X + lane];
    const uint word = seen.x ^ seen.y ^ seen.z ^ seen.w;
    if (lane == 0 || word == 0x9e3779b9u) // the second part keeps every lane's loads alive
        U32Out(p.y).v[gl_WorkGroupID.x] = word;
}
