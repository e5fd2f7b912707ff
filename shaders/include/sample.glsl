// sample.glsl - what the sampling kernels share: logits as keys, weights, and sums of 64 bits.
#extension GL_EXT_control_flow_attributes : require
#include "address.glsl"
#include "push_sample.h"
#include "sample_row.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 64; // a power of two, 32 to 256

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer RowIn { pm_sample_row v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer EditIn { pm_sample_edit v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer LogprobsOut { pm_sample_logprobs v[]; };

#define FLOAT_MAX 3.40282347e38

// ---------------------------------------------------------------- keys

// Logits as integers: smaller is greater. +0 and -0 are one key.
#define KEY_NONE 0xffffffffu // NaN, -inf, masked: never picked
#define KEY_INF 0x007fffffu  // +inf
#define KEY_ZERO 0x7fffffffu

uint key_of(uint bits)
{
    const uint magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u || bits == 0xff800000u)
        return KEY_NONE;
    return magnitude == bits ? KEY_ZERO - magnitude : KEY_ZERO + magnitude;
}

float value_of(uint key)
{
    return uintBitsToFloat(key <= KEY_ZERO ? KEY_ZERO - key : 0x80000000u | (key - KEY_ZERO));
}

bool better(uint key, uint id, uint other, uint other_id)
{
    return key < other || (key == other && id < other_id);
}

// Of the tokens at .. at + 3, at a multiple of 4; those past n are none. Sets nan when one is NaN.
uvec4 keys_of(uvec4 bits, uint at, uint n, inout bool nan)
{
    const uvec4 magnitude = bits & 0x7fffffffu;
    const bvec4 there = lessThan(uvec4(at, at + 1u, at + 2u, at + 3u), uvec4(n));
    const bvec4 number = lessThanEqual(magnitude, uvec4(0x7f800000u));
    const uvec4 key = mix(KEY_ZERO + magnitude, KEY_ZERO - magnitude, equal(bits, magnitude));
    bvec4 some;
    [[unroll]] for (uint c = 0; c < 4; c++) {
        some[c] = there[c] && number[c] && bits[c] != 0xff800000u;
        nan = nan || (there[c] && !number[c]);
    }
    return mix(uvec4(KEY_NONE), key, some);
}

// ------------------------------------------------------ 64-bit integers, x low

uvec2 add(uvec2 a, uvec2 b)
{
    uint carry;
    const uint low = uaddCarry(a.x, b.x, carry);
    return uvec2(low, a.y + b.y + carry);
}

uvec2 subtract(uvec2 a, uvec2 b)
{
    uint borrow;
    const uint low = usubBorrow(a.x, b.x, borrow);
    return uvec2(low, a.y - b.y - borrow);
}

bool less(uvec2 a, uvec2 b)
{
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

// floor(a b / 2^64)
uvec2 multiply_high(uvec2 a, uvec2 b)
{
    uvec2 ll, lh, hl, hh;
    umulExtended(a.x, b.x, ll.y, ll.x);
    umulExtended(a.x, b.y, lh.y, lh.x);
    umulExtended(a.y, b.x, hl.y, hl.x);
    umulExtended(a.y, b.y, hh.y, hh.x);
    uint carry, more;
    uint middle = uaddCarry(ll.y, lh.x, carry);
    middle = uaddCarry(middle, hl.x, more);
    return add(add(hh, uvec2(lh.y, 0)), add(uvec2(hl.y, 0), uvec2(carry + more, 0)));
}

// -------------------------------------------------------------- weights

// The formula of src/sample/pick.h; `precise`, since each step must be rounded by itself.
uvec2 weight_of(float logit, float most, float scale)
{
    precise const float below = max(logit - most, -FLOAT_MAX);
    precise const float t = below * scale;
    if (!(t > -46.0))
        return uvec2(0);
    const float whole = floor(t);
    precise const float f = t - whole;
    precise float v = PM_EXP2_C6;
    v = v * f + PM_EXP2_C5;
    v = v * f + PM_EXP2_C4;
    v = v * f + PM_EXP2_C3;
    v = v * f + PM_EXP2_C2;
    v = v * f + PM_EXP2_C1;
    v = v * f + 1.0;
    const uint m = uint(v * 8388608.0);
    const int shift = 22 + int(whole); // -24 to 22
    if (shift < 0)
        return uvec2(m >> uint(-shift), 0);
    return uvec2(m << uint(shift), shift == 0 ? 0u : m >> uint(32 - shift));
}
