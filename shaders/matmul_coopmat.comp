// matmul_coopmat.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i] on cooperative matrices
//
//   Buffers as in matmul.comp.
//
// f16 x f16 products, f32 sums, at subgroup scope (VK_KHR_cooperative_matrix): [M, K] of x
// times [K, N] of W, in a shape that the device lists.
//
// Grid: (ceil(n / TILE_N), ceil(rows_max / TILE_M)), SUBGROUPS full subgroups. A workgroup computes a tile of TILE_M rows
// and TILE_N outputs, SUBGROUPS_M subgroups one below the other, each of FRAGS_M times FRAGS_N matrices. A step takes 32 BLOCKS of k:
//   fetch     each lane decodes blocks of 32 weights and reads 8s of x, into registers
//   stage     both are rounded to f16 into shared memory
//   multiply  from there, while the next step's fetch is under way
//
// Range: f16 ends at 65504 and is coarse below 2^-14, f32 and x are not. So each row of x and
// each row of W is staged times a power of two of its own, kept per row as an online softmax
// keeps its maximum: it starts at 2^120; a step with a value beyond the range, as the first
// with one that is not 0 has, lowers it so that the row's largest is in [256, 512) and
// multiplies what was summed by the same power. So no finite value becomes infinite, rows do not touch each
// other, and values down to 2^-22 of the row's largest keep all bits of f16. Infinities and
// NaNs stay in their row or column.
//
// Order of additions: along k in runs of K, f32, each run in the device's own order; with M, N
// and K it depends on the device, not on the tile, the row's place or the batch.
// Tiles of 128 rows take 1.77 (Q4_K) and 1.58 times (F16) fewer static cycles a product than those of 64 on GA102 (NVK; no card was
// at hand). They have four subgroups side by side: with fewer, a lane has too much of x to hold.
// Bytes moved: the weights once for every TILE_M rows, x once for every TILE_N outputs (from
// cache), y once. Operations: 2 rows n k.
// Reference and tolerance: tests/op/test_matmul.c: x and W each err by 2^-11 of a term, so 2^-10
// of the sum of |terms| bounds it; 4.9e-4 was the worst seen (lavapipe of Mesa 26.1, 213 cases),
// never more than what plain C with both factors rounded to f16 errs by.
// On lavapipe, whose matrices are unrolled code: 2 to 7 times as long as matmul_texels.comp at 16 to
// 128 rows ([1024, 2048], Q4_K and F16), so CPU drivers take it only when told to.
// NVIDIA, by Mesa's NVK (GA102, bench/results/static-ga102.csv), a step of 64 rows and 128 outputs of Q4_K: 430 instructions, 32 of
// them products, less the moves that its allocation of registers makes. It was 573 with branches around what is past an
// edge, and with counts of loops that were not constants the sums left the registers at each product: in all
// 1.8 (Q4_K) and 1.5 times (F16) as many static cycles. AMD (navi31, bench/static_peer.py): F16 at 16 rows 47.5 cycles
// in place of 56.9. Intel, by ANV (Arc B580): a lane has 128 registers, and of 64 rows and 32 outputs 917 spill; 19,191 instructions
// against 2,430 of matmul_dot.comp for 64 and 16. Where lanes share registers (caps.h) it is taken only when told to.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "weight.glsl"
#include "push_matmul.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 128;
layout(constant_id = PM_SPEC_COOPMAT_M) const uint M = 16;
layout(constant_id = PM_SPEC_COOPMAT_N) const uint N = 16;
layout(constant_id = PM_SPEC_COOPMAT_K) const uint K = 16;
layout(constant_id = PM_SPEC_COOPMAT_FRAGS_M) const uint FRAGS_M = 1;
layout(constant_id = PM_SPEC_COOPMAT_FRAGS_N) const uint FRAGS_N = 2;
layout(constant_id = PM_SPEC_COOPMAT_SUBGROUPS) const uint SUBGROUPS = 4;
layout(constant_id = PM_SPEC_COOPMAT_BLOCKS) const uint BLOCKS = 1;
layout(constant_id = PM_SPEC_COOPMAT_SUBGROUPS_M) const uint SUBGROUPS_M = 1;

const uint SUBGROUPS_N = SUBGROUPS / SUBGROUPS_M;
const uint TILE_M = M * FRAGS_M * SUBGROUPS_M, TILE_N = N * FRAGS_N * SUBGROUPS_N, STEP = 32 * BLOCKS;
const uint PITCH = STEP / 8 + 1;                                  // uvec4s of a staged row of 8 f16 each; the
                                                                  // odd one puts neighbours in other banks
const uint W_UNITS = (TILE_N * BLOCKS + LOCAL_X - 1) / LOCAL_X;   // blocks of 32 weights of a lane
const uint X_UNITS = (TILE_M * STEP / 8 + LOCAL_X - 1) / LOCAL_X; // 8s of x of a lane
const uint SLOTS = TILE_M + TILE_N;                               // rows of x, then rows of W
// Lanes of a subgroup, and quads of a matrix for each of them. All loops around `sums` have counts that are constants: an
// index that is none would put the array into memory, for the products, too (Mesa's NVK did).
const uint LANES = LOCAL_X / SUBGROUPS, QUADS = M * N / 4, TURNS = (QUADS + LANES - 1) / LANES;
const float TOP = 65504.0;
const uint EXPONENT_START = 127 + 120, EXPONENT_LARGEST = 127 + 8;

shared uvec4 x_shared[TILE_M * PITCH];
shared uvec4 w_shared[TILE_N * PITCH];
shared vec4 tile_shared[SUBGROUPS * QUADS];
shared uint exponent_shared[SLOTS]; // of the row's power of two, as the bits of a float have it
shared float fade_shared[SLOTS];    // what the sums so far are multiplied with
shared uint most_shared[SLOTS];     // bits of the largest |value| of a step
shared uint beyond_shared;          // a value of this step is out of range

vec4 w_values[W_UNITS * 8];
vec4 x_values[X_UNITS * 2];
coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sums[FRAGS_M * FRAGS_N];

// 2^(exponent - 127)
float power(uint exponent)
{
    return uintBitsToFloat(exponent << 23);
}

// Of the tile, where matrix f of this subgroup's begins.
uint row_of(uint f)
{
    return (gl_SubgroupID / SUBGROUPS_N * FRAGS_M + f / FRAGS_N) * M;
}

uint column_of(uint f)
{
    return (gl_SubgroupID % SUBGROUPS_N * FRAGS_N + f % FRAGS_N) * N;
}

float largest(vec4 v)
{
    const vec4 a = abs(v);
    return max(max(a.x, a.y), max(a.z, a.w));
}

float largest_w(uint unit)
{
    float most = 0.0;
    [[unroll]] for (uint j = 0; j < 8; j++)
        most = max(most, largest(w_values[unit * 8 + j]));
    return most;
}

float largest_x(uint unit)
{
    return max(largest(x_values[unit * 2]), largest(x_values[unit * 2 + 1]));
}

// A lane's units: which staged row, and which uvec4 of it they start at. False past the last.
bool w_unit(uint unit, out uint row, out uint at)
{
    const uint u = unit * LOCAL_X + gl_LocalInvocationID.x;
    row = u % TILE_N;
    at = u / TILE_N * 4;
    return TILE_N * BLOCKS % LOCAL_X == 0 || u < TILE_N * BLOCKS;
}

bool x_unit(uint unit, out uint row, out uint at)
{
    const uint u = unit * LOCAL_X + gl_LocalInvocationID.x;
    row = u / (STEP / 8);
    at = u % (STEP / 8);
    return TILE_M * STEP / 8 % LOCAL_X == 0 || u < TILE_M * STEP / 8;
}

// Where a lane's units of W and x begin. Rows past the last repeat it: what comes of them is not written, and no branch keeps
// loads from being under way together.
Weight w_rows[W_UNITS];
uint x_quads[X_UNITS];

void find_rows(uint first_row, uint first_output, uint rows)
{
    uint row, at;
    [[unroll]] for (uint unit = 0; unit < W_UNITS; unit++) {
        w_unit(unit, row, at);
        w_rows[unit] = weight_row(p.pieces, p.scales, min(first_output + row, p.n - 1), p.group_pieces, p.group_scales);
    }
    [[unroll]] for (uint unit = 0; unit < X_UNITS; unit++) {
        x_unit(unit, row, at);
        x_quads[unit] = min(row, rows - 1 - first_row) * (p.x_stride / 4) + at * 2;
    }
}

// Step `step` of k, in f32; zeros past k.
void fetch(uint step, F32x4In x)
{
    uint row, at;
    [[unroll]] for (uint unit = 0; unit < W_UNITS; unit++) {
        w_unit(unit, row, at);
        const uint b = step * BLOCKS + at / 4;
        const bool inside = BLOCKS == 1 || b < p.blocks;
        vec4 w[8];
        load_block(w_rows[unit], inside ? b : 0, w);
        [[unroll]] for (uint j = 0; j < 8; j++)
            w_values[unit * 8 + j] = inside ? w[j] : vec4(0.0);
    }
    [[unroll]] for (uint unit = 0; unit < X_UNITS; unit++) {
        x_unit(unit, row, at);
        const bool inside = BLOCKS == 1 || step * BLOCKS + at / 4 < p.blocks;
        const uint from = x_quads[unit] + (inside ? step * (STEP / 4) : 0);
        const vec4 low = x.v[from], high = x.v[from + 1];
        x_values[unit * 2] = inside ? low : vec4(0.0);
        x_values[unit * 2 + 1] = inside ? high : vec4(0.0);
    }
}

// True when a value of this lane, times its row's power of two, is beyond f16.
bool is_beyond()
{
    uint row, at;
    float most = 0.0;
    [[unroll]] for (uint unit = 0; unit < W_UNITS; unit++)
        if (w_unit(unit, row, at))
            most = max(most, largest_w(unit) * power(exponent_shared[TILE_M + row]));
    [[unroll]] for (uint unit = 0; unit < X_UNITS; unit++)
        if (x_unit(unit, row, at))
            most = max(most, largest_x(unit) * power(exponent_shared[row]));
    return most > TOP;
}

// Puts sums[f] where lanes can reach it. Each subgroup has its own place.
void tile_out(uint f)
{
    subgroupBarrier();
    coopMatStore(sums[f], tile_shared, gl_SubgroupID * QUADS, N / 4, gl_CooperativeMatrixLayoutRowMajor);
    subgroupBarrier();
}

// Lowers the powers of the rows that have a value beyond the range, and their sums with them.
// By all lanes, behind a barrier.
void rescale()
{
    uint row, at;
    for (uint i = gl_LocalInvocationID.x; i < SLOTS; i += LOCAL_X)
        most_shared[i] = 0;
    barrier();
    [[unroll]] for (uint unit = 0; unit < W_UNITS; unit++)
        if (w_unit(unit, row, at))
            atomicMax(most_shared[TILE_M + row], floatBitsToUint(largest_w(unit)));
    [[unroll]] for (uint unit = 0; unit < X_UNITS; unit++)
        if (x_unit(unit, row, at))
            atomicMax(most_shared[row], floatBitsToUint(largest_x(unit)));
    barrier();
    for (uint i = gl_LocalInvocationID.x; i < SLOTS; i += LOCAL_X) {
        const uint before = exponent_shared[i];
        uint now = before;
        if (uintBitsToFloat(most_shared[i]) * power(before) > TOP)
            now = EXPONENT_LARGEST + 127 - (most_shared[i] >> 23 & 255u);
        exponent_shared[i] = now;
        fade_shared[i] = before - now < 127 ? power(127 - (before - now)) : 0.0;
    }
    if (gl_LocalInvocationID.x == 0)
        beyond_shared = 0;
    barrier();
    [[unroll]] for (uint f = 0; f < FRAGS_M * FRAGS_N; f++) {
        const uint row0 = row_of(f), column0 = TILE_M + column_of(f);
        subgroupBarrier();
        [[unroll]] for (uint turn = 0; turn < TURNS; turn++) {
            const uint q = turn * LANES + gl_SubgroupInvocationID, column = column0 + q % (N / 4) * 4;
            if (QUADS % LANES == 0 || q < QUADS)
                tile_shared[gl_SubgroupID * QUADS + q] = fade_shared[row0 + q / (N / 4)] *
                    vec4(fade_shared[column], fade_shared[column + 1], fade_shared[column + 2], fade_shared[column + 3]);
        }
        subgroupBarrier();
        coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> fade;
        coopMatLoad(fade, tile_shared, gl_SubgroupID * QUADS, N / 4, gl_CooperativeMatrixLayoutRowMajor);
        sums[f] *= fade;
    }
}

uvec2 half_quad(vec4 v)
{
    const f16vec4 h = f16vec4(v);
    return uvec2(packFloat2x16(h.xy), packFloat2x16(h.zw));
}

void stage()
{
    uint row, at;
    [[unroll]] for (uint unit = 0; unit < W_UNITS; unit++)
        if (w_unit(unit, row, at)) {
            const float scale = power(exponent_shared[TILE_M + row]);
            [[unroll]] for (uint j = 0; j < 4; j++)
                w_shared[row * PITCH + at + j] = uvec4(half_quad(scale * w_values[unit * 8 + 2 * j]),
                                                       half_quad(scale * w_values[unit * 8 + 2 * j + 1]));
        }
    [[unroll]] for (uint unit = 0; unit < X_UNITS; unit++)
        if (x_unit(unit, row, at)) {
            const float scale = power(exponent_shared[row]);
            x_shared[row * PITCH + at] = uvec4(half_quad(scale * x_values[unit * 2]),
                                               half_quad(scale * x_values[unit * 2 + 1]));
        }
}

void multiply()
{
    for (uint k = 0; k < STEP; k += K) {
        coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a[FRAGS_M];
        [[unroll]] for (uint f = 0; f < FRAGS_M; f++)
            coopMatLoad(a[f], x_shared, row_of(f * FRAGS_N) * PITCH + k / 8, PITCH, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint g = 0; g < FRAGS_N; g++) {
            coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b;
            coopMatLoad(b, w_shared, column_of(g) * PITCH + k / 8, PITCH, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint f = 0; f < FRAGS_M; f++)
                sums[f * FRAGS_N + g] = coopMatMulAdd(a[f], b, sums[f * FRAGS_N + g]);
        }
    }
}

void main()
{
    const uint rows = U32In(p.rows).v[0];
    const uint first_row = gl_WorkGroupID.y * TILE_M, first_output = gl_WorkGroupID.x * TILE_N;
    if (first_row >= rows)
        return;
    for (uint i = gl_LocalInvocationID.x; i < SLOTS; i += LOCAL_X)
        exponent_shared[i] = EXPONENT_START;
    for (uint i = gl_LocalInvocationID.x; i < TILE_M * PITCH; i += LOCAL_X)
        x_shared[i] = uvec4(0);
    for (uint i = gl_LocalInvocationID.x; i < TILE_N * PITCH; i += LOCAL_X)
        w_shared[i] = uvec4(0);
    if (gl_LocalInvocationID.x == 0)
        beyond_shared = 0;
    [[unroll]] for (uint f = 0; f < FRAGS_M * FRAGS_N; f++)
        sums[f] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0.0);
    find_rows(first_row, first_output, rows);
    F32x4In x = F32x4In(advance(p.x, first_row, p.x_stride * 4u));
    barrier();

    const uint steps = (p.blocks + BLOCKS - 1) / BLOCKS;
    for (uint step = 0;; step++) { // no branch around fetch() and multiply(), which compilers would pay with moves of the sums
        fetch(min(step, steps - 1), x);
        multiply(); // the step before, zeros at first, while this one's values are on their way
        if (step == steps)
            break;
        if (is_beyond())
            beyond_shared = 1;
        barrier(); // all have said so, and none still multiplies
        if (beyond_shared != 0)
            rescale();
        stage();
        barrier();
    }

    F32Out y = F32Out(advance(p.y, first_row, p.y_stride * 4u));
    const bool has_bias = !is_null(p.bias);
    [[unroll]] for (uint f = 0; f < FRAGS_M * FRAGS_N; f++) {
        const uint row0 = row_of(f), column0 = column_of(f);
        tile_out(f);
        [[unroll]] for (uint turn = 0; turn < TURNS; turn++) {
            const uint q = turn * LANES + gl_SubgroupInvocationID, row = row0 + q / (N / 4);
            if (QUADS % LANES != 0 && q >= QUADS)
                break;
            const vec4 sum = tile_shared[gl_SubgroupID * QUADS + q] * power(254 - exponent_shared[row]);
            [[unroll]] for (uint j = 0; j < 4; j++) {
                const uint column = column0 + q % (N / 4) * 4 + j, i = first_output + column;
                if (first_row + row < rows && i < p.n)
                    y.v[row * p.y_stride + i] = sum[j] * power(254 - exponent_shared[TILE_M + column]) +
                                                (has_bias ? F32In(p.bias).v[i] : 0.0);
            }
        }
    }
}
