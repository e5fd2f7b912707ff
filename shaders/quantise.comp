// quantise.comp - activations to 8-bit blocks of 32, for packed dot products
//
//   d = max |x| / 127          q[i] = round(x[i] * (127 / max |x|)), ties to even
//
//   x     [rows, x_stride] f32; elements k .. 32 blocks - 1 of a row are zero
//   y     [ceil(rows / 4), blocks, 40] u32, as q8_block.h says. Of row r % 4 of a chunk:
//         words 8 (r % 4) ..: byte i of word j is q[4j + i]; words 32 + 2 (r % 4) ..: d as f32, and the
//         sums of q[0..15] (low 16 bits) and of q[16..31] (high), which types with an offset want
//   rows  u32: rows past it are not written
//
// Grid: (ceil(blocks / 8), rows_max), 64 lanes: a lane owns 4 elements, 8 lanes a block.
// Numerics: |q| <= 127, |x - d q| <= d / 2 and a few ulp of x. A division may err by 2.5 ulp, so
// that a quotient that close to a tie may go either way between devices; d and the sums are
// exact functions of max |x| and q. A block whose largest is below 2^-118 is zero, one that
// holds inf or NaN has q = 0 and d = NaN, so that it shows in every output.
// Bytes moved: x once, 40 for each 32 elements. Latency, not bandwidth, is its cost.
// Reference: tests/op/test_quantise.c, the same in C.
// Source: the block is that of GGUF's Q8_1 with d in f32 and the sum in two halves.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "address.glsl"
#include "push_quantise.h"

#define LANES 64u
#define BLOCK_LANES 8u
layout(local_size_x = 64) in;

shared uint top[LANES];            // magnitudes as bits: their order is that of the floats, and NaN is above all
shared int total[LANES];

void main()
{
    const uint row = gl_WorkGroupID.y;
    if (row >= U32In(p.rows).v[0])
        return;
    const uint lane = gl_LocalInvocationID.x, quad = gl_WorkGroupID.x * LANES + lane;
    const bool inside = quad < p.blocks * BLOCK_LANES;
    const uint first = lane / BLOCK_LANES * BLOCK_LANES; // lane of the block
    vec4 x = vec4(0.0);
    if (inside)
        x = F32x4In(advance(p.x, row, p.x_stride * 4u)).v[quad];
    const uvec4 bits = floatBitsToUint(x) & 0x7fffffffu;
    top[lane] = max(max(bits.x, bits.y), max(bits.z, bits.w));
    barrier();
    uint most = 0u;
    [[unroll]] for (uint j = 0; j < BLOCK_LANES; j++)
        most = max(most, top[first + j]);

    ivec4 q = ivec4(0);
    uint d = 0u;
    if (most >= 0x7f800000u) {
        d = 0x7fc00000u;
    } else if (most >= 0x04800000u) { // 2^-118: d is no denormal, 127 / most is finite
        d = floatBitsToUint(uintBitsToFloat(most) * (1.0 / 127.0));
        q = ivec4(roundEven(x * (127.0 / uintBitsToFloat(most))));
    }
    total[lane] = q.x + q.y + q.z + q.w;
    barrier();
    if (!inside)
        return;
    const uint block = quad / BLOCK_LANES, place = row % PM_Q8_CHUNK;
    const uvec2 chunk = advance(p.y, row / PM_Q8_CHUNK, p.blocks * PM_Q8_WORDS * 4u);
    U32Out y = U32Out(advance(chunk, block, PM_Q8_WORDS * 4u));
    y.v[place * 8u + lane - first] =
        uint(q.x & 255) | uint(q.y & 255) << 8 | uint(q.z & 255) << 16 | uint(q.w & 255) << 24;
    if (lane != first)
        return;
    const int low = total[lane] + total[lane + 1] + total[lane + 2] + total[lane + 3];
    const int high = total[lane + 4] + total[lane + 5] + total[lane + 6] + total[lane + 7];
    y.v[PM_Q8_CHUNK * 8u + place * 2u] = d;
    y.v[PM_Q8_CHUNK * 8u + place * 2u + 1u] = uint(low & 0xffff) | uint(high) << 16;
}
