// rope_kv.comp - rotate Q and K by position; store K and V in their pages
//
//     (a, b) at (c, s)  ->  (a c - b s, a s + b c)
//
//   qkv        [rows, qkv_stride]  f32   Q heads, K heads, V heads; Q is rotated in place
//   table      [positions, rotary_dim / 2, 2]  f32: cos, sin
//   positions  [rows] u32
//   slots      [rows] u32          page * page_tokens + index; 0xffffffff = store nothing
//   kv         pages as in src/op/kv_layout.h; KV_<type> names the type
//   rows       u32
//
// Grid: (heads + kv_heads, rows_max): a workgroup takes one head of Q, or K and V of one KV
// head, of one row through shared memory, so that rotation in place cannot read what it wrote.
// Pairs: (2i, 2i + 1), or (i, i + rotary_dim / 2) with NEOX; elements from rotary_dim on
// are copied. No sums of more than two terms. f16 is rounded to nearest even; q8_0 and q4_0
// as their reference quantisers do it, to the bit, with divisions made of integers.
// Bytes moved: rows * (2 heads + 2 kv_heads) * head_dim * 4, and the pages.
// Reference and tolerance: tests/op/test_rope_kv.c, in double; 2e-7 of |a c| + |b s|, of which 1.2e-7 was the
// worst seen, and half a unit where a key is rounded to f16; values to the bit. What q8_0 and q4_0 pages
// hold: tests/op/attention_case.c, to the bit.
// Source: J. Su et al., "RoFormer", 2021, arXiv:2104.09864, section 3.4.2.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "exact.glsl"
#include "half.glsl"
#include "push_rope_kv.h"

#define KV_HEADS p.kv_heads
#define KV_HEAD_DIM p.head_dim
#define KV_PAGE p.page_tokens
#include "kv.glsl"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 32;
layout(constant_id = PM_SPEC_ROPE_NEOX) const bool NEOX = false;

#define HEAD_MAX 256u

shared float head[HEAD_MAX];
shared float stored[2 * HEAD_MAX]; // K rotated; V

// Element d of the head, rotated.
float rotated(F32In angles, uint d)
{
    if (d >= p.rotary_dim)
        return head[d];
    const uint half_dim = p.rotary_dim / 2;
    const uint pair = NEOX ? d % half_dim : d / 2;
    const bool is_first = NEOX ? d < half_dim : (d & 1u) == 0u;
    const float c = angles.v[2 * pair], s = angles.v[2 * pair + 1];
    const float a = head[NEOX ? pair : 2 * pair], b = head[NEOX ? pair + half_dim : 2 * pair + 1];
    return is_first ? a * c - b * s : a * s + b * c;
}

#ifdef KV_SCALES
#define MAGNITUDE 0x7fffffffu
#define INFINITE 0x7f800000u
#ifdef KV_Q8_0
#define TINY 3.78489494323730469e-6 // 127 * 2^-25: the scale is zero in f16
#else
#define TINY 2.38418579101562500e-7 // 8 * 2^-25
#endif

// The scale of the 32 elements of stored[] from `at` on. Magnitudes are compared as integers:
// any NaN is above all numbers, and no denormal is flushed.
float block_scale(uint at)
{
    uint most = 0;
    for (uint i = 0; i < KV_BLOCK; i++) {
        const uint bits = floatBitsToUint(stored[at + i]);
        if ((bits & MAGNITUDE) > (most & MAGNITUDE))
            most = bits;
    }
    const float magnitude = uintBitsToFloat(most & MAGNITUDE);
    if ((most & MAGNITUDE) >= INFINITE)
        return magnitude;
    if (magnitude <= TINY) // from here on nothing meets a denormal
        return 0.0;
#ifdef KV_Q8_0
    return exact_quotient(magnitude, 127.0);
#else
    return uintBitsToFloat(floatBitsToUint(magnitude * 0.125) | (~most & ~MAGNITUDE));
#endif
}

// 1 / scale, or 0 where the block's integers are zero.
float inverse_scale(float scale)
{
    if (scale == 0.0 || (floatBitsToUint(scale) & MAGNITUDE) >= INFINITE)
        return 0.0;
    const float inverse = exact_quotient(1.0, abs(scale));
    return scale < 0.0 ? -inverse : inverse;
}

uint quantised(float x, float inverse)
{
#ifdef KV_Q8_0
    precise float y = abs(x) * abs(inverse);
    const float whole = floor(y);
    const int q = int(whole) + int(y - whole >= 0.5);
    return uint(x < 0.0 ? -q : q) & 0xffu;
#else
    precise float y = x * inverse;
    y = y + 8.5;
    return min(uint(y), 15u);
#endif
}

// Elements d .. d + 32 / bits - 1 as one word, from stored[] at `base`.
uint quantised_word(uint base, uint d)
{
    const float inverse = inverse_scale(block_scale(base + d / KV_BLOCK * KV_BLOCK));
#ifdef KV_Q8_0
    if (inverse == 0.0)
        return 0u;
    uint word = 0;
    for (uint i = 0; i < 4; i++)
        word |= quantised(stored[base + d + i], inverse) << (8 * i);
    return word;
#else
    if (inverse == 0.0)
        return 0x88888888u;
    uint word = 0;
    for (uint i = 0; i < 8; i++)
        word |= quantised(stored[base + d + i], inverse) << (i % 4 * 8 + i / 4 * 4);
    return word;
#endif
}
#endif

#define WORD (KV_PIECE / 4u)       // elements in 4 bytes

// Elements d .. d + WORD - 1 as the page holds them, from stored[] at `base`.
uint packed_word(uint base, uint d)
{
#if defined(KV_F32)
    return floatBitsToUint(stored[base + d]);
#elif defined(KV_F16)
    return half_pair(stored[base + d], stored[base + d + 1]);
#else
    return quantised_word(base, d);
#endif
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, h = gl_WorkGroupID.x, row = gl_WorkGroupID.y;
    if (row >= U32In(p.rows).v[0])
        return;
    F32Out qkv = F32Out(advance(p.qkv, row, p.qkv_stride * 4u));
    const uint base = h * p.head_dim;
    for (uint d = lane; d < p.head_dim; d += LOCAL_X)
        head[d] = qkv.v[base + d];
    barrier();

    F32In angles = F32In(advance(p.table, U32In(p.positions).v[row], p.rotary_dim * 4u));
    if (h < p.heads) {
        for (uint d = lane; d < p.head_dim; d += LOCAL_X)
            qkv.v[base + d] = rotated(angles, d);
        return;
    }
    const uint slot = U32In(p.slots).v[row];
    if (slot == 0xffffffffu)
        return;
    for (uint d = lane; d < p.head_dim; d += LOCAL_X) {
        stored[d] = rotated(angles, d);
        stored[HEAD_MAX + d] = qkv.v[base + p.kv_heads * p.head_dim + d];
    }
    barrier();

    const uvec2 page = advance(p.kv, slot / p.page_tokens, p.page_bytes);
    const uint t = slot % p.page_tokens, kv_head = h - p.heads;
    U32Out k = U32Out(advance(page, k_offset(kv_head), 1u)), v = U32Out(advance(page, v_offset(kv_head), 1u));
    for (uint word = lane; word < p.head_dim / WORD; word += LOCAL_X) {
        k.v[(word / 4 * p.page_tokens + t) * 4 + word % 4] = packed_word(0, word * WORD);
        v.v[t * (p.head_dim / WORD) + word] = packed_word(HEAD_MAX, word * WORD);
    }
#ifdef KV_SCALES
    U32Out scales = U32Out(advance(page, scale_offset(kv_head), 1u));
    for (uint b = lane; b < p.head_dim / KV_BLOCK; b += LOCAL_X)
        scales.v[b * p.page_tokens + t] =
            half_pair(block_scale(b * KV_BLOCK), block_scale(HEAD_MAX + b * KV_BLOCK));
#endif
}
