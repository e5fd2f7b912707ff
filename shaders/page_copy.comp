// page_copy.comp - to[page pairs[2 c + 1]] = from[page pairs[2 c]], c < count
//
//   from, to  [pages, page_bytes]  may be the same; no page is both read and written
//   pairs     [count, 2]           u32 page ids
//   count     u32
//
// Grid: (ceil(page_bytes / 1024), count_max) workgroups of 64 lanes, 16 bytes each. Exact.
// Bytes moved: 2 count page_bytes. Reference: tests/op/test_step.c.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "push_page_copy.h"

layout(local_size_x = 64) in;

void main()
{
    const uint copy = gl_WorkGroupID.y, piece = gl_GlobalInvocationID.x;
    if (copy >= U32In(p.count).v[0] || piece >= p.page_bytes / 16u)
        return;
    const uint from = U32In(p.pairs).v[2u * copy], to = U32In(p.pairs).v[2u * copy + 1u];
    U32x4Out(advance(p.to, to, p.page_bytes)).v[piece] = U32x4In(advance(p.from, from, p.page_bytes)).v[piece];
}
