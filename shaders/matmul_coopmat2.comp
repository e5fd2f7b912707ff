// matmul_coopmat2.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], decoded into the matrices
//
//   Buffers as in matmul.comp.
//
// f16 x f16 products, f32 sums (VK_NV_cooperative_matrix2): one matrix for a whole tile of x, of W and of sums, with
// dimensions of our own. No operand is staged: a callback gives each element of one as the matrix is loaded, decoded
// from the packed weights, scaled and rounded to f16. Two forms, which differ in who owns the matrices and in what
// calls back:
//
//   WORKGROUP    a workgroup; coopMatLoadTensorNV() decodes on load
//   else         a subgroup, for devices without loads of tensors; coopMatPerElementNV() of an empty matrix
//
// Grid: (ceil(n / N), ceil(rows_max / M)), the owner's lanes each. Steps of 32 along k.
//
// Range: as in matmul_coopmat.comp each row of x and of W is staged times a power of two of its own, but one that is
// known before the first product: the workgroup reads its rows of x and W once to find the largest of each, which the
// power takes to [2^14, 2^15). So no finite value becomes infinite, rows do not touch each other, values down to
// 2^-28 of the row's largest keep all bits of f16, and sums are never rescaled. Infinities and NaNs stay in their row
// or column. The sums are divided by both powers at once, so that none is too large or too small on the way.
//
// Order of additions, tolerance: as matmul_coopmat.comp. The subgroup's form: 3.6e-4 was the worst seen (lavapipe of
// Mesa 26.1, 471 cases). The workgroup's form has run nowhere yet: lavapipe has neither matrices of a workgroup nor
// loads of tensors. Only its two loads are its own, and no device takes it unless told to.
// Bytes moved: the weights twice for every M rows, the second time from cache, x twice for every N outputs, likewise,
// y once.
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
const uint K = 32;

#ifdef WORKGROUP
#define OWNER gl_ScopeWorkgroup
#else
#define OWNER gl_ScopeSubgroup
#endif
#define SUMS coopmat<float, OWNER, M, N, gl_MatrixUseAccumulator>
#define X_HALVES coopmat<float16_t, OWNER, M, K, gl_MatrixUseA>
#define W_HALVES coopmat<float16_t, OWNER, K, N, gl_MatrixUseB>

const uint EXPONENT_MOST = 127 + 120, EXPONENT_LARGEST = 127 + 14;

// Of each row of x, of each row of W: bits of the largest |value|, then the exponent of its power of two, as a float has it.
shared uint x_shared[M];
shared uint w_shared[N];

// 2^(exponent - 127)
float power(uint exponent)
{
    return uintBitsToFloat(exponent << 23);
}

float largest(vec4 v)
{
    const vec4 a = abs(v);
    return max(max(a.x, a.y), max(a.z, a.w));
}

Weight weight_of(uint i)
{
    return weight_row(p.pieces, p.scales, i, p.group_pieces, p.group_scales);
}

uint exponent_for(uint most)
{
    return min(EXPONENT_LARGEST + 127 - (most >> 23), EXPONENT_MOST);
}

// Fills x_shared and w_shared. By all lanes.
void find_powers(uint rows)
{
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    const uint first_row = gl_WorkGroupID.y * M, first_output = gl_WorkGroupID.x * N;
    for (uint r = lane; r < M; r += lanes)
        x_shared[r] = 0;
    for (uint i = lane; i < N; i += lanes)
        w_shared[i] = 0;
    barrier();
    for (uint unit = lane; unit < M * p.blocks; unit += lanes) {
        const uint r = unit / p.blocks;
        if (first_row + r >= rows)
            break;
        F32x4In x = F32x4In(advance(p.x, first_row + r, p.x_stride * 4u));
        float most = 0.0;
        [[unroll]] for (uint j = 0; j < 8; j++)
            most = max(most, largest(x.v[unit % p.blocks * 8 + j]));
        atomicMax(x_shared[r], floatBitsToUint(most));
    }
    for (uint unit = lane; unit < N * p.blocks; unit += lanes) {
        const uint i = unit % N;
        if (first_output + i >= p.n)
            continue;
        vec4 w[8];
        load_block(weight_of(first_output + i), unit / N, w);
        float most = 0.0;
        [[unroll]] for (uint j = 0; j < 8; j++)
            most = max(most, largest(w[j]));
        atomicMax(w_shared[i], floatBitsToUint(most));
    }
    barrier();
    for (uint r = lane; r < M; r += lanes)
        x_shared[r] = exponent_for(x_shared[r]);
    for (uint i = lane; i < N; i += lanes)
        w_shared[i] = exponent_for(w_shared[i]);
    barrier();
}

// Weight k of output i of the tile.
float16_t decode_weight(uint k, uint i)
{
    const uint row = gl_WorkGroupID.x * N + i;
    return row < p.n ? float16_t(load_weight(weight_of(row), k / 32, k % 32) * power(w_shared[i])) : float16_t(0.0);
}

#ifdef WORKGROUP

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer XBlock { float v; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer WBlock { uint v; };

// Row and k of the tensor of x; past its end the matrix is 0.
float16_t decode_x(const in XBlock x, const in uint at[2], const in uint inside[2])
{
    return float16_t(x.v * power(x_shared[at[0] - gl_WorkGroupID.y * M]));
}

// k and output of the tensor of W. No address holds one of its elements: with strides of 0 all are given the same word,
// which is not read.
float16_t decode_w(const in WBlock word, const in uint at[2], const in uint inside[2])
{
    return decode_weight(at[0], at[1] - gl_WorkGroupID.x * N);
}

#else

float16_t decode_x(const in uint row, const in uint k, const in float16_t empty, const in uint step)
{
    const uint r = gl_WorkGroupID.y * M + row;
    return r < U32In(p.rows).v[0]
               ? float16_t(F32In(advance(p.x, r, p.x_stride * 4u)).v[step * K + k] * power(x_shared[row])) : float16_t(0.0);
}

float16_t decode_w(const in uint k, const in uint column, const in float16_t empty, const in uint step)
{
    return decode_weight(step * K + k, column);
}

#endif

float write_y(const in uint row, const in uint column, const in float sum)
{
    const uint r = gl_WorkGroupID.y * M + row, i = gl_WorkGroupID.x * N + column;
    if (r < U32In(p.rows).v[0] && i < p.n) {
        const int shift = 254 - int(x_shared[row]) - int(w_shared[column]), half_shift = shift / 2;
        const float y = sum * power(uint(127 + half_shift)) * power(uint(127 + shift - half_shift));
        F32Out(advance(p.y, r, p.y_stride * 4u)).v[i] = y + (is_null(p.bias) ? 0.0 : F32In(p.bias).v[i]);
    }
    return sum;
}

void main()
{
    const uint rows = U32In(p.rows).v[0];
    if (gl_WorkGroupID.y * M >= rows)
        return;
    find_powers(rows);
    SUMS sums = SUMS(0.0);
#ifdef WORKGROUP
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> x_tensor =
        createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> w_tensor =
        createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    x_tensor = setTensorLayoutDimensionNV(x_tensor, rows, p.blocks * 32);
    x_tensor = setTensorLayoutStrideNV(x_tensor, p.x_stride, 1);
    w_tensor = setTensorLayoutDimensionNV(w_tensor, p.blocks * 32, p.n);
    w_tensor = setTensorLayoutStrideNV(w_tensor, 0, 0);
#endif
    for (uint step = 0; step < p.blocks; step++) {
        X_HALVES x = X_HALVES(0.0);
        W_HALVES w = W_HALVES(0.0);
#ifdef WORKGROUP
        coopMatLoadTensorNV(x, F32In(p.x).v, 0, sliceTensorLayoutNV(x_tensor, gl_WorkGroupID.y * M, M, step * K, K),
                            decode_x);
        coopMatLoadTensorNV(w, U32In(p.rows).v, 0, sliceTensorLayoutNV(w_tensor, step * K, K, gl_WorkGroupID.x * N, N),
                            decode_w);
#else
        coopMatPerElementNV(x, x, decode_x, step);
        coopMatPerElementNV(w, w, decode_w, step);
#endif
        sums = coopMatMulAdd(x, w, sums);
    }
    coopMatPerElementNV(sums, sums, write_y);
}
