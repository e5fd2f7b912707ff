// rope_kv_texels.comp - rotate Q and K by position; store K and V in their pages of f16, reading buffer textures
//
//   Buffers as in rope_kv.comp; qkv and table are textures of set 0, at bindings 0 and 1.
//
// For CPU drivers (op/texels.h). Grid: (heads + kv_heads, rows_max), LANES; a lane takes quads of
// elements whose pairs it has all of, so that nothing is shared: 4 elements, with NEOX 4 and those half a rotation
// further. head_dim and rotary_dim are multiples of 8.
// Bytes moved, reference and tolerance: as rope_kv.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "half.glsl"
#include "push_rope_kv.h"
#include "store_quad.glsl"

#define KV_HEADS p.kv_heads
#define KV_HEAD_DIM p.head_dim
#define KV_PAGE p.page_tokens
#include "kv.glsl"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LANES = 8;
layout(constant_id = PM_SPEC_ROPE_NEOX) const bool NEOX = false;
layout(set = 0, binding = 0) uniform samplerBuffer qkv;
layout(set = 0, binding = 1) uniform samplerBuffer table;

struct Place {                     // of what a workgroup writes
    U64Out q;                      // the head of Q
    U64Out k, v;                   // a KV head of the page
    uint t;                        // token of the page
    bool is_q;
};

uint64_t half_quad(vec4 value)
{
    return packUint2x32(uvec2(half_pair(value.x, value.y), half_pair(value.z, value.w)));
}

// Quad i of a head of K.
void store_key(Place to, uint i, vec4 value)
{
    to.k.v[(i / 2u * p.page_tokens + to.t) * 2u + i % 2u] = half_quad(value);
}

// Quad i of a rotated head.
void store_rotated(Place to, uint i, vec4 value)
{
    if (to.is_q)
        store_quad(to.q, i, value);
    else
        store_key(to, i, value);
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, h = gl_WorkGroupID.x, row = gl_WorkGroupID.y;
    const uint slot = U32In(p.slots).v[row], position = U32In(p.positions).v[row]; // before a branch: rmsnorm_texels.comp
    if (row >= U32In(p.rows).v[0])
        return;
    const uint quads = p.head_dim / 4u, turned = p.rotary_dim / 4u;
    const uint from = row * (p.qkv_stride / 4u) + h * quads, angles = position * turned;
    Place to;
    to.is_q = h < p.heads;
    if (!to.is_q && slot == 0xffffffffu)
        return;
    const uint kv_head = to.is_q ? 0u : h - p.heads;
    const uvec2 page = advance(p.kv, slot / p.page_tokens, p.page_bytes);
    to.q = U64Out(advance(advance(p.qkv, row, p.qkv_stride * 4u), h, p.head_dim * 4u));
    to.k = U64Out(advance(page, k_offset(kv_head), 1u));
    to.v = U64Out(advance(page, v_offset(kv_head), 1u));
    to.t = slot % p.page_tokens;

    if (NEOX) {
        for (uint i = lane; i < turned / 2u; i += LANES) {
            const vec4 a = texelFetch(qkv, int(from + i)), b = texelFetch(qkv, int(from + i + turned / 2u));
            const vec4 low = texelFetch(table, int(angles + 2u * i)), high = texelFetch(table, int(angles + 2u * i + 1u));
            const vec4 c = vec4(low.xz, high.xz), s = vec4(low.yw, high.yw);
            store_rotated(to, i, a * c - b * s);
            store_rotated(to, i + turned / 2u, a * s + b * c);
        }
    }
    for (uint i = lane; i < quads; i += LANES) {
        const vec4 x = texelFetch(qkv, int(from + i));
        if (NEOX) {
            if (!to.is_q && i >= turned)
                store_key(to, i, x);
        } else {
            const vec4 angle = texelFetch(table, int(angles + min(i, turned - 1u)));
            const vec4 rotated = vec4(x.x * angle.x - x.y * angle.y, x.x * angle.y + x.y * angle.x,
                                      x.z * angle.z - x.w * angle.w, x.z * angle.w + x.w * angle.z);
            store_rotated(to, i, mix(x, rotated, bvec4(i < turned)));
        }
        if (!to.is_q) {
            const vec4 value = texelFetch(qkv, int(from + p.kv_heads * quads + i));
            to.v.v[to.t * quads + i] = half_quad(value);
        }
    }
}
