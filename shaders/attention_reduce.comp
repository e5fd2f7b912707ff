// attention_reduce.comp - adds the splits of attention.comp
//
//   scratch  [rows, heads, splits, HEAD_DIM + 2]  f32: sum, max, weighted values
//   out      [rows, out_stride]  f32; pads past the last head get zeros
//   rows     u32
//
// out = sum_s e^(max_s - max) values_s / sum_s e^(max_s - max) sum_s, splits merged in order
// by softmax_part.glsl, as attention.comp merges its runs.
// Grid: (heads, rows_max), 32 lanes: lane = dimension.
// Bytes moved: rows * heads * splits * (HEAD_DIM + 2) * 4.
// Reference and tolerance: as attention.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "push_attention.h"
#include "softmax_part.glsl"

#define LANES 32u
layout(local_size_x = 32) in;
layout(constant_id = PM_SPEC_ATTENTION_HEAD_DIM) const uint HEAD_DIM = 64;

void main()
{
    const uint lane = gl_LocalInvocationID.x, h = gl_WorkGroupID.x, row = gl_WorkGroupID.y;
    if (row >= U32In(p.rows).v[0])
        return;
    const uint stride = HEAD_DIM + 2;
    F32In part = F32In(advance(advance(p.scratch, row, p.heads * p.splits * stride * 4u), h * p.splits, stride * 4u));
    F32Out to_row = F32Out(advance(p.out_, row, p.out_stride * 4u));
    for (uint d = lane; d < HEAD_DIM; d += LANES) {
        float most = LOWEST, total = 0.0, sum = 0.0;
        for (uint s = 0; s < p.splits; s++) {
            const float part_most = part.v[s * stride + 1], now = max(most, part_most);
            const float fade_all = fade_of(most, now), fade_part = fade_of(part_most, now);
            most = now;
            total = merged(total, fade_all, part.v[s * stride], fade_part);
            sum = merged(sum, fade_all, part.v[s * stride + 2 + d], fade_part);
        }
        to_row.v[h * HEAD_DIM + d] = sum / total;
    }
    if (h == p.heads - 1)
        for (uint d = p.heads * HEAD_DIM + lane; d < p.out_stride; d += LANES)
            to_row.v[d] = 0.0;
}
