// matmul_texels.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], reading buffer textures
//
//   Buffers as in matmul.comp; pieces, scales and x are textures of set 0, at bindings 0 to 2.
//
// For CPU drivers, where a lane is a lane of a vector and subgroups have 8 (Mesa's llvmpipe). There a load
// from an address is a loop over lanes and words, that of a texel one vector for each lane. Each of 8
// lanes loads another quad of x, and the subgroup passes it round.
//
// Grid: (ceil(n / (8 ROWS)), ceil(rows_max / TOKENS)), 8 lanes. Lane l owns weight rows
// 8 ROWS gx + 8 q + l, q < ROWS: a loaded quad of x serves 8 ROWS of them. 8 ROWS is
// WEIGHT_GROUP, so that every row read is there. TOKENS is as few as serve rows_max in as many workgroups,
// since what is unrolled cannot be left out.
// Order of additions: along k in blocks; within a block 8 dot products of 4.
// Bytes moved: the weights once for every TOKENS rows, x once for every 32 outputs.
// Operations: 2 rows n k. Of a block, 32 TOKENS products for each of ROWS vectors of weights stand against
// one texel and 32 broadcasts for each of TOKENS, and 32 vectors of weights to decode for each of ROWS.
// What Mesa 22.3 makes of a block and a token, read from its code: 128 multiplications with weights from the
// stack, 128 additions (it fuses none), 32 vpermd, and a call for the texel of x that saves what is in
// registers; of a block, once, 12 calls for pieces and scales. Where both kinds share two ports (Intel), 128
// cycles are the bound. Of the multiply-adds that pumice bench measures there: 31 % at 4 rows, 38 % at 8, 43 % at
// 16; the calls are what is missing.
// Lost: subgroupBroadcast in place of shuffles (a search for the first live lane each time, 2.6 times as long);
// one loop over tokens in place of unrolled ones (sums indexed by a variable are gathers and scatters).
// Reference and tolerance: as matmul.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define WEIGHT_TEXELS
#include "weight.glsl"
#include "push_matmul.h"

#define LANES 8u
#define ROWS 4u
layout(local_size_x = 8) in;
layout(constant_id = PM_SPEC_MATMUL_TOKENS) const uint TOKENS = 1;
layout(set = 0, binding = 2) uniform samplerBuffer x;

void main()
{
    const uint rows = U32In(p.rows).v[0];
    const uint first = gl_WorkGroupID.y * TOKENS;
    if (first >= rows)
        return;
    const uint lane = gl_SubgroupInvocationID;
    const uint i = gl_WorkGroupID.x * LANES * ROWS + lane;
    const uint stride = p.x_stride / 4, last = rows - 1 - first;

    float sum[ROWS * TOKENS];
    [[unroll]] for (uint t = 0; t < ROWS * TOKENS; t++)
        sum[t] = 0.0;
    for (uint b = 0; b < p.blocks; b++) {
        vec4 w[ROWS * 8];
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec4 row_w[8];
            load_block(weight_row(i + r * LANES, p.group_pieces, p.group_scales), b, row_w);
            [[unroll]] for (uint j = 0; j < 8; j++)
                w[r * 8 + j] = row_w[j];
        }
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            // Rows past the count repeat the last.
            const vec4 own = texelFetch(x, int((first + min(t, last)) * stride + b * 8 + lane));
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
