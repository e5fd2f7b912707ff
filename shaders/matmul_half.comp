// matmul_half.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], tiles of f16 in shared memory
//
//   Buffers as in matmul.comp.
//
// For many rows on a device whose f16 arithmetic takes pairs. Grid: (ceil(n / 64),
// ceil(rows_max / 64)), 128 lanes. For each block of 32 of k, lanes 0 .. 63 decode one weight row each
// and lanes 64 .. 127 bring one row of x each, both divided by a power of two that puts the
// block's largest into [4, 8), and as f16; then lane l sums outputs l % 16 + 16 i (i < 4) of rows
// l / 16 + 8 j (j < 8). Rows of the tiles are 9 quads apart, so that 16 lanes that read neighbouring
// rows read all banks. Rows of x count in pairs of j, as in matmul_tile.comp.
// Numerics: w and x are rounded to f16, 2^-11 of each or 2^-27 of the block's largest. For each
// 16 of k two sums of 8 products each, of even and odd k's, and their sum are in f16: at most 1024, so that
// nothing overflows, whatever the range of w and x. Times both powers of two, all else is
// f32, in ascending order of k. A block of x that holds inf or NaN makes its row NaN; of one whose largest is below
// 2^-120 nothing is left.
// Bytes moved: the weights once for every 64 rows, x once for every 64 outputs (from cache), y
// once. Operations: 2 rows n k. For 16 of k and one sum 8 multiply-adds of pairs and 3 others stand
// for the 16 of matmul_tile.comp, and half its bytes from shared memory, of which there are
// 9.5 KiB. navi21 (Mesa 22.3's compiler, no spills): 96 registers, 10 waves and inverse
// throughput 5267 for Q4_0, against 88, 8 and 6251.
// Reference and tolerance: tests/op/test_weight.c, double over exactly dequantised weights: 7.6e-4
// of the sum of |terms| was the worst seen, 5.1e-5 with 5632 terms.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
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

shared uvec2 tile[2 * TILE * PITCH]; // f16 quads: weights, then x
shared float power[2 * TILE];

// A block as f16 in row `row` of the tiles, and its power of two.
void put_block(vec4 v[8], uint row)
{
    uint top = 0u;
    [[unroll]] for (uint j = 0; j < QUADS; j++) {
        const uvec4 bits = floatBitsToUint(v[j]) & 0x7fffffffu; // their order is that of the floats, NaN above all
        top = max(top, max(max(bits.x, bits.y), max(bits.z, bits.w)));
    }
    const uint exponent = top >> 23;
    const float down = exponent < 7u || exponent == 255u ? 0.0 : uintBitsToFloat((256u - exponent) << 23);
    const uint up = exponent < 7u ? 0u : exponent == 255u ? 0x7fc00000u : (exponent - 2u) << 23; // NaN shows in y
    power[row] = uintBitsToFloat(up);
    [[unroll]] for (uint j = 0; j < QUADS; j++)
        tile[row * PITCH + j] =
            uvec2(packFloat2x16(f16vec2(v[j].xy * down)), packFloat2x16(f16vec2(v[j].zw * down)));
}

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
    F32x4In x = F32x4In(advance(p.x, first + min(side, last), p.x_stride * 4u));

    float sum[OUTS * ROWS];
    [[unroll]] for (uint s = 0; s < OUTS * ROWS; s++)
        sum[s] = 0.0;
    for (uint b = 0; b < p.blocks; b++) {
        vec4 v[8];
        if (lane < TILE) {
            load_block(weight, b, v);
        } else {
            [[unroll]] for (uint j = 0; j < QUADS; j++)
                v[j] = x.v[b * QUADS + j];
        }
        barrier();
        put_block(v, lane);
        barrier();
        float scale[OUTS];
        [[unroll]] for (uint o = 0; o < OUTS; o++)
            scale[o] = power[out_lane + OUT_LANES * o];
        [[unroll]] for (uint k = 0; k < QUADS; k += 4) {
            uvec2 w[OUTS * 4];
            [[unroll]] for (uint o = 0; o < OUTS; o++)
                [[unroll]] for (uint j = 0; j < 4; j++)
                    w[o * 4 + j] = tile[(out_lane + OUT_LANES * o) * PITCH + k + j];
            [[unroll]] for (uint c = 0; c < ROWS; c += 2) {
                if (ROW_LANES * c <= last) {
                    [[unroll]] for (uint i = 0; i < 2; i++) {
                        const uint r = c + i;
                        const uint row = TILE + row_lane + ROW_LANES * r;
                        f16vec2 h[OUTS];
                        [[unroll]] for (uint j = 0; j < 4; j++) {
                            const uvec2 quad = tile[row * PITCH + k + j];
                            const f16vec2 x_low = unpackFloat2x16(quad.x), x_high = unpackFloat2x16(quad.y);
                            [[unroll]] for (uint o = 0; o < OUTS; o++) {
                                const f16vec2 w_low = unpackFloat2x16(w[o * 4 + j].x);
                                h[o] = j == 0 ? w_low * x_low : fma(w_low, x_low, h[o]);
                                h[o] = fma(unpackFloat2x16(w[o * 4 + j].y), x_high, h[o]);
                            }
                        }
                        const float row_scale = power[row];
                        [[unroll]] for (uint o = 0; o < OUTS; o++)
                            sum[o * ROWS + r] += scale[o] * row_scale * float(h[o].x + h[o].y);
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
