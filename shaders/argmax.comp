// argmax.comp - tokens[r] = the smallest i with x[r,i] == max over x[r,0 .. n - 1]
//
//   x       [rows, x_stride]  f32
//   tokens  [rows]            u32; 0xffffffff when every x[r,:] is NaN
//   rows    u32
//
// Grid: one workgroup per row. A NaN never wins: NaN > y is false for every y.
// Exact: comparisons only, so no tolerance. Bytes moved: rows * n * 4.
// Reference: tests/op/test_rows.c.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "push_argmax.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 64;
#define NONE 0xffffffffu

shared float best_value[LOCAL_X];
shared uint best_index[LOCAL_X];

// True when (value, index) beats (other, other_index). NONE is beaten by any number.
bool beats(float value, uint index, float other, uint other_index)
{
    if (index == NONE)
        return false;
    return other_index == NONE || value > other || (value == other && index < other_index);
}

void main()
{
    const uint lane = gl_LocalInvocationID.x;
    const uint row = gl_WorkGroupID.x;
    if (row >= U32In(p.rows).v[0])
        return;
    F32In x = F32In(advance(p.x, row, p.x_stride * 4u));
    float value = 0.0;
    uint index = NONE;
    for (uint i = lane; i < p.n; i += LOCAL_X) {
        const float candidate = x.v[i];
        // Bits, not isnan(): a driver may assume that there are no NaNs.
        const bool is_number = (floatBitsToUint(candidate) & 0x7fffffffu) <= 0x7f800000u;
        if (is_number && (index == NONE || candidate > value)) {
            value = candidate;
            index = i;
        }
    }
    best_value[lane] = value;
    best_index[lane] = index;
    barrier();
    for (uint half_count = LOCAL_X / 2; half_count > 0; half_count /= 2) {
        if (lane < half_count &&
            beats(best_value[lane + half_count], best_index[lane + half_count], best_value[lane], best_index[lane])) {
            best_value[lane] = best_value[lane + half_count];
            best_index[lane] = best_index[lane + half_count];
        }
        barrier();
    }
    if (lane == 0)
        U32Out(p.tokens).v[row] = best_index[0];
}
