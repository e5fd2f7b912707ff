// matmul_coopmat2.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], decoded into the matrices
//
//   Buffers as in matmul.comp.
//
// f16 x f16 products, f32 sums (VK_NV_cooperative_matrix2): one matrix for a whole tile, with
// dimensions of our own, which belongs to a workgroup where the device lists that scope and to
// a subgroup elsewhere. There is no staging: coopMatPerElementNV() calls read_x() and read_w()
// for each element of the operands, and the packed weights are decoded as they are read.
//
// Grid: (ceil(n / N), ceil(rows_max / M)), one scope's lanes each. Steps of 32 along k.
//
// Range: as matmul_coopmat.comp, with the powers of two in matrices whose rows (of x) or
// columns (of W) are constant, and the largest values from coopMatReduceNV().
// Order of additions, tolerance: as matmul_coopmat.comp. lavapipe keeps f32 where the operands
// are converted, so there 4.1e-7 was the worst seen.
// Bytes moved: the weights once for every M rows, x once for every N outputs, y once.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "weight.glsl"
#include "push_matmul.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_COOPMAT_M) const uint M = 16;
layout(constant_id = PM_SPEC_COOPMAT_N) const uint N = 16;
layout(constant_id = PM_SPEC_COOPMAT2_SCOPE) const int SCOPE = gl_ScopeSubgroup;
const uint K = 32;

#define SUMS coopmat<float, SCOPE, M, N, gl_MatrixUseAccumulator>
#define X_VALUES coopmat<float, SCOPE, M, K, gl_MatrixUseAccumulator>
#define W_VALUES coopmat<float, SCOPE, K, N, gl_MatrixUseAccumulator>
#define X_HALVES coopmat<float16_t, SCOPE, M, K, gl_MatrixUseA>
#define W_HALVES coopmat<float16_t, SCOPE, K, N, gl_MatrixUseB>

const float TOP = 65504.0, START = 1.329227995784916e36; // 2^120

// Rows past the count are zeros.
float read_x(const in uint row, const in uint k, const in float unused, const in uint step)
{
    const uint r = gl_WorkGroupID.y * M + row;
    return r < U32In(p.rows).v[0] ? F32In(advance(p.x, r, p.x_stride * 4u)).v[step * K + k] : 0.0;
}

float read_w(const in uint k, const in uint column, const in float unused, const in uint step)
{
    const uint i = gl_WorkGroupID.x * N + column;
    if (i >= p.n)
        return 0.0;
    vec4 w[8];
    load_block(weight_row(p.pieces, p.scales, i, p.group_pieces, p.group_scales), step, w);
    return w[k / 4][k % 4];
}

float larger(const in float a, const in float b)
{
    return max(abs(a), abs(b));
}

// The power of two that takes `most` into f16's range: `before` unless that is too much.
float lowered(const in uint row, const in uint column, const in float most, const in float before)
{
    const uint exponent = floatBitsToUint(most) >> 23 & 255u;
    return most * before > TOP ? uintBitsToFloat((127 + 8 + 127 - exponent) << 23) : before;
}

// now / before, both powers of two, to the bit.
float fade(const in uint row, const in uint column, const in float now, const in float before)
{
    const uint steps = (floatBitsToUint(before) - floatBitsToUint(now)) >> 23;
    return steps < 127 ? uintBitsToFloat((127 - steps) << 23) : 0.0;
}

float inverse(const in uint row, const in uint column, const in float power)
{
    return uintBitsToFloat((254u << 23) - floatBitsToUint(power));
}

float write_y(const in uint row, const in uint column, const in float sum)
{
    const uint r = gl_WorkGroupID.y * M + row, i = gl_WorkGroupID.x * N + column;
    if (r < U32In(p.rows).v[0] && i < p.n)
        F32Out(advance(p.y, r, p.y_stride * 4u)).v[i] = sum + (is_null(p.bias) ? 0.0 : F32In(p.bias).v[i]);
    return sum;
}

void main()
{
    if (gl_WorkGroupID.y * M >= U32In(p.rows).v[0])
        return;
    SUMS sums = SUMS(0.0), x_power = SUMS(START), w_power = SUMS(START);
    X_VALUES x_scale = X_VALUES(START);
    W_VALUES w_scale = W_VALUES(START);
    for (uint step = 0; step < p.blocks; step++) {
        X_VALUES x, x_most;
        W_VALUES w, w_most;
        SUMS most, power;
        coopMatPerElementNV(x, X_VALUES(0.0), read_x, step);
        coopMatPerElementNV(w, W_VALUES(0.0), read_w, step);

        // The same powers twice: in the shape of the operand, and in that of the sums.
        coopMatReduceNV(x_most, x, gl_CooperativeMatrixReduceRowNV, larger);
        coopMatPerElementNV(x_scale, x_most, lowered, x_scale);
        coopMatReduceNV(w_most, w, gl_CooperativeMatrixReduceColumnNV, larger);
        coopMatPerElementNV(w_scale, w_most, lowered, w_scale);
        coopMatReduceNV(most, x, gl_CooperativeMatrixReduceRowNV, larger);
        coopMatPerElementNV(power, most, lowered, x_power);
        coopMatPerElementNV(x_power, power, fade, x_power);
        sums = sums * x_power;
        x_power = power;
        coopMatReduceNV(most, w, gl_CooperativeMatrixReduceColumnNV, larger);
        coopMatPerElementNV(power, most, lowered, w_power);
        coopMatPerElementNV(w_power, power, fade, w_power);
        sums = sums * w_power;
        w_power = power;

        sums = coopMatMulAdd(X_HALVES(x * x_scale), W_HALVES(w * w_scale), sums);
    }
    coopMatPerElementNV(x_power, x_power, inverse);
    coopMatPerElementNV(w_power, w_power, inverse);
    sums = sums * x_power * w_power;
    coopMatPerElementNV(sums, sums, write_y);
}
