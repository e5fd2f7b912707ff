// embedding.comp - y[r,:] = W[tokens[r],:]
//
//   W       [vocab, dim] packed as in src/op/weight.h; TYPE_<type> names the type
//   tokens  [rows]            u32, each < vocab
//   y       [rows, y_stride]  f32, y_stride = 32 blocks; pads are zero, as W's are
//   rows    u32
//
// Grid: (ceil(8 blocks / LOCAL_X), rows_max): a lane stores a quad, so that neighbours' quads are neighbours; the 8 of a
// block read the same codes. Exact: the values are those of pm_dequant_row() (tests/op/test_embedding.c). Bytes moved:
// rows * (row of W + dim * 4).
// A lane for a block, whose 32 stores are loops over lanes on llvmpipe, takes LLVM twice as long.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "weight.glsl"
#include "push_embedding.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;

void main()
{
    const uint row = gl_WorkGroupID.y, i = gl_GlobalInvocationID.x;
    if (row >= U32In(p.rows).v[0] || i >= 8 * p.blocks)
        return;
    const uint token = U32In(p.tokens).v[row];
    Weight weight = weight_row(p.pieces, p.scales, token, p.group_pieces, p.group_scales);
    F32x4Out(advance(p.y, row, p.y_stride * 4u)).v[i] = load_quad(weight, i / 8, i % 8);
}
