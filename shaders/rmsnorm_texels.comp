// rmsnorm_texels.comp - residual add and RMS norm, reading buffer textures
//
//   Buffers as in rmsnorm.comp; x, w and add are textures of set 0, at bindings 0 to 2; without add,
//   x is in its place.
//
// For CPU drivers (op/texels.h). Grid: one workgroup of LANES per row; dim and the strides are multiples of 4.
// Order of additions: each lane its own quads, element by element (stride 4 LANES), then the four, then lanes in pairs.
// Bytes moved: rows * dim * 4 * (3 + 3 with add) + dim * 4: x and add are read twice, so that nothing is read that the
// shader wrote. Of a quad's time four fifths are its stores. Reference and tolerance: as rmsnorm.comp; 2.1e-7.
// What is loaded by address stands before any branch: Mesa 22.3 makes one load of it there, and behind one a loop.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "push_rmsnorm.h"
#include "store_quad.glsl"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LANES = 8;
layout(set = 0, binding = 0) uniform samplerBuffer x;
layout(set = 0, binding = 1) uniform samplerBuffer w;
layout(set = 0, binding = 2) uniform samplerBuffer add;

// Quad k of row i, to which add has been added.
vec4 value_of(uint i, uint k)
{
    const int at = int(i * (p.x_stride / 4u) + k);
    vec4 value = texelFetch(x, at);
    if (!is_null(p.add))
        value += texelFetch(add, at);
    return value;
}

void main()
{
    const uint lane = gl_SubgroupInvocationID, row = gl_WorkGroupID.x;
    const bool has_index = !is_null(p.index);
    const uint indexed = U32In(has_index ? p.index : p.rows).v[has_index ? row : 0u];
    const uint i = has_index ? indexed : row;
    if (row >= U32In(p.rows).v[0])
        return;
    vec4 sums = vec4(0.0);
    for (uint k = lane; k < p.dim / 4u; k += LANES) {
        const vec4 value = value_of(i, k);
        sums += value * value;
    }
    float sum = (sums.x + sums.y) + (sums.z + sums.w);
    [[unroll]] for (uint i = 0; i < 4; i++)
        if (1u << i < LANES)
            sum += subgroupShuffle(sum, lane ^ 1u << i);
    const float scale = 1.0 / sqrt(sum / float(p.dim) + p.epsilon);

    U64Out to_x = U64Out(advance(p.x, i, p.x_stride * 4u));
    U64Out y = U64Out(advance(p.y, row, p.y_stride * 4u));
    for (uint k = lane; k < p.dim / 4u; k += LANES) {
        const vec4 value = value_of(i, k);
        if (!is_null(p.add))
            store_quad(to_x, k, value);
        store_quad(y, k, value * scale * texelFetch(w, int(k)));
    }
    for (uint k = p.dim / 4u + lane; k < p.y_stride / 4u; k += LANES)
        store_quad(y, k, vec4(0.0));
}
