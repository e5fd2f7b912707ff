// matmul_dot.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], with x in 8-bit blocks
//
//   W     [n, k] packed as in src/op/weight.h; TYPE_<type> names the type, whose file has
//         load_block_i8(): 32 bytes q and w = scale (q - bias) + offset
//   x     as quantise.comp writes it, in chunks of 4 rows; what a chunk holds past the
//         count is read and not used
//   bias  [n] f32, or none
//   y     [rows, y_stride]  f32; columns 0 .. n - 1 are written
//   rows  u32: rows past it are neither computed (to the chunk) nor written
//
// Grid: (ceil(n / LANES), ceil(rows_max / TOKENS)) of LANES * SLICES lanes, see matmul_rows.glsl.
// Up to 64 rows of x are kept as sums in registers, so that the weights are read once for
// all of them; x is the same for all lanes of a slice, a broadcast from cache.
// Numerics: for each block (for Q6_K and others each half) the integer sum of 32 (16) products of bytes is
// exact; then sum += d_x (scale s + offset s_x), in f32, in ascending order of blocks; then
// over the slices in order. It differs from matmul.comp by the rounding of x, |x - d_x q| <= d_x / 2.
// Bytes moved: the weights once for every TOKENS rows; 40 for each 32 elements of x for
// every LANES outputs (from cache); y once. Operations: for each block, lane and row 8 packed dot products and
// 6 others; unpacking once for all rows.
// Bound: the weights' bytes until those 14 instructions a row take longer than 18 to 36 bytes: from
// some 8 rows on at 1 TB/s and 20 Tinst/s. navi21 (Mesa 22.3's compiler, no spills): with 1 row 16
// registers and inverse throughput 324 against 902 of matmul.comp (Q4_0), with 64 rows 80 registers, 12 waves
// and 3440 against twice 5112 with 32 rows; before x took scalar loads 6511.
// With 1 row there, this against matmul.comp: Q5_K 658 and 1246, Q3_K 696 and 1291, MXFP4 1530 and 1486,
// IQ4_XS 2282 and 2238, IQ2_XS 1599 and 2187; with 32 rows 2308 and 5252, 2596 and 5297, 2932 and 5492, 3684 and 6244, 3249 and 6193.
// Intel's Arc, by ANV (bench/results/static-dg2.csv, static-bmg.csv): a lane of subgroups of twice the hardware's lanes has 64
// registers, which serve up to 16 rows; 32 and 64 rows spilled there (Mesa 22.3: 1.6 to 1.9 times the cycles a row), and
// take the hardware's.
// CPU drivers have no such instruction: on lavapipe (Mesa 22.3, 2 busy cores, the demo model) prompts of 64 are 1.8 to
// 2.6 times and generation 2.5 times and more slower than with matmul_texels.comp.
// Reference and tolerance: tests/op/test_quantise.c, the same numerics in C: 1.8e-7 of the sum of
// |block terms| was the worst seen; there, too, double over exactly dequantised
// weights: with h = |w| d_x / 2 of an element, 2.5 sqrt(sum h^2) was the worst seen, 6 is the bound.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "weight.glsl"
#include "dot.glsl"
#include "matmul_rows.glsl"
#include "q8_block.h"

// A block of a chunk of rows. Places are constants, so that all loads have one address.
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Q8In {
    uvec4 q[PM_Q8_CHUNK * 2];
    uvec2 scale[PM_Q8_CHUNK];
};

void main()
{
    const uint rows = U32In(p.rows).v[0], first = gl_WorkGroupID.y * TOKENS;
    if (first >= rows)
        return;
    const uint i = gl_WorkGroupID.x * LANES + gl_SubgroupInvocationID, last = rows - 1 - first;
    Weight weight = weight_row(p.pieces, p.scales, min(i, p.n - 1), p.group_pieces, p.group_scales);
    const uint chunk_bytes = p.blocks * PM_Q8_WORDS * 4u, place = first % PM_Q8_CHUNK; // 0 from 4 TOKENS on
    const uvec2 chunks = advance(p.x, first / PM_Q8_CHUNK, chunk_bytes);

    float sum[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        sum[t] = 0.0;
    for (uint b = gl_SubgroupID; b < p.blocks; b += SLICES) {
        uint q[8];
        vec2 scale, offset;
        load_block_i8(weight, b, q, scale, offset);
        [[unroll]] for (uint c = 0; c < TOKENS; c += CHUNK) {
            if (c <= last) {
                Q8In chunk = Q8In(advance(chunks, 1u, c / PM_Q8_CHUNK * chunk_bytes + b * PM_Q8_WORDS * 4u));
                [[unroll]] for (uint t = 0; t < CHUNK; t++) {
                    const uint at = TOKENS < PM_Q8_CHUNK ? place + t : t;
                    const uvec4 low = chunk.q[2 * at], high = chunk.q[2 * at + 1];
                    const uvec2 x = chunk.scale[at];
                    const ivec2 sums = ivec2(int(x.y << 16) >> 16, int(x.y) >> 16);
                    ivec2 dots = ivec2(0);
                    [[unroll]] for (uint j = 0; j < 4; j++)
                        dots.x += dot_packed(q[j], low[j]);
                    [[unroll]] for (uint j = 0; j < 4; j++)
                        dots[I8_HALVES - 1] += dot_packed(q[4 + j], high[j]);
                    float value;
                    if (I8_HALVES == 2) {
                        const ivec2 total = dots - I8_BIAS * sums;
                        value = scale.x * float(total.x) + scale.y * float(total.y);
                        if (I8_OFFSET)
                            value += offset.x * float(sums.x) + offset.y * float(sums.y);
                    } else {
                        value = scale.x * float(dots.x - I8_BIAS * (sums.x + sums.y));
                        if (I8_OFFSET)
                            value += offset.x * float(sums.x + sums.y);
                    }
                    sum[c + t] += uintBitsToFloat(x.x) * value;
                }
            }
        }
    }
    write_rows(sum, first, last, i);
}
