// matmul.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i]
//
//   W     [n, k] packed as in src/op/weight.h; TYPE_<type> names the type
//   x     [rows, x_stride]  f32; elements k .. 32 blocks - 1 of a row are zero
//   bias  [n] f32, or none
//   y     [rows, y_stride]  f32; columns 0 .. n - 1 are written
//   rows  u32: rows past it are neither computed (to the chunk) nor written
//
// Grid: (ceil(n / LANES), ceil(rows_max / TOKENS)) of LANES * SLICES lanes, see matmul_rows.glsl. A
// lane decodes a block of 32 weights once and multiplies it with TOKENS rows of x, whose
// address is the same for all lanes of a slice, so that x is a broadcast.
// Order of additions: along k in blocks; within a block one product after the other; then over the
// slices in order. f32 throughout. It depends on SLICES only, not on TOKENS, the row's
// place in the batch or the subgroup size.
// Bytes moved: the weights once for every TOKENS rows, x once for every LANES outputs (from
// cache), y once. Operations: 2 rows n k. A load of x feeds 4 multiply-adds: from 8 rows or so
// on, loads and multiply-adds bound it alike; matmul_tile.comp has 3 times fewer loads.
// Bound: on paper (bench/results/static-roofline.csv: what AMD's compiler makes of it, against clocks and bandwidths), at
// one row the memory for f32, f16 and bf16, by 10 to 55 times, and for Q4_0 to Q8_0 and K types of 4 bits and more, by
// 1.5 to 4.3; decoding is for codebook types. Where dot products are native, RDNA 2 on, matmul_dot.comp serves those.
// Reference: tests/ref/matmul.h, in double over exactly dequantised weights. Tolerance: 3e-6 of the sum of
// |terms| (tests/op/matmul_numerics.h; 1.55e-6 was the worst seen, with outliers of x among the first of
// 768 terms), and at most twice the error of a plain f32 sum from first term to last.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "weight.glsl"
#include "matmul_rows.glsl"

void main()
{
    const uint rows = U32In(p.rows).v[0], first = gl_WorkGroupID.y * TOKENS;
    if (first >= rows)
        return;
    const uint i = gl_WorkGroupID.x * LANES + gl_SubgroupInvocationID, last = rows - 1 - first;
    Weight weight = weight_row(p.pieces, p.scales, min(i, p.n - 1), p.group_pieces, p.group_scales);
    const uvec2 x = advance(p.x, first, p.x_stride * 4u);

    float sum[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        sum[t] = 0.0;
    for (uint b = gl_SubgroupID; b < p.blocks; b += SLICES) {
        vec4 w[8];
        load_block(weight, b, w);
        [[unroll]] for (uint c = 0; c < TOKENS; c += CHUNK) {
            if (c <= last) {
                [[unroll]] for (uint t = 0; t < CHUNK; t++) {
                    // Rows past the count repeat the last.
                    F32x4In quads = F32x4In(advance(x, min(c + t, last) * p.x_stride + b * 32, 4u));
                    [[unroll]] for (uint j = 0; j < 8; j++)
                        sum[c + t] = add_products(sum[c + t], w[j], quads.v[j]);
                }
            }
        }
    }
    write_rows(sum, first, last, i);
}
