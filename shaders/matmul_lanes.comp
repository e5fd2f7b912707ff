// matmul_lanes.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], with x shared by lanes
//
//   Buffers as in matmul.comp.
//
// For drivers on which every load costs the same for one lane as for all, an address that
// all lanes share included (CPU drivers load lane by lane): each of 8 lanes loads another
// quad of x, and the subgroup passes it round. Needs subgroup shuffle and subgroups of 8.
//
// Grid: (ceil(n / (8 ROWS)), ceil(rows_max / TOKENS)), 8 lanes. Lane l owns weight rows
// 8 ROWS gx + 8 q + l, q < ROWS: a loaded quad of x serves 8 ROWS of them. 8 ROWS is
// WEIGHT_GROUP, so that every row read is there.
// Order of additions: along k in blocks; within a block 8 dot products of 4.
// Bytes moved: the weights once for every TOKENS rows, x once for every 32 outputs.
// Operations: 2 rows n k. On lavapipe (Mesa 22.3, 2 cores), 110M parameters in Q8_0 in one
// run with matmul.comp: prompt of 64 5.0 -> 66 tok/s, generation 4.6 -> 15.6 tok/s.
// Reference and tolerance: as matmul.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "weight.glsl"
#include "push_matmul.h"

#define LANES 8u
#define ROWS 4u
layout(local_size_x = 8) in;
layout(constant_id = PM_SPEC_MATMUL_TOKENS) const uint TOKENS = 1;

void main()
{
    const uint rows = U32In(p.rows).v[0];
    const uint first = gl_WorkGroupID.y * TOKENS;
    if (first >= rows)
        return;
    const uint lane = gl_SubgroupInvocationID;
    const uint i = gl_WorkGroupID.x * LANES * ROWS + lane;
    F32x4In x = F32x4In(advance(p.x, first, p.x_stride * 4u));
    const uint stride = p.x_stride / 4, last = rows - 1 - first;

    float sum[ROWS * TOKENS];
    [[unroll]] for (uint t = 0; t < ROWS * TOKENS; t++)
        sum[t] = 0.0;
    for (uint b = 0; b < p.blocks; b++) {
        vec4 w[ROWS * 8];
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec4 row_w[8];
            Weight weight = weight_row(p.pieces, p.scales, i + r * LANES, p.group_pieces, p.group_scales);
            load_block(weight, b, row_w);
            [[unroll]] for (uint j = 0; j < 8; j++)
                w[r * 8 + j] = row_w[j];
        }
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            const vec4 own = x.v[min(t, last) * stride + b * 8 + lane]; // rows past the count repeat the last
            [[unroll]] for (uint j = 0; j < 8; j++) {
                const vec4 quad = subgroupShuffle(own, j);
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    sum[r * TOKENS + t] += dot(w[r * 8 + j], quad);
            }
        }
    }
    F32Out y = F32Out(advance(p.y, first, p.y_stride * 4u));
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        const uint row = i + r * LANES;
        if (row < p.n) {
            const float bias = is_null(p.bias) ? 0.0 : F32In(p.bias).v[row];
            [[unroll]] for (uint t = 0; t < TOKENS; t++)
                if (first + t < rows)
                    y.v[t * p.y_stride + row] = sum[r * TOKENS + t] + bias;
        }
    }
}
