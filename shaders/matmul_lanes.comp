// matmul_lanes.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], by subgroups of 4
//
//   Buffers as in matmul.comp.
//
// For CPU drivers whose subgroups are a vector of 4 lanes (SwiftShader). There each word that lanes load, from
// memory or from an array by an index that varies, is a branch for each lane, in all some 10 ns (what matmul.comp
// takes for 8 rows, by the words that it loads). So each lane loads other quads of x, which the subgroup passes round,
// and a loop over rows of x, not unrolled, serves any number of them with one pipeline.
//
// Grid: (ceil(n / 8), ceil(rows_max / TOKENS)), 4 lanes. Lane l owns weight rows 8 gx + ROWS l + q, q < ROWS.
// Order of additions: as matmul_texels.comp. It does not depend on the row's place in the batch.
// Bytes moved: the weights once for every TOKENS rows, x once for every 8 outputs. Operations: 2 rows n k.
// Of a block and 4 ROWS outputs, 9 ROWS words are loaded, and for each row of x 8 and 2 ROWS of sums in and out, 32
// values passed round in 5 instructions each, 32 ROWS multiplications and additions.
// Measured on SwiftShader, 2048 x 2048 in Q8_0: 2 % of the multiply-adds that pumice bench measures with one row, 10 % from
// 16 on; 3.3 to 5 times as fast as matmul.comp for 1 to 16 rows of 2048 x 768.
// Lost: TOKENS unrolled (up to 8 s to compile for 16, and slower); ROWS 4 (1.0 to 1.3 times as fast, 3 times as long to
// compile); shuffles (more instructions); buffer textures (SwiftShader's hold 1 MiB).
// Reference and tolerance: as matmul.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#include "weight.glsl"
#include "push_matmul.h"

#define LANES 4u
#define ROWS 2u
layout(local_size_x = 4) in;
layout(constant_id = PM_SPEC_MATMUL_TOKENS) const uint TOKENS = 16;

// Row of x `x`, of which this lane's quads are here and 4 quads on, times the rows of a block, added to sum.
void multiply(F32x4In x, vec4 v[ROWS * 8], vec2 scale[ROWS], inout float sum[ROWS])
{
    const vec4 low = x.v[0], high = x.v[LANES];
    float part[ROWS];
    [[unroll]] for (uint j = 0; j < 8; j++) {
        const vec4 quad = j < 4 ? subgroupBroadcast(low, j) : subgroupBroadcast(high, j - 4);
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            add_unscaled(j, v[r * 8 + j], quad, scale[r], part[r], sum[r]);
    }
}

void main()
{
    const uint rows = U32In(p.rows).v[0], first = gl_WorkGroupID.y * TOKENS;
    if (first >= rows)
        return;
    const uint lane = gl_SubgroupInvocationID, count = min(rows - first, TOKENS);
    const uint i = (gl_WorkGroupID.x * LANES + lane) * ROWS;
    const uvec2 x = advance(advance(p.x, first, p.x_stride * 4u), lane, 16u);
    Weight weight[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        weight[r] = weight_row(p.pieces, p.scales, min(i + r, p.n - 1), p.group_pieces, p.group_scales);

    float sums[TOKENS * ROWS];
    for (uint s = 0; s < count * ROWS; s++)
        sums[s] = 0.0;
    for (uint b = 0; b < p.blocks; b++) {
        vec4 v[ROWS * 8];
        vec2 scale[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec4 row_v[8];
            load_block_unscaled(weight[r], b, row_v, scale[r]);
            [[unroll]] for (uint j = 0; j < 8; j++)
                v[r * 8 + j] = row_v[j];
        }
        for (uint t = 0; t < count; t++) {
            float sum[ROWS];
            [[unroll]] for (uint r = 0; r < ROWS; r++)
                sum[r] = sums[t * ROWS + r];
            multiply(F32x4In(advance(x, t * p.x_stride + b * 32, 4u)), v, scale, sum);
            [[unroll]] for (uint r = 0; r < ROWS; r++)
                sums[t * ROWS + r] = sum[r];
        }
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        if (i + r < p.n) {
            const float bias = is_null(p.bias) ? 0.0 : F32In(p.bias).v[i + r];
            for (uint t = 0; t < count; t++)
                F32Out(advance(p.y, first + t, p.y_stride * 4u)).v[i + r] = sums[t * ROWS + r] + bias;
        }
}
