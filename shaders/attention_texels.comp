// attention_texels.comp - out = softmax(mask(scale q k^T)) v over paged KV, reading buffer textures
//
//   Buffers as in attention.comp, without scratch; the pages and q are textures of set 0, at bindings 0 and 1.
//
// For CPU drivers, where a lane is a lane of a vector (matmul_texels.comp says why). A workgroup is one subgroup, of 4, 8
// or 16: nothing is shared and nothing waits.
//
// Grid: (heads / HEADS, ceil(rows_max / ROWS)), LANES. A workgroup serves ROWS rows x HEADS heads that share
// a KV head: keys and values are read and decoded once for all of them. Tiles of 32 tokens: (1) lane l scores
// tokens l, LANES + l, 2 LANES + l ... against every query, whose quads the subgroup passes round; (2) running
// maximum and sum; (3) lane l adds dimensions 8 l .. 8 l + 7 of each 8 LANES, token by token, with the weights passed
// round. Rows of a workgroup that belong to another sequence take another pass.
// Order of additions: q k along HEAD_DIM; the values token by token; the sum of the weights over each
// lane's tokens, then over lanes in pairs. f32, each step an fma or rounded by itself, so that it is the same
// whatever ROWS and HEADS are; a tile in which a row sees nothing changes nothing.
// Bytes moved: keys and values once for every ROWS x HEADS queries that see them.
// Operations: 4 HEAD_DIM for each query and key. Per tile and 32 dimensions of keys 16 to 32 texels are
// decoded, and for each query 128 multiply-adds of vectors stand against 32 shuffles.
// What Mesa 22.3 (LLVM 15) makes of a tile of f16 pages with heads of 64, read from its code, and what that takes on
// AMD Zen 4 (3.67 GHz), with vectors of 8; its four vector ports take multiplications on two, additions, shifts and
// conversions on the two others, shuffles on one of each:
//                                                              1 query   8 queries of a prompt, all unrolled
//   calls for texels, of 54 instructions                            64              64
//   instructions, those included                                 6,831          18,921
//   loads, stores                                           1,262, 324    4,440, 1,405
//   multiplications, additions                                536, 522    4,288, 4,176
//   shuffles and moves of lanes; conversions                2,852, 517      4,164, 552
//   cycles by the ports, if nothing waits                        1,233           3,594
//   cycles by llvm-mca 19 (znver4), which knows what waits       2,486           5,601
//   measured, in cache                                           2,510           6,990
// That is 99 % and 80 % of what llvm-mca gives this code, 49 % and 51 % of the ports. A call alone takes 12.8 cycles, 8
// of them for 8 lanes' addresses, which leave the vector registers one by one.
// Out of cache a thread takes 0.14 ns for a byte of keys and values from 128 to 8,160 tokens of context (110M parameters, 12
// heads, f16), and 0.08 in cache; pieces of 2 KiB from every 48 KiB, as a head's lie in its pages, cost 0.105 to read alone.
// Texels are fetched in groups before any is decoded, so that sums do not wait for each call; the loops over a tile's keys
// and values are unrolled up to 256 floats of q; queries are held, and a tile's pages are one load. All that is
// 1.16 (f32) to 2.0 times (q8_0, q4_0; f16 1.6) as fast as without with 1 query; on Mesa 26.1 1.05 to 1.2 times (f16).
// With more queries the loops stay, and scores move up a column each turn, since no index may vary: 8 queries of 64 decode 1.55
// times as fast as without all that, unrolled 2.5 times; but that kernel takes LLVM 0.80 s in place of 0.30, which the first
// token of a first start waits for, and on Mesa 26.1 it is 0.80 to 0.97 times as fast. Keys turn by 8 dimensions: by 32,
// LLVM took 0.40 s, and prompts of 7,000 tokens 1.08 times as long (on Mesa 26.1 the same). Of the 0.30 s the maxima and
// sums of 8 queries are 0.11, the values 0.08, the exponentials 0.01.
// Lost: each texel decoded and added at once (as slow as all of a tile decoded first: a sum waits for the one before);
// a group's calls among the sums of the group before (within 2 %); 2 values at a time in place of 8 (6 % slower), 4, 16
// or 32 (as fast); f16 widened by shifts, masks and a factor of 2^112 (3 to 6 % faster, but what is no number in f16
// would become one); a loop of one turn around what is unrolled (1.3 times as long).
// Nothing in a loop that stays one may index sums by its counter, and no unrolled loop may hold a continue or
// a loop: Mesa 22.3 keeps such arrays in memory, and LLVM then takes a minute for the kernel (tests/tools/test_shaders.py).
// With the 64 dimensions of a lane outside the values' turns and not inside, heads of 128 took LLVM 42 to 65 s in place of less
// than 0.8, and read a prompt of 512 tokens half as fast, one of 2,048 a quarter (4 layers of 1,024, 8 heads over 2).
// Reference and tolerance: as attention.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "address.glsl"
#include "push_attention.h"
#include "softmax_part.glsl"
#include "store_quad.glsl"
#include "weight_bits.glsl"

#define TILE 32u
layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LANES = 8; // 4, 8 or 16
layout(constant_id = PM_SPEC_ATTENTION_HEAD_DIM) const uint HEAD_DIM = 64;
layout(constant_id = PM_SPEC_ATTENTION_ROWS) const uint ROWS = 1;
layout(constant_id = PM_SPEC_ATTENTION_HEADS) const uint HEADS = 1;
layout(constant_id = PM_SPEC_ATTENTION_PAGE) const uint PAGE = 16; // divides TILE, a multiple of LANES
layout(set = 0, binding = 0) uniform usamplerBuffer kv;
layout(set = 0, binding = 1) uniform samplerBuffer q;

#define KV_HEADS p.kv_heads
#define KV_HEAD_DIM HEAD_DIM
#define KV_PAGE PAGE
#include "kv.glsl"
#ifdef KV_F32
#define EIGHT_TEXELS 2u            // that hold eight elements, or more
#else
#define EIGHT_TEXELS 1u
#endif

const uint COLUMNS = TILE / LANES; // of scores: tokens of a lane
const uint QUERIES = ROWS * HEADS;
const uint QUADS = HEAD_DIM / 4;   // vec4s of a head
const uint EIGHTS = HEAD_DIM / 8;
const uint OWN = (QUADS + LANES - 1) / LANES; // quads of a query that a lane holds
const uint PARTS = (EIGHTS + LANES - 1) / LANES; // eights of a lane
const uint PAGES = TILE / PAGE;
const bool UNROLLED = QUERIES * HEAD_DIM <= PM_ATTENTION_UNROLLED; // the loops over a tile's keys and values
// The bound of a loop that stays one where not UNROLLED, since the host alone knows it; q_stride is more than QUADS, and
// than TILE where there are so many queries.
#define OR_KEPT(n) (UNROLLED ? n : min(n, p.q_stride))

// Word i of a texel, i the same for all lanes or not.
uint word_of(uvec4 texel, uint i)
{
    const uint low = (i & 1u) == 0u ? texel.x : texel.y, high = (i & 1u) == 0u ? texel.z : texel.w;
    return i < 2u ? low : high;
}

// Eight neighbouring elements of a token, as their page holds them.
struct Eight {
    uvec4 texel[EIGHT_TEXELS];
    float scale;
};

// The f16 scales of block b of a token: of K, of V.
vec2 scales_of(uint page, uint kv_head, uint b, uint token)
{
#ifdef KV_SCALES
    const uvec4 four = texelFetch(kv, int(page + scale_offset(kv_head) / 16u + (b * PAGE + token) / 4u));
    return unpack_halves(word_of(four, token & 3u));
#else
    return vec2(1.0);
#endif
}

// Elements 8 e .. 8 e + 7 of the key of a token of the page at texel `page`.
Eight key_of(uint page, uint kv_head, uint e, uint token)
{
    const uint from = page + k_offset(kv_head) / 16u + token, first = e * 8u / KV_PIECE;
    Eight key;
    [[unroll]] for (uint j = 0; j < EIGHT_TEXELS; j++)
        key.texel[j] = texelFetch(kv, int(from + (first + j) * PAGE));
    key.scale = scales_of(page, kv_head, e / 4u, token).x;
    return key;
}

// The same of its value.
Eight value_of(uint page, uint kv_head, uint e, uint token)
{
    const uint from = page + v_offset(kv_head) / 16u + token * (HEAD_DIM / KV_PIECE), first = e * 8u / KV_PIECE;
    Eight value;
    [[unroll]] for (uint j = 0; j < EIGHT_TEXELS; j++)
        value.texel[j] = texelFetch(kv, int(from + first + j));
    value.scale = scales_of(page, kv_head, e / 4u, token).y;
    return value;
}

// They as numbers.
void numbers_of(Eight eight, uint e, out vec4 value[2])
{
    const uvec4 bits = eight.texel[0];
#if defined(KV_F32)
    value[0] = uintBitsToFloat(bits);
    value[1] = uintBitsToFloat(eight.texel[1]);
#elif defined(KV_F16)
    value[0] = vec4(unpack_halves(bits.x), unpack_halves(bits.y));
    value[1] = vec4(unpack_halves(bits.z), unpack_halves(bits.w));
#elif defined(KV_Q8_0)
    const bool high = (e & 1u) == 1u;
    value[0] = eight.scale * signed_bytes(high ? bits.z : bits.x);
    value[1] = eight.scale * signed_bytes(high ? bits.w : bits.y);
#elif defined(KV_Q4_0)
    const uint codes = word_of(bits, e & 3u);
    value[0] = eight.scale * (unsigned_bytes(codes & 0x0f0f0f0fu) - 8.0);
    value[1] = eight.scale * (unsigned_bytes(codes >> 4 & 0x0f0f0f0fu) - 8.0);
#endif
}

// Quad `quad` of a query, scaled; past its last one the last.
vec4 query_of(uint row, uint head, uint quad)
{
    return p.scale * texelFetch(q, int(row * (p.q_stride / 4u) + head * QUADS + min(quad, QUADS - 1)));
}

struct Sequence {
    uint index;
    uint start, end;               // its rows of the batch
    uint kv_len;
};

// The sequence of a row.
Sequence sequence_of(uint row)
{
    const uint s = U32In(p.row_seq).v[row];
    return Sequence(s, U32In(p.row_start).v[s], U32In(p.row_start).v[s + 1], U32In(p.kv_len).v[s]);
}

// One pass over the tiles for rows first .. first + count - 1, all of sequence s.
void attend(Sequence s, uint first, uint count)
{
    const uint lane = gl_SubgroupInvocationID;
    const uint head = gl_WorkGroupID.x * HEADS;
    const uint kv_head = head / (p.heads / p.kv_heads);
    const uint past = s.kv_len - s.end; // keys before row r of the batch: past + r
    const uint page_texels = p.page_bytes / 16u;
    U32In table = U32In(advance(p.block_tables, s.index, p.table_stride * 4u));

    float most[QUERIES];
    precise float total[QUERIES];
    precise vec4 sum[QUERIES * PARTS * 2];
    [[unroll]] for (uint i = 0; i < QUERIES; i++) {
        most[i] = LOWEST;
        total[i] = 0.0;
    }
    [[unroll]] for (uint i = 0; i < QUERIES * PARTS * 2; i++)
        sum[i] = vec4(0.0);

    vec4 query[QUERIES * OWN];
    [[unroll]] for (uint i = 0; i < QUERIES; i++)
        [[unroll]] for (uint c = 0; c < OWN; c++)
            query[i * OWN + c] = query_of(first + min(i / HEADS, count - 1), head + i % HEADS, c * LANES + lane);

    // Tiles that any of the rows sees.
    const uint key_end = past + first + count;
    const uint first_end = past + first + 1;
    const uint key_begin = p.window > 0 && first_end > p.window ? first_end - p.window : 0;
    const uint tile_end = (key_end + TILE - 1) / TILE;

    for (uint tile = key_begin / TILE; tile < tile_end; tile++) {
        const uint base = tile * TILE, key_last = key_end - 1;
        // Tokens behind the last repeat it: what lies there is no part of the sequence.
        const uint own_page = table.v[min(base + lane * PAGE, key_last) / PAGE] * page_texels;
        uint page[PAGES];
        [[unroll]] for (uint i = 0; i < PAGES; i++)
            page[i] = subgroupShuffle(own_page, i);

        precise float score[QUERIES * COLUMNS];
        [[unroll]] for (uint i = 0; i < QUERIES * COLUMNS; i++)
            score[i] = 0.0;
        [[unroll]] for (uint c = 0; c < OR_KEPT(QUADS); c += LANES) {
            vec4 own[QUERIES];
            [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                if (UNROLLED)
                    own[i] = query[i * OWN + c / LANES];
                else
                    own[i] = query_of(first + min(i / HEADS, count - 1), head + i % HEADS, c + lane);
            }
            [[unroll]] for (uint k = 0; k < OR_KEPT(LANES / 2); k++) {
                const uint e = min(c / 2 + k, EIGHTS - 1);
                Eight eight[COLUMNS];
                vec4 key[COLUMNS * 2];
                [[unroll]] for (uint g = 0; g < COLUMNS; g++)
                    eight[g] = key_of(page[g * LANES / PAGE], kv_head, e, min(base + g * LANES + lane, key_last) % PAGE);
                [[unroll]] for (uint g = 0; g < COLUMNS; g++) {
                    vec4 value[2];
                    numbers_of(eight[g], e, value);
                    const bool is_there = QUADS % LANES == 0 || c / 2 + k < EIGHTS;
                    key[2 * g] = is_there ? value[0] : vec4(0.0);
                    key[2 * g + 1] = is_there ? value[1] : vec4(0.0);
                }
                [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                    [[unroll]] for (uint j = 0; j < 2; j++) {
                        const vec4 by = subgroupShuffle(own[i], 2 * k + j);
                        [[unroll]] for (uint d = 0; d < 4; d++)
                            [[unroll]] for (uint g = 0; g < COLUMNS; g++)
                                score[i * COLUMNS + g] = fma(key[2 * g + j][d], by[d], score[i * COLUMNS + g]);
                    }
                }
            }
        }

        [[unroll]] for (uint i = 0; i < QUERIES; i++) {
            const uint end = past + first + i / HEADS + 1;
            float now = most[i];
            bool sees[COLUMNS];
            [[unroll]] for (uint g = 0; g < COLUMNS; g++) {
                const uint token = base + g * LANES + lane;
                sees[g] = bool(uint(token < end) & uint(p.window == 0 || token + p.window >= end) & uint(i / HEADS < count));
                now = max(now, mix(LOWEST, score[i * COLUMNS + g], sees[g]));
            }
            [[unroll]] for (uint j = 0; j < 4; j++) // no apart *= 2: Mesa 22.3 would leave the loop rolled
                if (1u << j < LANES)
                    now = max(now, subgroupShuffle(now, lane ^ 1u << j));
            const float fade = fade_of(most[i], now);
            most[i] = now;
            total[i] *= fade;
            [[unroll]] for (uint k = 0; k < PARTS * 2; k++)
                sum[i * PARTS * 2 + k] *= fade;
            [[unroll]] for (uint g = 0; g < COLUMNS; g++) {
                const float weight = mix(0.0, exp(score[i * COLUMNS + g] - now), sees[g]); // a choice, not a branch
                score[i * COLUMNS + g] = weight;
                total[i] += weight;
            }
        }

        [[unroll]] for (uint from = 0; from < OR_KEPT(TILE); from += LANES) {
            const uint of = subgroupShuffle(own_page, from / PAGE);
            [[unroll]] for (uint k = 0; k < PARTS; k++) {
                const uint e = min(k * LANES + lane, EIGHTS - 1);
                Eight eight[LANES];
                vec4 value[LANES * 2];
                [[unroll]] for (uint t = 0; t < LANES; t++)
                    eight[t] = value_of(of, kv_head, e, min(base + from + t, key_last) % PAGE);
                [[unroll]] for (uint t = 0; t < LANES; t++) {
                    vec4 two[2];
                    numbers_of(eight[t], e, two);
                    value[2 * t] = two[0];
                    value[2 * t + 1] = two[1];
                }
                [[unroll]] for (uint i = 0; i < QUERIES; i++) {
                    const uint at = (i * PARTS + k) * 2;
                    [[unroll]] for (uint t = 0; t < LANES; t++) {
                        const vec4 weight = vec4(subgroupShuffle(score[i * COLUMNS], t));
                        sum[at] = fma(weight, value[2 * t], sum[at]);
                        sum[at + 1] = fma(weight, value[2 * t + 1], sum[at + 1]);
                    }
                }
            }
            [[unroll]] for (uint i = 0; i < QUERIES; i++) // the next column's turn: no index may vary
                [[unroll]] for (uint g = 0; g + 1 < COLUMNS; g++)
                    score[i * COLUMNS + g] = score[i * COLUMNS + g + 1];
        }
    }

    [[unroll]] for (uint i = 0; i < QUERIES; i++) {
        const uint r = i / HEADS, h = head + i % HEADS;
        precise float all = total[i];
        [[unroll]] for (uint j = 0; j < 4; j++)
            if (1u << j < LANES)
                all += subgroupShuffle(all, lane ^ 1u << j);
        if (r < count) { // no continue: Mesa 22.3 would leave the loop rolled, and the sums in memory
            U64Out to_row = U64Out(advance(p.out_, first + r, p.out_stride * 4u));
            [[unroll]] for (uint k = 0; k < PARTS; k++) {
                const uint e = k * LANES + lane;
                if (e < EIGHTS) {
                    [[unroll]] for (uint j = 0; j < 2; j++)
                        store_quad(to_row, h * QUADS + 2 * e + j, sum[(i * PARTS + k) * 2 + j] / all);
                }
            }
        }
    }
    if (head + HEADS == p.heads) {
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
    const uint last = max(rows, 1) - 1;
    Sequence s = sequence_of(min(begin, last)); // before the loop: rmsnorm_texels.comp
    for (uint next = begin; next < end;) {
        const uint first = min(next, last); // see attention.comp
        if (ROWS > 1 && next > begin)
            s = sequence_of(first);
        const uint count = min(end, s.end) - first;
        attend(s, first, count);
        next += count;
    }
}
