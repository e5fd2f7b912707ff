// pack.comp - GGUF blocks to the packed layout of src/op/weight.h
//
//   raw     [rows, row_bytes] bytes of the file, 4-byte aligned as a whole; TYPE_<type> names the type
//   pieces, scales: weight rows row_base .. row_base + rows - 1 are written
//
// Grid: (rows, ceil(units / LOCAL_X)): a lane packs one unit, the shortest run of a row that
// fills whole pieces and scale words: 32 elements of F32, F16 and BF16 (zeros past k), 32 to 128 of
// the types with blocks of 32, 256 of the K types, 512 of most codebook types. Blocks lie at any
// byte, so words are put together from two. Exact: bits are moved, no value is computed.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "address.glsl"
#include "push_pack.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
#define WEIGHT_GROUP 32u

uint raw_shift;                    // bytes from the word below the row to the row
U32In raw_words;                   // that word

// 4 bytes of the row from byte `at`, of which the first is inside the row.
uint raw_u32(uint at)
{
    at += raw_shift;
    const uint word = raw_words.v[at / 4], shift = 8 * (at % 4);
    return shift == 0 ? word : (word >> shift) | (raw_words.v[at / 4 + 1] << (32 - shift));
}

uint raw_u16(uint at)
{
    at += raw_shift;
    const uint word = raw_words.v[at / 4], shift = 8 * (at % 4);
    return shift < 24 ? (word >> shift) & 0xffffu : (word >> 24) | ((raw_words.v[at / 4 + 1] & 0xffu) << 8);
}

U32x4Out pieces;
U32Out scales;

void put_piece(uint i, uvec4 value)
{
    pieces.v[i * WEIGHT_GROUP] = value;
}

void put_scale(uint i, uint value)
{
    scales.v[i * WEIGHT_GROUP] = value;
}

#if defined(TYPE_F32)
#include "pack_f32.glsl"
#elif defined(TYPE_F16) || defined(TYPE_BF16)
#include "pack_f16.glsl"
#elif defined(TYPE_Q8_0)
#include "pack_q8_0.glsl"
#elif defined(TYPE_Q4_0)
#include "pack_q4_0.glsl"
#elif defined(TYPE_Q4_K)
#include "pack_q4_k.glsl"
#elif defined(TYPE_Q6_K)
#include "pack_q6_k.glsl"
#elif defined(TYPE_Q4_1)
#include "pack_q4_1.glsl"
#elif defined(TYPE_Q5_0)
#include "pack_q5_0.glsl"
#elif defined(TYPE_Q5_1)
#include "pack_q5_1.glsl"
#elif defined(TYPE_Q2_K)
#include "pack_q2_k.glsl"
#elif defined(TYPE_Q3_K)
#include "pack_q3_k.glsl"
#elif defined(TYPE_Q5_K)
#include "pack_q5_k.glsl"
#elif defined(TYPE_IQ4_XS)
#include "pack_iq4_xs.glsl"
#elif defined(TYPE_MXFP4)
#include "pack_mxfp4.glsl"
#elif defined(TYPE_GRID)
#include "pack_grid.glsl"
#endif

void main()
{
    const uint r = gl_WorkGroupID.x, unit = gl_WorkGroupID.y * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    if (unit * UNIT >= p.k)
        return;
    uvec2 start = advance(p.raw, r, p.row_bytes);
    raw_shift = start.x & 3u;
    start.x -= raw_shift;
    raw_words = U32In(start);
    const uint row = p.row_base + r, group = row / WEIGHT_GROUP, lane = row % WEIGHT_GROUP;
    pieces = U32x4Out(advance(advance(p.pieces, group, p.group_pieces), lane, 16u));
    scales = U32Out(advance(advance(p.scales, group, p.group_scales), lane, 4u));
    pack_unit(unit);
}
