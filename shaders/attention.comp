// attention.comp - out = softmax(mask(scale q k^T)) v over paged KV
//
//   q             [rows, q_stride]       f32   head h at h * HEAD_DIM
//   out           [rows, out_stride]     f32   pads past the last head get zeros
//   kv            pages as in src/op/kv_layout.h; KV_<type> names the type
//   block_tables  [seqs, table_stride]   u32   page ids of each sequence
//   row_seq, row_start, kv_len, rows           which rows are whose, see src/op/attention.h
//   scratch       [rows, heads, splits, HEAD_DIM + 2] f32: sum, max, then the weighted values
//
// Row i of a sequence with n rows sees keys e - window .. e - 1, e = kv_len - n + i + 1.
//
// Grid: (heads / HEADS, ceil(rows_max / ROWS), splits). A workgroup of LANES, 32 or 64, serves ROWS
// rows x HEADS heads that share a KV head: a key is read once for all of them. Tiles of LANES
// tokens: (1) lane = token: q k for every query; (2) running maximum and sum over the tile;
// (3) lane = pairs of dimensions, or one: the tile's values are added. Rows of a tile of rows that
// belong to another sequence take another pass.
// Order of additions: q k along HEAD_DIM; the sum and the values token by token. f32
// throughout, each step an fma or rounded by itself, never contracted otherwise, so that it
// is the same whatever ROWS and HEADS are; a tile in which a row sees nothing changes nothing.
// With splits, split s takes the s-th run of tiles and attention_reduce.comp merges the
// splits in order. With RUN, runs are RUN tiles from the sequence's start, split s takes run
// s, and without splits the runs are merged here: the same to the bit, whatever the batch.
// Bytes moved: keys and values once for every ROWS x HEADS queries that see them. Operations: 4 HEAD_DIM for each
// query and key.
// LANES: 64 where subgroups have no fewer (GCN, CDNA), of which 32 would leave half idle: 1.2 to 1.9 times fewer issue cycles
// there by AMD's compiler (Vega, Polaris), in as many registers or more (at 8 queries of 128 elements of q8_0 128 for 84).
// Bound: on paper (bench/results/static-attention.csv: what AMD's compiler makes of it, against clocks and bandwidths)
// the memory, for decoding from f16 pages without GQA on every card, by 2.3 to 12.4 times, and for all of it on RDNA 3
// and 4; for 8 queries of q8_0 pages the instructions, by 1.4 to 3.5 times, on older ones.
// Lost, on paper: to ask for subgroups of 32 on RDNA 1 and 2, where Mesa 22.3 takes 64 of which half are idle (hardware may
// skip that half). Half the issue cycles, but at 8 queries of 128 dimensions 256 registers and 4 waves in place of 80 and 12: by
// the compiler's own estimate 1.4 times as long, and for one query 0.77 times. Mesa 25.0.7 takes 32 by itself (RDNA 2 to 4);
// 64 lanes would be 1.0 to 1.5 times as many issue cycles there, with twice the waves.
// Reference: ref_attention() in src/verify/ref_attention.h, in double over what the pages hold. Tolerance: 1e-6
// of the magnitudes that ref_attention_reach() in tests/ref/attention.h sums, of which 2.3e-7 was the worst
// seen, and exp() may err by 3 + 2 |x| ulp, 1.8e-7 and more of a weight. Against keys and values that were not
// rounded: at most twice the error of plain float over the same pages. Which keys a row sees: tests/op/test_masks.c.
// Source: T. Dao, "FlashAttention-2", 2023, arXiv:2307.08691, algorithm 1; M. Milakov,
// N. Gimelshein, 2018, arXiv:1805.02867; pages: W. Kwon et al., 2023, arXiv:2309.06180.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "address.glsl"
#include "half.glsl"
#include "push_attention.h"
#include "softmax_part.glsl"

#define PARTS 4u                   // of a tile's tokens, to find the maximum of; at most LANES / QUERIES
layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LANES = 32; // 32 or 64
layout(constant_id = PM_SPEC_ATTENTION_HEAD_DIM) const uint HEAD_DIM = 64;
layout(constant_id = PM_SPEC_ATTENTION_ROWS) const uint ROWS = 1;
layout(constant_id = PM_SPEC_ATTENTION_HEADS) const uint HEADS = 1;
layout(constant_id = PM_SPEC_ATTENTION_PAGE) const uint PAGE = 16; // divides LANES
layout(constant_id = PM_SPEC_ATTENTION_RUN) const uint RUN = 0;

#define KV_HEADS p.kv_heads
#define KV_HEAD_DIM HEAD_DIM
#define KV_PAGE PAGE
#include "kv.glsl"

const uint QUERIES = ROWS * HEADS;
const uint QUADS = HEAD_DIM / 4;   // vec4s of a head
const bool SINGLE = HEAD_DIM <= LANES; // a lane has one dimension, else pairs
const uint DIMS = SINGLE ? 1 : (HEAD_DIM / 2 + LANES - 1) / LANES * 2; // of a lane

shared vec4 q_shared[QUERIES * QUADS];
shared float weight_shared[QUERIES * LANES];
shared float most_shared[QUERIES * PARTS];
#ifdef KV_SCALES
const uint BLOCKS = HEAD_DIM / KV_BLOCK;
shared float v_scale_shared[BLOCKS * LANES]; // of the tile's tokens
#endif

// Byte `i` of a word, signed.
float signed_byte(uint word, int i)
{
    return float(bitfieldExtract(int(word), 8 * i, 8));
}

#define PIECE_QUADS (KV_PIECE / 4u)

// The elements of a 16-byte piece of K; `scale` counts where KV_SCALES.
void key_of(uvec4 bits, float scale, out vec4 key[PIECE_QUADS])
{
#if defined(KV_F32)
    key[0] = uintBitsToFloat(bits);
#elif defined(KV_F16)
    key[0] = vec4(unpack_halves(bits.x), unpack_halves(bits.y));
    key[1] = vec4(unpack_halves(bits.z), unpack_halves(bits.w));
#elif defined(KV_Q8_0)
    [[unroll]] for (uint j = 0; j < 4; j++)
        key[j] = scale * vec4(signed_byte(bits[j], 0), signed_byte(bits[j], 1), signed_byte(bits[j], 2),
                              signed_byte(bits[j], 3));
#else
    [[unroll]] for (uint j = 0; j < 8; j++) {
        const uint four = bits[j / 2] >> (j % 2 * 4);
        key[j] = scale * (vec4(four & 15u, four >> 8 & 15u, four >> 16 & 15u, four >> 24 & 15u) - 8.0);
    }
#endif
}

// Dot products of token t of the page with all queries; `lane` keeps the scales of its V.
void score_token(uvec2 page, uint kv_head, uint t, uint lane, precise out float score[QUERIES])
{
    [[unroll]] for (uint i = 0; i < QUERIES; i++)
        score[i] = 0.0;
    U32x4In k = U32x4In(advance(page, k_offset(kv_head), 1u));
    float scale = 1.0;
    for (uint c = 0; c < QUADS / PIECE_QUADS; c++) {
#ifdef KV_SCALES
        if (c * KV_PIECE % KV_BLOCK == 0) {
            const uint b = c * KV_PIECE / KV_BLOCK;
            const vec2 scales = unpack_halves(U32In(advance(page, scale_offset(kv_head), 1u)).v[b * PAGE + t]);
            scale = scales.x;
            v_scale_shared[b * LANES + lane] = scales.y;
        }
#endif
        vec4 key[PIECE_QUADS];
        key_of(k.v[c * PAGE + t], scale, key);
        [[unroll]] for (uint i = 0; i < QUERIES; i++)
            [[unroll]] for (uint j = 0; j < PIECE_QUADS; j++) {
                const vec4 q = q_shared[i * QUADS + c * PIECE_QUADS + j];
                score[i] = fma(key[j].x, q.x, score[i]);
                score[i] = fma(key[j].y, q.y, score[i]);
                score[i] = fma(key[j].z, q.z, score[i]);
                score[i] = fma(key[j].w, q.w, score[i]);
            }
    }
}

// Values d = 2 pair, 2 pair + 1 of token t of the page, the j-th of the tile.
vec2 value_pair(U32In v_head, uint t, uint j, uint pair)
{
#if defined(KV_F32)
    const uint at = t * HEAD_DIM + 2 * pair;
    return uintBitsToFloat(uvec2(v_head.v[at], v_head.v[at + 1]));
#elif defined(KV_F16)
    return unpack_halves(v_head.v[t * (HEAD_DIM / 2) + pair]);
#else
    const float scale = v_scale_shared[pair * 2 / KV_BLOCK * LANES + j];
#ifdef KV_Q8_0
    const uint word = v_head.v[t * (HEAD_DIM / 4) + pair / 2] >> (pair % 2 * 16);
    return scale * vec2(signed_byte(word, 0), signed_byte(word, 1));
#else
    const uint word = v_head.v[t * (HEAD_DIM / 8) + pair / 4] >> (pair % 2 * 16 + pair / 2 % 2 * 4);
    return scale * (vec2(word & 15u, word >> 8 & 15u) - 8.0);
#endif
#endif
}

// Value d alone, of the same.
float value_single(U32In v_head, uint t, uint j, uint d)
{
#if defined(KV_F32)
    return uintBitsToFloat(v_head.v[t * HEAD_DIM + d]);
#elif defined(KV_F16)
    return unpack_halves(v_head.v[t * (HEAD_DIM / 2) + d / 2] >> (d % 2 * 16)).x;
#else
    const float scale = v_scale_shared[d / KV_BLOCK * LANES + j];
#ifdef KV_Q8_0
    return scale * signed_byte(v_head.v[t * (HEAD_DIM / 4) + d / 4], int(d % 4));
#else
    const uint word = v_head.v[t * (HEAD_DIM / 8) + d / 8] >> (d / 2 % 2 * 16 + d / 4 % 2 * 4 + d % 2 * 8);
    return scale * (float(word & 15u) - 8.0);
#endif
#endif
}

// The lane's dimensions, from pairs or single ones; 0 past HEAD_DIM.
void values_of(U32In v_head, uint t, uint j, uint lane, out float value[DIMS])
{
    if (SINGLE)
        value[0] = lane < HEAD_DIM ? value_single(v_head, t, j, lane) : 0.0;
    [[unroll]] for (uint k = 0; k < DIMS / 2; k++) {
        const uint pair = k * LANES + lane;
        const vec2 both = pair < HEAD_DIM / 2 ? value_pair(v_head, t, j, pair) : vec2(0.0);
        value[2 * k] = both.x;
        value[2 * k + 1] = both.y;
    }
}

// The k-th dimension of a lane; past HEAD_DIM: none.
uint dim_of(uint k, uint lane)
{
    return SINGLE ? lane : 2 * (k / 2 * LANES + lane) + k % 2;
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

    for (uint i = lane; i < QUERIES * QUADS; i += LANES) {
        const uint query = i / QUADS, c = i % QUADS, r = query / HEADS, h = query % HEADS;
        vec4 value = vec4(0.0);
        if (r < count)
            value = p.scale * F32x4In(advance(p.q, first + r, p.q_stride * 4u)).v[(head + h) * QUADS + c];
        q_shared[i] = value;
    }
    barrier();

    float most[QUERIES];                           // of a run
    precise float total[QUERIES];
    precise float sum[QUERIES * DIMS];
    float all_most[QUERIES], all_total[QUERIES];   // of the runs merged so far
    float all_sum[QUERIES * DIMS];
    [[unroll]] for (uint i = 0; i < QUERIES; i++) {
        most[i] = all_most[i] = LOWEST;
        total[i] = all_total[i] = 0.0;
    }
    [[unroll]] for (uint i = 0; i < QUERIES * DIMS; i++)
        sum[i] = all_sum[i] = 0.0;

    // Tiles that any of the rows sees, and this split's share of them.
    const uint key_end = past + first + count;
    const uint first_end = past + first + 1;
    const uint key_begin = p.window > 0 && first_end > p.window ? first_end - p.window : 0;
    const uint tile_begin = key_begin / LANES, tile_end = (key_end + LANES - 1) / LANES;
    uint from = tile_begin, to = tile_end;
    if (p.splits > 1) {
        const uint share = RUN > 0 ? RUN : (tile_end - tile_begin + p.splits - 1) / p.splits;
        const uint origin = RUN > 0 ? 0 : tile_begin;
        from = max(from, origin + gl_WorkGroupID.z * share);
        to = min(to, origin + gl_WorkGroupID.z * share + share);
    }

    for (uint tile = from; tile < to;) {
        uint run_end = to;
        if (RUN > 0) {
            run_end = min(to, (tile / RUN + 1) * RUN);
            [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                most[i] = LOWEST;
                total[i] = 0.0;
            }
            [[unroll]] for (uint i = 0; i < QUERIES * DIMS; i++)
                sum[i] = 0.0;
        }
        for (; tile < run_end; tile++) {
            const uint token = tile * LANES + lane;
            float score[QUERIES];
            if (token < key_end) {
                score_token(advance(p.kv, table.v[token / PAGE], p.page_bytes), kv_head, token % PAGE, lane, score);
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
            if (lane < QUERIES * PARTS) { // lane = a part of the tile, of one query
                float part = LOWEST;
                for (uint j = 0; j < LANES / PARTS; j++)
                    part = max(part, weight_shared[lane / PARTS * LANES + j * PARTS + lane % PARTS]);
                most_shared[lane] = part;
            }
            barrier();
            float fade[QUERIES];
            [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                float now = most[i];
                [[unroll]] for (uint j = 0; j < PARTS; j++)
                    now = max(now, most_shared[i * PARTS + j]);
                fade[i] = fade_of(most[i], now);
                most[i] = now;
            }
            [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                const float own = weight_shared[i * LANES + lane];
                weight_shared[i * LANES + lane] = own > LOWEST ? exp(own - most[i]) : 0.0;
            }
            barrier();
            [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                total[i] *= fade[i];
                [[unroll]] for (uint k = 0; k < DIMS; k++)
                    sum[i * DIMS + k] *= fade[i];
            }
            const uint tokens = min(LANES, key_end - tile * LANES);
            for (uint begin = 0; begin < tokens; begin += PAGE) {
                const uvec2 page = advance(p.kv, table.v[(tile * LANES + begin) / PAGE], p.page_bytes);
                U32In v_head = U32In(advance(page, v_offset(kv_head), 1u));
                const uint end = min(tokens, begin + PAGE);
                for (uint j = begin; j < end; j++) {
                    float value[DIMS];
                    values_of(v_head, j - begin, j, lane, value);
                    [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                        const float weight = weight_shared[i * LANES + j];
                        total[i] += weight;
                        [[unroll]] for (uint k = 0; k < DIMS; k++)
                            sum[i * DIMS + k] = fma(weight, value[k], sum[i * DIMS + k]);
                    }
                }
            }
            barrier();
        }
        if (RUN > 0) {
            [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                const float now = max(all_most[i], most[i]);
                const float fade_all = fade_of(all_most[i], now), fade_run = fade_of(most[i], now);
                all_most[i] = now;
                all_total[i] = merged(all_total[i], fade_all, total[i], fade_run);
                [[unroll]] for (uint k = 0; k < DIMS; k++)
                    all_sum[i * DIMS + k] = merged(all_sum[i * DIMS + k], fade_all, sum[i * DIMS + k], fade_run);
            }
        }
    }
    if (RUN > 0) {
        [[unroll]] for (uint i = 0; i < QUERIES; i++) {
            most[i] = all_most[i];
            total[i] = all_total[i];
        }
        [[unroll]] for (uint i = 0; i < QUERIES * DIMS; i++)
            sum[i] = all_sum[i];
    }

    [[unroll]] for (uint i = 0; i < QUERIES; i++) {
        const uint r = i / HEADS, h = head + i % HEADS;
        if (r < count) { // no continue, and no loop in here: Mesa 22.3 would leave this loop rolled, and the sums in memory
            if (p.splits == 1) {
                F32Out to_row = F32Out(advance(p.out_, first + r, p.out_stride * 4u));
                [[unroll]] for (uint k = 0; k < DIMS; k++)
                    if (dim_of(k, lane) < HEAD_DIM)
                        to_row.v[h * HEAD_DIM + dim_of(k, lane)] = sum[i * DIMS + k] / total[i];
            } else {
                F32Out part = F32Out(advance(advance(p.scratch, first + r, p.heads * p.splits * (HEAD_DIM + 2) * 4u),
                                             h * p.splits + gl_WorkGroupID.z, (HEAD_DIM + 2) * 4u));
                if (lane == 0) {
                    part.v[0] = total[i];
                    part.v[1] = most[i];
                }
                [[unroll]] for (uint k = 0; k < DIMS; k++)
                    if (dim_of(k, lane) < HEAD_DIM)
                        part.v[2 + dim_of(k, lane)] = sum[i * DIMS + k];
            }
        }
    }
    if (p.splits == 1 && head + HEADS == p.heads) {
        F32Out pads = F32Out(advance(p.out_, first, p.out_stride * 4u));
        for (uint r = 0; r < count; r++)
            for (uint d = p.heads * HEAD_DIM + lane; d < p.out_stride; d += LANES)
                pads.v[r * p.out_stride + d] = 0.0;
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
