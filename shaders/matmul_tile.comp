// matmul_tile.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], tiles in shared memory
//
//   Buffers as in matmul.comp.
//
// For many rows. Grid: (ceil(n / 64), ceil(rows_max / 64)), 128 lanes. For each block of 32
// of k, lanes 0 .. 63 decode one weight row each and lanes 64 .. 127 bring 64 rows of x;
// then lane l sums outputs l % 16 + 16 i (i < 4) of rows l / 16 + 8 j (j < 8): 32 sums in
// registers, 12 loads from shared memory for 128 multiply-adds. Rows of the tiles are 9
// quads apart, so that 8 lanes that read neighbouring rows read all 32 banks. Rows of x count
// in pairs of j: a tile with few rows present costs what they cost, to 16.
// Order of additions: as matmul.comp with one slice.
// Bytes moved: the weights once for every 64 rows, x once for every 64 outputs (from cache),
// y once. Operations: 2 rows n k. Bound: multiply-adds, of which 128 instructions stand
// against 64 cycles of shared memory. Shared memory: 18 KiB.
// Reference and tolerance: as matmul.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "weight.glsl"
#include "push_matmul.h"

#define TILE 64u
#define QUADS 8u                   // of a block
#define PITCH (QUADS + 1u)
#define OUT_LANES 16u
#define ROW_LANES 8u
#define OUTS 4u                    // of a lane
#define ROWS 8u
layout(local_size_x = 128) in;

shared vec4 w_tile[TILE * PITCH];
shared vec4 x_tile[TILE * PITCH];

void main()
{
    const uint rows = U32In(p.rows).v[0], first = gl_WorkGroupID.y * TILE;
    if (first >= rows)
        return;
    const uint lane = gl_LocalInvocationID.x, side = lane % TILE, last = rows - 1 - first;
    const uint out_lane = lane % OUT_LANES, row_lane = lane / OUT_LANES;
    const uint out_base = gl_WorkGroupID.x * TILE;
    // The second half of the last tile may lie past the matrix: it repeats the last row.
    Weight weight = weight_row(p.pieces, p.scales, min(out_base + side, p.n - 1), p.group_pieces, p.group_scales);
    F32x4In x = F32x4In(advance(p.x, first, p.x_stride * 4u));
    const uint stride = p.x_stride / 4;

    float sum[OUTS * ROWS];
    [[unroll]] for (uint s = 0; s < OUTS * ROWS; s++)
        sum[s] = 0.0;
    for (uint b = 0; b < p.blocks; b++) {
        barrier();
        if (lane < TILE) {
            vec4 w[8];
            load_block(weight, b, w);
            [[unroll]] for (uint j = 0; j < QUADS; j++)
                w_tile[side * PITCH + j] = w[j];
        } else {
            [[unroll]] for (uint j = 0; j < QUADS; j++) {
                const uint row = (j * TILE + side) / QUADS, quad = side % QUADS;
                x_tile[row * PITCH + quad] = x.v[min(row, last) * stride + b * QUADS + quad];
            }
        }
        barrier();
        [[unroll]] for (uint k = 0; k < QUADS; k++) {
            vec4 w[OUTS];
            [[unroll]] for (uint o = 0; o < OUTS; o++)
                w[o] = w_tile[(out_lane + OUT_LANES * o) * PITCH + k];
            [[unroll]] for (uint c = 0; c < ROWS; c += 2) {
                if (ROW_LANES * c <= last) {
                    [[unroll]] for (uint i = 0; i < 2; i++) {
                        const uint r = c + i;
                        const vec4 quad = x_tile[(row_lane + ROW_LANES * r) * PITCH + k];
                        [[unroll]] for (uint o = 0; o < OUTS; o++)
                            sum[o * ROWS + r] = add_products(sum[o * ROWS + r], w[o], quad);
                    }
                }
            }
        }
    }
    F32Out y = F32Out(advance(p.y, first, p.y_stride * 4u));
    [[unroll]] for (uint o = 0; o < OUTS; o++) {
        const uint i = out_base + out_lane + OUT_LANES * o;
        if (i < p.n) {
            const float bias = is_null(p.bias) ? 0.0 : F32In(p.bias).v[i];
            [[unroll]] for (uint r = 0; r < ROWS; r++)
                if (row_lane + ROW_LANES * r <= last)
                    y.v[(row_lane + ROW_LANES * r) * p.y_stride + i] = sum[o * ROWS + r] + bias;
        }
    }
}
