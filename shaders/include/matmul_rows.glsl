// matmul_rows.glsl - what kernels share in which a lane owns a weight row: who owns what,
// and the end, where slices of k are added up and y is written.
//
// A workgroup has SLICES subgroups of LANES: lane l of subgroup s owns weight row LANES gx + l and
// the blocks s, s + SLICES, ... of k, for rows gy TOKENS .. of x. That a slice is a subgroup makes the address
// of x uniform in it, which compilers see: where there are scalar loads, x takes no vector
// load and no vector register. Rows of x go in chunks, so that a workgroup with few
// rows present costs what they cost, to the chunk.
#ifndef MATMUL_ROWS_GLSL
#define MATMUL_ROWS_GLSL
#extension GL_KHR_shader_subgroup_basic : require
#include "push_matmul.h"

#define CHUNK_MAX 4u               // rows of x that are computed or left out together

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 32;
layout(constant_id = PM_SPEC_MATMUL_TOKENS) const uint TOKENS = 1;
layout(constant_id = PM_SPEC_MATMUL_SLICES) const uint SLICES = 1;
layout(constant_id = PM_SPEC_MATMUL_LANES) const uint LANES = 32;
const uint CHUNK = TOKENS < CHUNK_MAX ? TOKENS : CHUNK_MAX;

shared float partial[SLICES > 1 ? LOCAL_X * CHUNK_MAX : 1];

// y of rows first .. first + last, weight row i.
void write_rows(float sum[TOKENS], uint first, uint last, uint i)
{
    const uint lane = gl_SubgroupInvocationID, slice = gl_SubgroupID;
    const bool present = i < p.n;
    const float bias = !present || is_null(p.bias) ? 0.0 : F32In(p.bias).v[i];
    F32Out y = F32Out(advance(p.y, first, p.y_stride * 4u));
    [[unroll]] for (uint c = 0; c < TOKENS; c += CHUNK) {
        if (c <= last) {
            if (SLICES > 1) {
                barrier();
                [[unroll]] for (uint t = 0; t < CHUNK; t++)
                    partial[t * LOCAL_X + slice * LANES + lane] = sum[c + t];
                barrier();
                // Each slice adds up other rows. A step that is more than CHUNK kept ANV of Mesa 22.3 from unrolling it and the
                // loop around, which put `sum` into memory: 3.5 to 5 times the cycles with 8 slices.
                [[unroll]] for (uint turn = 0; turn < (CHUNK + SLICES - 1) / SLICES; turn++) {
                    const uint t = turn * SLICES + slice;
                    if (present && t < CHUNK && c + t <= last) {
                        float total = partial[t * LOCAL_X + lane];
                        [[unroll]] for (uint s = 1; s < SLICES; s++)
                            total += partial[t * LOCAL_X + s * LANES + lane];
                        y.v[(c + t) * p.y_stride + i] = total + bias;
                    }
                }
            } else {
                [[unroll]] for (uint t = 0; t < CHUNK; t++)
                    if (present && c + t <= last)
                        y.v[(c + t) * p.y_stride + i] = sum[c + t] + bias;
            }
        }
    }
}
#endif
