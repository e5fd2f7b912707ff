// embedding.comp - y[r,:] = W[tokens[r],:]
//
//   W       [vocab, dim] packed as in src/op/weight.h; TYPE_<type> names the type
//   tokens  [rows]            u32, each < vocab
//   y       [rows, y_stride]  f32, y_stride = 32 blocks; pads are zero, as W's are
//   rows    u32
//
// Grid: (ceil(blocks / LOCAL_X), rows_max): a lane unpacks a block of 32. Exact: the values
// are those of pm_dequant_row() (tests/op/test_embedding.c). Bytes moved: rows * (row of W + dim * 4).
#version 460
#extension GL_GOOGLE_include_directive : require
#include "weight.glsl"
#include "push_embedding.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;

void main()
{
    const uint row = gl_WorkGroupID.y, b = gl_GlobalInvocationID.x;
    if (row >= U32In(p.rows).v[0] || b >= p.blocks)
        return;
    const uint token = U32In(p.tokens).v[row];
    Weight weight = weight_row(p.pieces, p.scales, token, p.group_pieces, p.group_scales);
    vec4 w[8];
    load_block(weight, b, w);
    F32Out y = F32Out(advance(p.y, row, p.y_stride * 4u));
    [[unroll]] for (uint j = 0; j < 8; j++)
        [[unroll]] for (uint c = 0; c < 4; c++)
            y.v[b * 32 + j * 4 + c] = w[j][c];
}
