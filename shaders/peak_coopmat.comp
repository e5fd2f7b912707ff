// peak_coopmat.comp - products of cooperative matrices without memory: the most that the device multiplies
//
//   C += A B     [M, K] f16 x [K, N] f16 + [M, N] f32, at subgroup scope, PM_PEAK_MATRICES sums a subgroup
//
// Grid: as many workgroups as fill the device, each of SUBGROUPS full subgroups. Bytes moved: none.
// Operations of a subgroup: turns * PM_PEAK_MATRICES * 2 M N K.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_control_flow_attributes : require
#include "address.glsl"
#include "push_peak.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_OP) const uint M = 16;
layout(constant_id = PM_SPEC_OP + 1) const uint N = 16;
layout(constant_id = PM_SPEC_OP + 2) const uint K = 16;

void main()
{
    const coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a = coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA>(float16_t(p.a));
    const coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b = coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB>(float16_t(p.b));
    coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sums[PM_PEAK_MATRICES];
    [[unroll]] for (uint c = 0; c < PM_PEAK_MATRICES; c++)
        sums[c] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(float(c));
    for (uint turn = 0; turn < p.turns; turn++) {
        [[unroll]] for (uint c = 0; c < PM_PEAK_MATRICES; c++)
            sums[c] = coopMatMulAdd(a, b, sums[c]);
    }
    float kept = 0.0;
    [[unroll]] for (uint c = 0; c < PM_PEAK_MATRICES; c++)
        for (uint i = 0; i < sums[c].length(); i++)
            kept += sums[c][i];
    if (p.keep != 0u)
        U32Out(p.y).v[gl_LocalInvocationID.x] = floatBitsToUint(kept);
}
