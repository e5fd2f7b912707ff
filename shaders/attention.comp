// attention.comp - out = softmax(mask(scale q k^T)) v over paged KV
//
//   q             [rows, q_stride]       f32   head h at h * HEAD_DIM
//   out           [rows, out_stride]     f32   pads past the last head get zeros
//   kv            pages as in src/op/kv_layout.h, f16, or f32 with KV_F32
//   block_tables  [seqs, table_stride]   u32   page ids of each sequence
//   row_seq, row_start, kv_len, rows           which rows are whose, see src/op/attention.h
//   scratch       [rows, heads, splits, HEAD_DIM + 2] f32: sum, max, then the weighted values
//
// Row i of a sequence with n rows sees keys e - window .. e - 1, e = kv_len - n + i + 1.
//
// Grid: (heads / HEADS, ceil(rows_max / ROWS), splits). A workgroup of 32 lanes serves ROWS
// rows x HEADS heads that share a KV head: a key is read once for all of them. Tiles of 32
// tokens: (1) lane = token: q k for every query; (2) running maximum and sum over the tile;
// (3) lane = pair of dimensions: the tile's values are added. Rows of a tile of rows that
// belong to another sequence take another pass.
// Order of additions: q k in groups of 4 along HEAD_DIM; the sum and the values token by
// token. With splits, split s takes the s-th run of tiles and attention_reduce.comp adds the
// splits in order. f32 throughout.
// Bytes moved: keys and values once for every ROWS x HEADS queries that see them.
// Reference: ref_attention() in src/verify/ref_attention.h, in double. Tolerance: tests/op/test_attention.c.
// Source: T. Dao, "FlashAttention-2", 2023, arXiv:2307.08691, algorithm 1; M. Milakov,
// N. Gimelshein, 2018, arXiv:1805.02867; pages: W. Kwon et al., 2023, arXiv:2309.06180.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "address.glsl"
#include "push_attention.h"

#define LANES 32u
layout(local_size_x = 32) in;
layout(constant_id = PM_SPEC_ATTENTION_HEAD_DIM) const uint HEAD_DIM = 64;
layout(constant_id = PM_SPEC_ATTENTION_ROWS) const uint ROWS = 1;
layout(constant_id = PM_SPEC_ATTENTION_HEADS) const uint HEADS = 1;
layout(constant_id = PM_SPEC_ATTENTION_PAGE) const uint PAGE = 16;

const uint QUERIES = ROWS * HEADS;
const uint QUADS = HEAD_DIM / 4;   // vec4s of a head
const uint PAIRS = (HEAD_DIM / 2 + LANES - 1) / LANES; // pairs of dimensions of a lane
const float LOWEST = -1e30;        // below any score; not an infinity, so that differences are numbers

shared vec4 q_shared[QUERIES * QUADS];
shared float weight_shared[QUERIES * LANES];

// A page's K pieces and V words of one KV head.
uvec2 page_address(uvec2 kv, uint page)
{
    return advance(kv, page, p.page_bytes);
}

// Dot products of the lane's token with all queries; `t` is its place in the page.
void score_token(uvec2 k_head, uint t, out float score[QUERIES])
{
    [[unroll]] for (uint i = 0; i < QUERIES; i++)
        score[i] = 0.0;
#ifdef KV_F32
    F32x4In k = F32x4In(k_head);
    for (uint c = 0; c < QUADS; c++) {
        const vec4 key = k.v[c * PAGE + t];
        [[unroll]] for (uint i = 0; i < QUERIES; i++)
            score[i] += dot(key, q_shared[i * QUADS + c]);
    }
#else
    U32x4In k = U32x4In(k_head);
    for (uint c = 0; c < QUADS / 2; c++) {
        const uvec4 bits = k.v[c * PAGE + t];
        const vec4 low = vec4(unpackHalf2x16(bits.x), unpackHalf2x16(bits.y));
        const vec4 high = vec4(unpackHalf2x16(bits.z), unpackHalf2x16(bits.w));
        [[unroll]] for (uint i = 0; i < QUERIES; i++) {
            score[i] += dot(low, q_shared[i * QUADS + 2 * c]);
            score[i] += dot(high, q_shared[i * QUADS + 2 * c + 1]);
        }
    }
#endif
}

// Values d = 2 pair, 2 pair + 1 of token t.
vec2 value_pair(U32In v_head, uint t, uint pair)
{
#ifdef KV_F32
    const uint at = t * HEAD_DIM + 2 * pair;
    return uintBitsToFloat(uvec2(v_head.v[at], v_head.v[at + 1]));
#else
    return unpackHalf2x16(v_head.v[t * (HEAD_DIM / 2) + pair]);
#endif
}

// One pass over the tiles for rows first .. first + count - 1, all of sequence s.
void attend(uint s, uint first, uint count)
{
    const uint lane = gl_LocalInvocationID.x;
    const uint head = gl_WorkGroupID.x * HEADS;
    const uint kv_head = head / (p.heads / p.kv_heads);
    const uint start = U32In(p.row_start).v[s], n = U32In(p.row_start).v[s + 1] - start;
    const uint past = U32In(p.kv_len).v[s] - n - start; // keys before row r of the batch: past + r
    U32In table = U32In(advance(p.block_tables, s, p.table_stride * 4u));
#ifdef KV_F32
    const uint bytes = 4;
#else
    const uint bytes = 2;
#endif
    const uint k_offset = kv_head * HEAD_DIM * PAGE * bytes;
    const uint v_offset = (p.kv_heads + kv_head) * PAGE * HEAD_DIM * bytes;

    for (uint i = lane; i < QUERIES * QUADS; i += LANES) {
        const uint query = i / QUADS, c = i % QUADS, r = query / HEADS, h = query % HEADS;
        vec4 value = vec4(0.0);
        if (r < count)
            value = p.scale * F32x4In(advance(p.q, first + r, p.q_stride * 4u)).v[(head + h) * QUADS + c];
        q_shared[i] = value;
    }
    barrier();

    float most[QUERIES], total[QUERIES];
    vec2 sum[QUERIES * PAIRS];
    [[unroll]] for (uint i = 0; i < QUERIES; i++) {
        most[i] = LOWEST;
        total[i] = 0.0;
    }
    [[unroll]] for (uint i = 0; i < QUERIES * PAIRS; i++)
        sum[i] = vec2(0.0);

    // Tiles that any of the rows sees, and this split's share of them.
    const uint key_end = past + first + count;
    const uint first_end = past + first + 1;
    const uint key_begin = p.window > 0 && first_end > p.window ? first_end - p.window : 0;
    const uint tile_begin = key_begin / LANES, tiles = (key_end + LANES - 1) / LANES - tile_begin;
    const uint share = (tiles + p.splits - 1) / p.splits;
    const uint from = tile_begin + min(gl_WorkGroupID.z * share, tiles);
    const uint to = tile_begin + min(gl_WorkGroupID.z * share + share, tiles);

    for (uint tile = from; tile < to; tile++) {
        const uint token = tile * LANES + lane;
        float score[QUERIES];
        if (token < key_end) {
            score_token(advance(page_address(p.kv, table.v[token / PAGE]), k_offset, 1u), token % PAGE, score);
        } else {
            [[unroll]] for (uint i = 0; i < QUERIES; i++)
                score[i] = 0.0;
        }
        [[unroll]] for (uint i = 0; i < QUERIES; i++) {
            const uint end = past + first + i / HEADS + 1;
            const bool sees = token < end && (p.window == 0 || token + p.window >= end) && i / HEADS < count;
            weight_shared[i * LANES + lane] = sees ? score[i] : LOWEST;
        }
        barrier();
        float fade[QUERIES];
        [[unroll]] for (uint i = 0; i < QUERIES; i++) {
            float now = most[i];
            for (uint j = 0; j < LANES; j++)
                now = max(now, weight_shared[i * LANES + j]);
            fade[i] = exp(most[i] - now);
            most[i] = now;
        }
        barrier();
        [[unroll]] for (uint i = 0; i < QUERIES; i++) {
            const float own = weight_shared[i * LANES + lane];
            weight_shared[i * LANES + lane] = own > LOWEST ? exp(own - most[i]) : 0.0;
        }
        barrier();
        [[unroll]] for (uint i = 0; i < QUERIES; i++) {
            total[i] *= fade[i];
            [[unroll]] for (uint j = 0; j < PAIRS; j++)
                sum[i * PAIRS + j] *= fade[i];
        }
        const uint tokens = min(LANES, key_end - tile * LANES);
        for (uint j = 0; j < tokens; j++) {
            const uint t = tile * LANES + j;
            U32In v_head = U32In(advance(page_address(p.kv, table.v[t / PAGE]), v_offset, 1u));
            vec2 value[PAIRS];
            [[unroll]] for (uint k = 0; k < PAIRS; k++) {
                const uint pair = k * LANES + lane;
                value[k] = pair < HEAD_DIM / 2 ? value_pair(v_head, t % PAGE, pair) : vec2(0.0);
            }
            [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                const float weight = weight_shared[i * LANES + j];
                total[i] += weight;
                [[unroll]] for (uint k = 0; k < PAIRS; k++)
                    sum[i * PAIRS + k] += weight * value[k];
            }
        }
        barrier();
    }

    [[unroll]] for (uint i = 0; i < QUERIES; i++) {
        const uint r = i / HEADS, h = head + i % HEADS;
        if (r >= count)
            continue;
        if (p.splits == 1) {
            F32Out to_row = F32Out(advance(p.out_, first + r, p.out_stride * 4u));
            [[unroll]] for (uint k = 0; k < PAIRS; k++) {
                const uint d = 2 * (k * LANES + lane);
                if (d < HEAD_DIM) {
                    to_row.v[h * HEAD_DIM + d] = sum[i * PAIRS + k].x / total[i];
                    to_row.v[h * HEAD_DIM + d + 1] = sum[i * PAIRS + k].y / total[i];
                }
            }
            if (h == p.heads - 1)
                for (uint d = p.heads * HEAD_DIM + lane; d < p.out_stride; d += LANES)
                    to_row.v[d] = 0.0;
        } else {
            F32Out part = F32Out(advance(advance(p.scratch, first + r, p.heads * p.splits * (HEAD_DIM + 2) * 4u),
                                         h * p.splits + gl_WorkGroupID.z, (HEAD_DIM + 2) * 4u));
            if (lane == 0) {
                part.v[0] = total[i];
                part.v[1] = most[i];
            }
            [[unroll]] for (uint k = 0; k < PAIRS; k++) {
                const uint d = 2 * (k * LANES + lane);
                if (d < HEAD_DIM) {
                    part.v[2 + d] = sum[i * PAIRS + k].x;
                    part.v[3 + d] = sum[i * PAIRS + k].y;
                }
            }
        }
    }
}

void main()
{
    const uint rows = U32In(p.rows).v[0];
    const uint begin = gl_WorkGroupID.y * ROWS, end = min(begin + ROWS, rows);
    for (uint next = begin; next < end;) {
        // next, always; but lavapipe (Mesa 26.1) does loads whose address all lanes share even in a
        // loop that it never enters, and would go astray behind the last row.
        const uint first = min(next, max(rows, 1) - 1);
        const uint s = U32In(p.row_seq).v[first];
        const uint count = min(end, U32In(p.row_start).v[s + 1]) - first;
        attend(s, first, count);
        next += count;
        barrier();
    }
}
