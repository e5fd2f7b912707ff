// step_tokens.comp - tokens[r] = picked[from[r]] where tokens[r] is 0xffffffff
//
//   tokens  [rows]  u32, changed
//   from    [rows]  u32, outputs of the batch before
//   picked  [outs]  u32, its tokens
//   rows    u32
//
// Grid: ceil(rows_max / 64) workgroups of 64. A token that is no id of the vocabulary (its logits were
// not numbers) becomes 0: its sequence is about to end, and rows must not read past the
// table. Exact. Bytes moved: 12 a row. Reference: tests/op/test_step.c.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "push_step_tokens.h"

layout(local_size_x = 64) in;
#define PICKED 0xffffffffu

void main()
{
    const uint row = gl_GlobalInvocationID.x;
    if (row >= U32In(p.rows).v[0] || U32In(p.tokens).v[row] != PICKED)
        return;
    const uint token = U32In(p.picked).v[U32In(p.from).v[row]];
    U32Out(p.tokens).v[row] = token < p.vocab ? token : 0u;
}
