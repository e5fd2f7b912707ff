// rope_kv.comp - rotate Q and K by position; store K and V in their pages
//
//     (a, b) at (c, s)  ->  (a c - b s, a s + b c)
//
//   qkv        [rows, qkv_stride]  f32   Q heads, K heads, V heads; Q is rotated in place
//   table      [positions, rotary_dim / 2, 2]  f32: cos, sin
//   positions  [rows] u32
//   slots      [rows] u32          page * page_tokens + index; 0xffffffff = store nothing
//   kv         pages as in src/op/kv_layout.h, f16, or f32 with KV_F32
//   rows       u32
//
// Grid: (heads + 2 kv_heads, rows_max): a workgroup takes one head of one row through
// shared memory, so that rotation in place cannot read what it wrote.
// Pairs: (2i, 2i + 1), or (i, i + rotary_dim / 2) with NEOX; elements from rotary_dim on
// are copied. No sums of more than two terms. f16 is rounded to nearest even.
// Bytes moved: rows * (2 heads + 2 kv_heads) * head_dim * 4, and the pages.
// Reference and tolerance: tests/op/test_rope_kv.c, in double; 2e-7 of |a c| + |b s|, of which 1.2e-7 was the
// worst seen, and half a unit where a key is rounded to f16; values to the bit.
// Source: J. Su et al., "RoFormer", 2021, arXiv:2104.09864, section 3.4.2.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "half.glsl"
#include "push_rope_kv.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 32;
layout(constant_id = PM_SPEC_ROPE_NEOX) const bool NEOX = false;

shared float head[256];

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

// Words of a page: K elements d, d + 1 of token t lie in one word (f16) or two (f32).
uint k_word(uint kv_head, uint d, uint t)
{
#ifdef KV_F32
    return kv_head * p.head_dim * p.page_tokens + (d / 4 * p.page_tokens + t) * 4 + d % 4;
#else
    return (kv_head * p.head_dim * p.page_tokens + (d / 8 * p.page_tokens + t) * 8 + d % 8) / 2;
#endif
}

uint v_word(uint kv_head, uint d, uint t)
{
    const uint element = ((p.kv_heads + kv_head) * p.page_tokens + t) * p.head_dim + d;
#ifdef KV_F32
    return element;
#else
    return element / 2;
#endif
}

void store(U32Out page, uint word, float low, float high)
{
#ifdef KV_F32
    page.v[word] = floatBitsToUint(low);
    page.v[word + 1] = floatBitsToUint(high);
#else
    page.v[word] = half_pair(low, high);
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
    U32Out page = U32Out(advance(p.kv, slot / p.page_tokens, p.page_bytes));
    const uint t = slot % p.page_tokens;
    const bool is_v = h >= p.heads + p.kv_heads;
    const uint kv_head = h - p.heads - (is_v ? p.kv_heads : 0u);
    for (uint d = 2 * lane; d < p.head_dim; d += 2 * LOCAL_X) {
        if (is_v)
            store(page, v_word(kv_head, d, t), head[d], head[d + 1]);
        else
            store(page, k_word(kv_head, d, t), rotated(angles, d), rotated(angles, d + 1));
    }
}
