// peak_coopmat.comp - products of cooperative matrices without memory: the most that the device multiplies
//
//   C += A B     [M, K] f16 x [K, N] f16 + [M, N] f32, at subgroup scope, PM_PEAK_MATRICES sums a subgroup
//
// No two elements of a lane are the same, no two sums have the same A, and B is multiplied by p.b, 1, each turn: of
// products that are the same, or that no turn changes, a CPU driver's compiler makes one, and then only adds.
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

#define A_TYPE coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA>
#define B_TYPE coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB>
#define C_TYPE coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>

void main()
{
    A_TYPE a[PM_PEAK_MATRICES];
    B_TYPE b;
    C_TYPE sums[PM_PEAK_MATRICES];
    [[unroll]] for (uint c = 0; c < PM_PEAK_MATRICES; c++) {
        for (uint i = 0; i < a[c].length(); i++)
            a[c][i] = float16_t(p.a * float(1 + c + PM_PEAK_MATRICES * i));
        sums[c] = C_TYPE(float(c));
    }
    for (uint i = 0; i < b.length(); i++)
        b[i] = float16_t(p.a * float(1 + i));
    for (uint turn = 0; turn < p.turns; turn++) {
        [[unroll]] for (uint c = 0; c < PM_PEAK_MATRICES; c++)
            sums[c] = coopMatMulAdd(a[c], b, sums[c]);
        b = b * float16_t(p.b);
    }
    float kept = 0.0;
    [[unroll]] for (uint c = 0; c < PM_PEAK_MATRICES; c++)
        for (uint i = 0; i < sums[c].length(); i++)
            kept += sums[c][i];
    if (p.keep != 0u)
        U32Out(p.y).v[gl_LocalInvocationID.x] = floatBitsToUint(kept);
}
