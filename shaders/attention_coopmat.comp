// attention_coopmat.comp - out = softmax(mask(scale q k^T)) v over paged KV, on cooperative matrices
//
//   Buffers as in attention.comp; KV in f16, one split.
//
// For rows of prompts. Grid: (heads / HEADS, ceil(rows_max / ROWS)), SUBGROUPS full subgroups. A
// workgroup serves QUERIES = ROWS x HEADS <= TILE queries that share a KV head, in tiles of 32 tokens:
//   scores  [TILE, DIM] of q times [DIM, 32] of K, f16 x f16 -> f32, into shared memory
//   weights LOCAL_X / TILE lanes for each query: mask, running maximum, exp, in f32; to f16
//   values  [TILE, 32] of weights times [32, DIM] of V; sums stay in matrices, subgroup s has every
//           SUBGROUPS-th of the columns from s on
// DIM is HEAD_DIM rounded up to 16, with zeros.
//
// Range: a row of q is staged times a power of two that takes its largest to [256, 512), so
// any finite q will do; K and V are f16 in their pages. The weights are exp(score - reference):
// the reference is the row's maximum as it was when a score last passed it by RAISE, since sums
// in matrices can only be scaled through memory. So a weight is at most e^8, f16 holds it,
// and the sums are scaled in few tiles. Weights are added as rounded, so that their errors cancel.
// Order of additions: tiles of 32 tokens in order, each in the device's own order: a row's bits
// depend neither on its place nor on the other rows. A value v that is not finite
// spoils the rows of its sequence that are in the same workgroup, also those that do not see it.
// Bytes moved: keys and values once for every ROWS x HEADS queries that see them. Operations: 4 DIM for each query and
// key, in matrices; beside them a tile costs TILE x 32 scores to and from shared memory, an exp each, and the staging of
// 64 DIM numbers. Not measured on a card yet; lavapipe of Mesa 26.1 makes unrolled code of
// matrices, which tells nothing of one.
// Reference: ref_attention() in tests/ref/attention.h, in double; tolerance: tests/op/attention_check.c:
// 1.1e-3 of the sum of |weight v| + 0.05 was the worst seen, at most 1.34 times what plain C with
// q and the weights rounded to f16 errs by (lavapipe of Mesa 26.1).
// NVIDIA, by Mesa's NVK (GA102): heads of 128 take 349,000 static cycles, of 256 498,000, where they took 433,000 and 704,000 with
// sums that were scaled in shared memory, by loops of which the counts were no constants. On Intel it spills (Arc B580: 115
// registers at 128 elements) and is taken only when told to.
// Source: as attention.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "address.glsl"
#include "push_attention.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LOCAL_X = 128;
layout(constant_id = PM_SPEC_ATTENTION_HEAD_DIM) const uint HEAD_DIM = 64;
layout(constant_id = PM_SPEC_ATTENTION_ROWS) const uint ROWS = 32;
layout(constant_id = PM_SPEC_ATTENTION_HEADS) const uint HEADS = 1;
layout(constant_id = PM_SPEC_ATTENTION_PAGE) const uint PAGE = 16;
layout(constant_id = PM_SPEC_ATTENTION_M) const uint M = 16;
layout(constant_id = PM_SPEC_ATTENTION_N) const uint N = 16;
layout(constant_id = PM_SPEC_ATTENTION_K) const uint K = 16;
layout(constant_id = PM_SPEC_ATTENTION_TILE) const uint TILE = 32;
layout(constant_id = PM_SPEC_ATTENTION_SUBGROUPS) const uint SUBGROUPS = 4;

const uint TOKENS = 32;
const uint QUERIES = ROWS * HEADS;
const uint DIM = (HEAD_DIM + 15) / 16 * 16;
const uint PITCH = DIM / 8 + 1;            // uvec4s of 8 f16 in a staged row; odd, for the banks
const uint WEIGHT_PITCH = TOKENS / 8 + 1;
const uint PARTS = LOCAL_X / TILE;         // lanes of a query
const uint FRAGS_Q = TILE / M, FRAGS_T = TOKENS / N, FRAGS_D = DIM / N;
const uint OWN_D = (FRAGS_D + SUBGROUPS - 1) / SUBGROUPS;
const uint SCORE_QUADS = TILE * TOKENS / 4, SUBGROUP_QUADS = M * N / 4;
// Lanes of a subgroup. All loops around `sums` have counts that are constants: an index that is none would put the array
// into memory, for the products, too (Mesa's NVK did).
const uint LANES = LOCAL_X / SUBGROUPS, QUAD_TURNS = (SUBGROUP_QUADS + LANES - 1) / LANES;
const uint NUMBER_TURNS = (SUBGROUP_QUADS * 4 + LANES - 1) / LANES;
const float LOWEST = -1e30;                // below any score; not an infinity, so that differences are numbers
const float RAISE = 8.0;

shared uvec4 q_shared[TILE * PITCH];
shared uvec4 kv_shared[TOKENS * PITCH];    // the tile's keys, then its values
shared uvec4 weight_shared[TILE * WEIGHT_PITCH];
// Scores of the tile; when they are used up, a matrix of each subgroup.
shared vec4 tile_shared[SCORE_QUADS > SUBGROUPS * SUBGROUP_QUADS ? SCORE_QUADS : SUBGROUPS * SUBGROUP_QUADS];
shared float part_shared[LOCAL_X];
shared float query_shared[TILE];           // scale of the scores, factor of the sums
shared uint raised_shared;                 // a reference was raised: the sums must follow

coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sums[FRAGS_Q * OWN_D];

uvec2 half_quad(vec4 v)
{
    const f16vec4 h = f16vec4(v);
    return uvec2(packFloat2x16(h.xy), packFloat2x16(h.zw));
}

// Queries first .. first + count - 1 of heads head .. head + HEADS - 1; query i is row i / HEADS.
// query_shared becomes what takes staged scores to p.scale q k.
void stage_queries(uint first, uint count, uint head)
{
    const uint lane = gl_LocalInvocationID.x;
    for (uint i = lane; i < TILE; i += LOCAL_X) {
        float most = 0.0;
        if (i < QUERIES && i / HEADS < count) {
            F32x4In q = F32x4In(advance(p.q, first + i / HEADS, p.q_stride * 4u));
            for (uint c = 0; c < HEAD_DIM / 4; c++) {
                const vec4 size = abs(q.v[(head + i % HEADS) * (HEAD_DIM / 4) + c]);
                most = max(most, max(max(size.x, size.y), max(size.z, size.w)));
            }
        }
        // 2^(8 - exponent of most); of a subnormal the largest that is normal, with its inverse
        const uint exponent = max(floatBitsToUint(most) >> 23 & 255u, 9u);
        query_shared[i] = uintBitsToFloat((exponent - 8u) << 23);
    }
    barrier();
    for (uint u = lane; u < TILE * (DIM / 8); u += LOCAL_X) {
        const uint i = u / (DIM / 8), c = u % (DIM / 8);
        uvec4 staged = uvec4(0);
        if (i < QUERIES && i / HEADS < count && c < HEAD_DIM / 8) {
            F32x4In q = F32x4In(advance(p.q, first + i / HEADS, p.q_stride * 4u));
            const uint at = (head + i % HEADS) * (HEAD_DIM / 4) + 2 * c;
            const float power = uintBitsToFloat((254u << 23) - floatBitsToUint(query_shared[i]));
            staged = uvec4(half_quad(power * q.v[at]), half_quad(power * q.v[at + 1]));
        }
        q_shared[i * PITCH + c] = staged;
    }
}

// Keys, or values, of the tile's tokens below key_end, zeros behind. `offset`: of the KV head in a page.
void stage_keys(U32In table, uint first_token, uint key_end, uint offset)
{
    for (uint u = gl_LocalInvocationID.x; u < TOKENS * (DIM / 8); u += LOCAL_X) {
        const uint t = u % TOKENS, c = u / TOKENS, token = first_token + t; // neighbours: neighbouring tokens
        uvec4 key = uvec4(0);
        if (token < key_end && c < HEAD_DIM / 8)
            key = U32x4In(advance(advance(p.kv, table.v[token / PAGE], p.page_bytes), offset, 1u)).v[c * PAGE + token % PAGE];
        kv_shared[t * PITCH + c] = key;
    }
}

void stage_values(U32In table, uint first_token, uint key_end, uint offset)
{
    for (uint u = gl_LocalInvocationID.x; u < TOKENS * (DIM / 8); u += LOCAL_X) {
        const uint t = u / (DIM / 8), c = u % (DIM / 8), token = first_token + t;
        uvec4 value = uvec4(0);
        if (token < key_end && c < HEAD_DIM / 8)
            value = U32x4In(advance(advance(p.kv, table.v[token / PAGE], p.page_bytes), offset, 1u))
                        .v[token % PAGE * (HEAD_DIM / 8) + c];
        kv_shared[t * PITCH + c] = value;
    }
}

void score_tile()
{
    for (uint f = gl_SubgroupID; f < FRAGS_Q * FRAGS_T; f += SUBGROUPS) {
        const uint row = f / FRAGS_T * M, token = f % FRAGS_T * N;
        coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> score =
            coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0.0);
        for (uint k = 0; k < DIM; k += K) {
            coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a;
            coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b;
            coopMatLoad(a, q_shared, row * PITCH + k / 8, PITCH, gl_CooperativeMatrixLayoutRowMajor);
            coopMatLoad(b, kv_shared, token * PITCH + k / 8, PITCH, gl_CooperativeMatrixLayoutColumnMajor);
            score = coopMatMulAdd(a, b, score);
        }
        coopMatStore(score, tile_shared, (row * TOKENS + token) / 4, TOKENS / 4, gl_CooperativeMatrixLayoutRowMajor);
    }
}

void add_values()
{
    for (uint k = 0; k < TOKENS; k += K) {
        coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a[FRAGS_Q];
        [[unroll]] for (uint f = 0; f < FRAGS_Q; f++)
            coopMatLoad(a[f], weight_shared, f * M * WEIGHT_PITCH + k / 8, WEIGHT_PITCH, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint g = 0; g < OWN_D; g++) {
            const uint column = g * SUBGROUPS + gl_SubgroupID;
            if (FRAGS_D % SUBGROUPS == 0 || column < FRAGS_D) {
                coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b;
                coopMatLoad(b, kv_shared, k * PITCH + column * N / 8, PITCH, gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint f = 0; f < FRAGS_Q; f++)
                    sums[f * OWN_D + g] = coopMatMulAdd(a[f], b, sums[f * OWN_D + g]);
            }
        }
    }
}

// Puts sums[i] where lanes can reach it, in the subgroup's own place.
void sums_out(uint i)
{
    subgroupBarrier();
    coopMatStore(sums[i], tile_shared, gl_SubgroupID * SUBGROUP_QUADS, N / 4, gl_CooperativeMatrixLayoutRowMajor);
    subgroupBarrier();
}

// Multiplies each row of the sums with its query_shared.
void scale_sums()
{
    [[unroll]] for (uint f = 0; f < FRAGS_Q; f++) {
        subgroupBarrier();
        [[unroll]] for (uint turn = 0; turn < QUAD_TURNS; turn++) {
            const uint q = turn * LANES + gl_SubgroupInvocationID;
            if (SUBGROUP_QUADS % LANES == 0 || q < SUBGROUP_QUADS)
                tile_shared[gl_SubgroupID * SUBGROUP_QUADS + q] = vec4(query_shared[f * M + q / (N / 4)]);
        }
        subgroupBarrier();
        coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> fade;
        coopMatLoad(fade, tile_shared, gl_SubgroupID * SUBGROUP_QUADS, N / 4, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint g = 0; g < OWN_D; g++)
            sums[f * OWN_D + g] *= fade;
    }
}

// One pass over the tiles for rows first .. first + count - 1, all of sequence s.
void attend(uint s, uint first, uint count)
{
    const uint lane = gl_LocalInvocationID.x, query = lane / PARTS, part = lane % PARTS;
    const uint head = gl_WorkGroupID.x * HEADS;
    const uint kv_head = head / (p.heads / p.kv_heads);
    const uint start = U32In(p.row_start).v[s], n = U32In(p.row_start).v[s + 1] - start;
    const uint past = U32In(p.kv_len).v[s] - n - start; // keys before row r of the batch: past + r
    U32In table = U32In(advance(p.block_tables, s, p.table_stride * 4u));
    const uint k_offset = kv_head * HEAD_DIM * PAGE * 2, v_offset = (p.kv_heads + kv_head) * PAGE * HEAD_DIM * 2;
    const uint key_end = past + first + count, first_end = past + first + 1;
    const uint key_begin = p.window > 0 && first_end > p.window ? first_end - p.window : 0;
    const uint end = past + first + query / HEADS + 1; // of the lane's query
    const bool is_query = query < QUERIES && query / HEADS < count;

    [[unroll]] for (uint i = 0; i < FRAGS_Q * OWN_D; i++)
        sums[i] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0.0);
    if (lane == 0)
        raised_shared = 0;
    stage_queries(first, count, head);
    const float scale = p.scale * query_shared[query];
    float reference = LOWEST, total = 0.0; // total: of the lane's tokens

    for (uint tile = key_begin / TOKENS; tile * TOKENS < key_end; tile++) {
        stage_keys(table, tile * TOKENS, key_end, k_offset);
        barrier();
        score_tile();
        barrier();
        stage_values(table, tile * TOKENS, key_end, v_offset);
        vec4 score[TOKENS / 4 / PARTS];
        float most = LOWEST;
        [[unroll]] for (uint j = 0; j < TOKENS / 4 / PARTS; j++) {
            const uint quad = j * PARTS + part;
            const uvec4 token = tile * TOKENS + quad * 4 + uvec4(0, 1, 2, 3);
            const vec4 raw = scale * tile_shared[query * (TOKENS / 4) + quad];
            [[unroll]] for (uint c = 0; c < 4; c++) {
                const bool sees = is_query && token[c] < end && (p.window == 0 || token[c] + p.window >= end);
                score[j][c] = sees ? raw[c] : LOWEST;
                most = max(most, score[j][c]);
            }
        }
        part_shared[lane] = most;
        barrier();
        for (uint j = 0; j < PARTS; j++)
            most = max(most, part_shared[query * PARTS + j]);
        float fade = 1.0;
        if (most > reference + RAISE) {
            fade = exp(reference - most);
            reference = most;
            raised_shared = 1;
        }
        if (part == 0)
            query_shared[query] = fade;
        total *= fade;
        [[unroll]] for (uint j = 0; j < TOKENS / 4 / PARTS; j++) {
            const uint quad = j * PARTS + part;
            const f16vec4 weight = f16vec4(mix(vec4(0.0), exp(score[j] - reference), greaterThan(score[j], vec4(LOWEST))));
            total += dot(vec4(weight), vec4(1.0));
            const uvec2 bits = uvec2(packFloat2x16(weight.xy), packFloat2x16(weight.zw));
            if (quad % 2 == 0)
                weight_shared[query * WEIGHT_PITCH + quad / 2].xy = bits;
            else
                weight_shared[query * WEIGHT_PITCH + quad / 2].zw = bits;
        }
        barrier();
        if (raised_shared != 0)
            scale_sums();
        add_values();
        barrier();
        if (lane == 0)
            raised_shared = 0;
    }

    part_shared[lane] = total;
    barrier();
    if (part == 0) {
        float all = 0.0;
        for (uint j = 0; j < PARTS; j++)
            all += part_shared[lane + j];
        query_shared[query] = all;
    }
    barrier();
    [[unroll]] for (uint i = 0; i < FRAGS_Q * OWN_D; i++) {
        const uint column = i % OWN_D * SUBGROUPS + gl_SubgroupID;
        sums_out(i);
        [[unroll]] for (uint turn = 0; turn < NUMBER_TURNS; turn++) {
            const uint e = turn * LANES + gl_SubgroupInvocationID;
            if (SUBGROUP_QUADS * 4 % LANES != 0 && e >= SUBGROUP_QUADS * 4)
                break;
            const uint own = i / OWN_D * M + e / N, d = column * N + e % N;
            if (own < QUERIES && own / HEADS < count && d < HEAD_DIM)
                F32Out(advance(p.out_, first + own / HEADS, p.out_stride * 4u)).v[(head + own % HEADS) * HEAD_DIM + d] =
                    tile_shared[gl_SubgroupID * SUBGROUP_QUADS + e / 4][e % 4] / query_shared[own];
        }
    }
    if (head + HEADS == p.heads)
        for (uint r = 0; r < count; r++)
            for (uint d = p.heads * HEAD_DIM + lane; d < p.out_stride; d += LOCAL_X)
                F32Out(advance(p.out_, first + r, p.out_stride * 4u)).v[d] = 0.0;
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
