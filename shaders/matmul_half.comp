// matmul_half.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], tiles of f16 in shared memory
//
//   Buffers as in matmul.comp.
//
// matmul_tile.comp with both tiles rounded to f16: half the shared memory and half its traffic, and
// products whose factors a GPU may read as f16 (AMD's v_fma_mix_f32). Products are exact and
// sums are f32. Needs f16 arithmetic, for conversions that round to nearest; no 16-bit storage.
//
// For many rows. Grid: (ceil(n / 64), ceil(rows_max / 64)), 128 lanes. For each block of 32 of k lanes
// 0 .. 63 decode one weight row each and lanes 64 .. 127 bring 64 rows of x, 8s of them; then lane
// l sums outputs l % 16 + 16 i (i < 4) of rows l / 16 + 8 j (j < 8). A slot is a staged row: x has
// 0 .. 63, W 64 .. 127; slots are 5 uvec4s apart, so that 8 neighbours read all 32 banks.
// Range: as matmul_coopmat.comp: each slot is staged times a power of two of its own, which starts at
// 2^120 and is lowered, and its sums with it, when a value would pass 65504. No finite value
// becomes infinite, rows do not touch each other.
// Order of additions: along k, one product after the other; then the powers of two.
// Bytes moved: the weights once for every 64 rows, x once for every 64 outputs (from cache), y once.
// Operations: 2 rows n k. Shared memory: 11.5 KiB, of which 12 loads of 16 bytes serve 256 multiply-adds.
// Not chosen by itself, only when forced. navi21 (Mesa 22.3's compiler, no spills): all products are
// v_fma_mix_f32, but 2672 instructions and inverse throughput 7279 with Q4_0 stand against 2168 and 5825 of
// matmul_tile.comp (rescale(), which rarely runs, counts), both with 88 registers, 10 waves against
// 8: that one's loads already hide behind its multiply-adds. On lavapipe, busy with
// other work, no difference stood out of the noise (128 rows, 110M parameters, 2 runs each: 24 and 18 tok/s, matmul_tile.comp 18 and 19).
// Reference: tests/ref/matmul.h. Tolerance: x and W each err by 2^-11 of a term, so 2^-10 of the sum of
// |terms| bounds it; 4.9e-4 was the worst seen, never more than twice plain C's with both factors rounded.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "weight.glsl"
#include "push_matmul.h"

#define TILE 64u
#define EIGHTS 4u                  // of a block
#define PITCH (EIGHTS + 1u)
#define OUT_LANES 16u
#define ROW_LANES 8u
#define OUTS 4u                    // of a lane
#define ROWS 8u
#define TOP 65504.0
#define EXPONENT_START (127u + 120u)
#define EXPONENT_LARGEST (127u + 8u)
layout(local_size_x = 128) in;

shared uvec4 tile[2 * TILE * PITCH];
shared uint exponent_shared[2 * TILE]; // of a slot's power of two, as the bits of a float have it
shared float fade_shared[2 * TILE];    // what the sums so far are multiplied with
shared uint most_shared[2 * TILE];     // bits of the largest |value| of a block
shared uint beyond_shared;             // a value of this block is out of range

float sums[OUTS * ROWS];

// 2^(exponent - 127)
float power(uint exponent)
{
    return uintBitsToFloat(exponent << 23);
}

float largest(vec4 low, vec4 high)
{
    const vec4 a = max(abs(low), abs(high));
    return max(max(a.x, a.y), max(a.z, a.w));
}

uvec4 halves(vec4 low, vec4 high)
{
    const f16vec4 a = f16vec4(low), b = f16vec4(high);
    return uvec4(packFloat2x16(a.xy), packFloat2x16(a.zw), packFloat2x16(b.xy), packFloat2x16(b.zw));
}

float add_halves(float sum, uvec4 a, uvec4 b)
{
    [[unroll]] for (uint j = 0; j < 4; j++) {
        const vec2 p = vec2(unpackFloat2x16(a[j])), q = vec2(unpackFloat2x16(b[j]));
        sum += p.x * q.x;
        sum += p.y * q.y;
    }
    return sum;
}

// Where eight j of this lane goes: its slot and its place in it.
uint slot_of(uint lane, uint j)
{
    return lane < TILE ? TILE + lane : (j * TILE + lane - TILE) / EIGHTS;
}

uint place_of(uint lane, uint j)
{
    return lane < TILE ? j : lane % EIGHTS;
}

// Lowers the powers of the slots that have a value beyond the range, and their sums with them.
// By all lanes, behind a barrier; there are as many lanes as slots.
void rescale(vec4 values[8], uint lane)
{
    most_shared[lane] = 0;
    barrier();
    [[unroll]] for (uint j = 0; j < EIGHTS; j++)
        atomicMax(most_shared[slot_of(lane, j)], floatBitsToUint(largest(values[2 * j], values[2 * j + 1])));
    barrier();
    const uint before = exponent_shared[lane];
    uint now = before;
    if (uintBitsToFloat(most_shared[lane]) * power(before) > TOP)
        now = EXPONENT_LARGEST + 127u - (most_shared[lane] >> 23 & 255u);
    exponent_shared[lane] = now;
    fade_shared[lane] = before - now < 127u ? power(127u - (before - now)) : 0.0;
    if (lane == 0)
        beyond_shared = 0;
    barrier();
    [[unroll]] for (uint o = 0; o < OUTS; o++)
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            sums[o * ROWS + r] *= fade_shared[TILE + lane % OUT_LANES + OUT_LANES * o] *
                                  fade_shared[lane / OUT_LANES + ROW_LANES * r];
}

void main()
{
    const uint rows = U32In(p.rows).v[0], first = gl_WorkGroupID.y * TILE;
    if (first >= rows)
        return;
    const uint lane = gl_LocalInvocationID.x, last = rows - 1 - first;
    const uint out_lane = lane % OUT_LANES, row_lane = lane / OUT_LANES;
    const uint out_base = gl_WorkGroupID.x * TILE;
    // The second half of the last tile may lie past the matrix: it repeats the last row.
    Weight weight = weight_row(p.pieces, p.scales, min(out_base + lane % TILE, p.n - 1), p.group_pieces, p.group_scales);
    F32x4In x = F32x4In(advance(p.x, first, p.x_stride * 4u));
    const uint stride = p.x_stride / 4;

    exponent_shared[lane] = EXPONENT_START;
    if (lane == 0)
        beyond_shared = 0;
    [[unroll]] for (uint s = 0; s < OUTS * ROWS; s++)
        sums[s] = 0.0;
    barrier();
    for (uint b = 0; b < p.blocks; b++) {
        vec4 values[8];
        if (lane < TILE) {
            load_block(weight, b, values);
        } else {
            [[unroll]] for (uint j = 0; j < EIGHTS; j++) { // rows past the count repeat the last
                const uint from = min(slot_of(lane, j), last) * stride + b * 8 + 2 * place_of(lane, j);
                values[2 * j] = x.v[from];
                values[2 * j + 1] = x.v[from + 1];
            }
        }
        bool beyond = false;
        [[unroll]] for (uint j = 0; j < EIGHTS; j++)
            beyond = beyond || largest(values[2 * j], values[2 * j + 1]) * power(exponent_shared[slot_of(lane, j)]) > TOP;
        if (beyond)
            beyond_shared = 1;
        barrier(); // all have said so, and none still multiplies
        if (beyond_shared != 0)
            rescale(values, lane);
        [[unroll]] for (uint j = 0; j < EIGHTS; j++) {
            const float scale = power(exponent_shared[slot_of(lane, j)]);
            tile[slot_of(lane, j) * PITCH + place_of(lane, j)] = halves(scale * values[2 * j], scale * values[2 * j + 1]);
        }
        barrier();
        [[unroll]] for (uint k = 0; k < EIGHTS; k++) {
            uvec4 w[OUTS];
            [[unroll]] for (uint o = 0; o < OUTS; o++)
                w[o] = tile[(TILE + out_lane + OUT_LANES * o) * PITCH + k];
            [[unroll]] for (uint c = 0; c < ROWS; c += 2) {
                if (ROW_LANES * c <= last) {
                    [[unroll]] for (uint i = 0; i < 2; i++) {
                        const uint r = c + i;
                        const uvec4 eight = tile[(row_lane + ROW_LANES * r) * PITCH + k];
                        [[unroll]] for (uint o = 0; o < OUTS; o++)
                            sums[o * ROWS + r] = add_halves(sums[o * ROWS + r], w[o], eight);
                    }
                }
            }
        }
    }
    F32Out y = F32Out(advance(p.y, first, p.y_stride * 4u));
    [[unroll]] for (uint o = 0; o < OUTS; o++) {
        const uint column = out_lane + OUT_LANES * o, i = out_base + column;
        if (i < p.n) {
            const float bias = is_null(p.bias) ? 0.0 : F32In(p.bias).v[i], scale = power(254u - exponent_shared[TILE + column]);
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                const uint row = row_lane + ROW_LANES * r;
                if (row <= last)
                    y.v[row * p.y_stride + i] = sums[o * ROWS + r] * power(254u - exponent_shared[row]) * scale + bias;
            }
        }
    }
}
