// matmul.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i]
//
//   W     [n, k] packed as in src/op/weight.h; TYPE_<type> names the type
//   x     [rows, x_stride]  f32; elements k .. 32 blocks - 1 of a row are zero
//   bias  [n] f32, or none
//   y     [rows, y_stride]  f32; columns 0 .. n - 1 are written
//   rows  u32: rows past it are neither computed (to the tile) nor written
//
// Grid: (ceil(n / 32), ceil(rows_max / TOKENS)). A workgroup has 32 * SLICES lanes: lane l
// of slice s owns weight row 32 gx + l and the blocks s, s + SLICES, ... of k. It decodes
// a block of 32 weights once and multiplies it with TOKENS rows of x, whose address is the
// same for all lanes of a slice, so that x is a broadcast.
// Order of additions: along k in blocks; within a block 8 dot products of 4; then over the
// slices in order. f32 throughout. It depends on SLICES only, not on TOKENS, the row's
// place in the batch or the subgroup size.
// Bytes moved: the weights once for every TOKENS rows, x once for every 32 outputs (from
// cache), y once. Operations: 2 rows n k.
// Reference: tests/ref/matmul.h, in double over exactly dequantised weights. Tolerance: 1.5e-6 of the sum of
// |terms| (tests/op/matmul_numerics.h; 7.3e-7 was the worst seen, among the hard inputs), and
// at most twice the error of a plain f32 sum from first term to last.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "weight.glsl"
#include "push_matmul.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 32;
layout(constant_id = PM_SPEC_MATMUL_TOKENS) const uint TOKENS = 1;
layout(constant_id = PM_SPEC_MATMUL_SLICES) const uint SLICES = 1;

shared float partial[SLICES > 1 ? LOCAL_X * TOKENS : 1];

void main()
{
    const uint rows = U32In(p.rows).v[0];
    const uint first = gl_WorkGroupID.y * TOKENS;
    if (first >= rows)
        return;
    const uint lane = gl_LocalInvocationID.x % WEIGHT_GROUP;
    const uint slice = gl_LocalInvocationID.x / WEIGHT_GROUP;
    const uint i = gl_WorkGroupID.x * WEIGHT_GROUP + lane;
    Weight weight = weight_row(p.pieces, p.scales, i, p.group_pieces, p.group_scales);
    F32x4In x = F32x4In(advance(p.x, first, p.x_stride * 4u));
    const uint stride = p.x_stride / 4, last = rows - 1 - first;

    float sum[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        sum[t] = 0.0;
    for (uint b = slice; b < p.blocks; b += SLICES) {
        vec4 w[8];
        load_block(weight, b, w);
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            const uint at = min(t, last) * stride + b * 8; // rows past the count repeat the last
            [[unroll]] for (uint j = 0; j < 8; j++)
                sum[t] += dot(w[j], x.v[at + j]);
        }
    }
    if (SLICES > 1) {
        [[unroll]] for (uint t = 0; t < TOKENS; t++)
            partial[t * LOCAL_X + gl_LocalInvocationID.x] = sum[t];
        barrier();
        if (slice > 0)
            return;
        [[unroll]] for (uint t = 0; t < TOKENS; t++)
            for (uint s = 1; s < SLICES; s++)
                sum[t] += partial[t * LOCAL_X + s * WEIGHT_GROUP + lane];
    }
    if (i >= p.n)
        return;
    const float bias = is_null(p.bias) ? 0.0 : F32In(p.bias).v[i];
    F32Out y = F32Out(advance(p.y, first, p.y_stride * 4u));
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        if (first + t < rows)
            y.v[t * p.y_stride + i] = sum[t] + bias;
}
