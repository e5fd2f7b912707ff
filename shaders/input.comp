// input.comp - y[r,c] = element (r, c) of a seeded test input, see input_value.h
//
//   y  [rows, stride]  f32 as bits; elements columns .. stride - 1 get zeros
//
// Grid: (ceil(stride / LOCAL_X), rows). Exact: the bits that the host makes. For the tests:
// what is large is made where it is used.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "input_value.h"
#include "push_input.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;

void main()
{
    const uint row = gl_WorkGroupID.y, column = gl_GlobalInvocationID.x;
    if (column >= p.stride)
        return;
    const uint low = (row << PM_INPUT_ROW_SHIFT) | column, high = row >> (32 - PM_INPUT_ROW_SHIFT);
    U32Out(advance(p.y, row, p.stride * 4u)).v[column] =
        column < p.columns ? pm_input_bits(p.kind, p.seed_low, p.seed_high, low, high) : 0u;
}
