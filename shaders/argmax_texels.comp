// argmax_texels.comp - tokens[r] = the smallest i with x[r,i] == max over x[r,0 .. n - 1], reading a buffer texture
//
//   Buffers as in argmax.comp; x is a texture of set 0, at binding 0.
//
// For CPU drivers (op/texels.h). Grid: one workgroup of LANES per row, each with a best of its own
// for each of the 4 elements of a texel; x_stride is a multiple of 4.
// Exact, NaNs, bytes moved and reference: as argmax.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "address.glsl"
#include "push_argmax.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LANES = 8;
layout(set = 0, binding = 0) uniform samplerBuffer x;
#define NONE 0xffffffffu

// (value, index) becomes (other, other_index) where that beats it. NONE is beaten by any number.
void take_better(inout float value, inout uint index, float other, uint other_index)
{
    const bool better = other_index != NONE && (index == NONE || other > value || (other == value && other_index < index));
    value = better ? other : value;
    index = better ? other_index : index;
}

void main()
{
    const uint lane = gl_SubgroupInvocationID, row = gl_WorkGroupID.x;
    if (row >= U32In(p.rows).v[0])
        return;
    float value[4] = float[4](0.0, 0.0, 0.0, 0.0);
    uint index[4] = uint[4](NONE, NONE, NONE, NONE);
    for (uint k = lane; k < (p.n + 3u) / 4u; k += LANES) {
        const vec4 quad = texelFetch(x, int(row * (p.x_stride / 4u) + k));
        [[unroll]] for (uint c = 0; c < 4; c++) {
            // Bits, not isnan(): a driver may assume that there are no NaNs.
            const bool is_number = (floatBitsToUint(quad[c]) & 0x7fffffffu) <= 0x7f800000u;
            const bool better = is_number && 4u * k + c < p.n && (index[c] == NONE || quad[c] > value[c]);
            value[c] = better ? quad[c] : value[c];
            index[c] = better ? 4u * k + c : index[c];
        }
    }
    [[unroll]] for (uint c = 1; c < 4; c++)
        take_better(value[0], index[0], value[c], index[c]);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const uint apart = 1u << i;
        if (apart < LANES)
            take_better(value[0], index[0], subgroupShuffle(value[0], lane ^ apart), subgroupShuffle(index[0], lane ^ apart));
    }
    if (lane == 0)
        U32Out(p.tokens).v[row] = index[0];
}
