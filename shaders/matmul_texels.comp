// matmul_texels.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], reading buffer textures
//
//   Buffers as in matmul.comp; pieces, scales, x and a codebook's table are textures of set 0, at bindings 0
//   to 3.
//
// For CPU drivers, where a lane is a lane of a vector (Mesa's llvmpipe: 8 with AVX, 4 without and on ARM, 16 where asked
// for). There a load from an address is a loop over lanes and words, that of a texel one vector for each lane. Each
// lane loads other quads of x, and the subgroup passes them round.
// UNIFORM: not so where the driver tells that all lanes load from one address (llvmpipe of Mesa 25.1 on, by its
// divergence analysis; caps.uniform_loads): there a quad of x is one load of each of its floats, spread to all lanes,
// and nothing is passed round; with up to 24 tokens in place of 16 more rows are 1.04 to 1.15 times as fast.
//
// Grid: (ceil(n / (LANES ROWS)), ceil(rows_max / TOKENS)), LANES. Lane l owns QUADS quads of weight rows, LANES apart, of
// which one texel holds the scales: a loaded quad of x serves all rows of the workgroup. TOKENS is as few as serve
// rows_max in as many workgroups, since what is unrolled cannot be left out.
// Order of additions: along k in parts that share a scale, 32 or 16, within one 8 or 4 dot products of 4; the sum of
// a part is scaled where its weights are not. Up to FEW tokens the offset of a type (w = scale q + offset) takes the sum
// of a part's x in place of being added to each weight, but where the order must not differ by TOKENS.
// Bytes moved: the weights once for every TOKENS rows, x once for every workgroup.
// Operations: 2 rows n k. Of a block, 32 TOKENS products for each of ROWS vectors of weights stand against
// one texel and 32 broadcasts for each of TOKENS, and 32 vectors of weights to decode for each of ROWS.
// What Mesa 22.3 (LLVM 15) makes of a block of Q8_0, read from its code, and what that takes on AMD Zen 4 (3.67 GHz), with
// vectors of 8; its four vector ports take multiplications on two, additions, shifts and conversions on the two others, shuffles
// on one of each (1 token: without the loop around that of blocks, of which below, so 1.06 times as long):
//                                                              1 token       16 tokens
//   calls for texels, of 54 instructions                            10              25
//   instructions, those included                                 1,452           7,372
//   loads, stores                                              229, 55      2,617, 229
//   multiplications, additions                                132, 256    2,112, 2,176
//   shuffles and moves of lanes                                    543           1,852
//   cycles by the ports, if nothing waits                          247           1,565
//   cycles by llvm-mca 19 (znver4), which knows what waits         494           2,695
//   measured, in cache                                             444           2,570
// So it is as fast as llvm-mca has it, 56 % and 61 % of the ports, 14 % and 40 % of the multiply-adds alone. A call alone
// takes 12.8 cycles, 8 of them for 8 lanes' addresses, which leave the vector registers one by one.
// With 1 token all rows' codes are read before any is used, and bytes become floats by weight_bits.glsl's
// BYTES_IN_PLACE: 1.2 (Q8_0) to 1.35 times (Q4_0) as fast as without. On Mesa 26.1 a row is read at a time: with 1 token
// 1.04 (Q6_K) to 1.3 times (Q8_0) as fast as before, where all rows at once are 0.85 to 1.2 times.
// On a Xeon of AVX-512, 16 tokens, k 768: 75 % of the time in that block, 13 % in the calls for texels, 12 % in storing
// the sums, where a store by address takes 10 ns a lane, as its 64 bytes of addresses go through the stack.
// Up to FEW tokens the quads of x are held and the weights pass, else the other way round: what is held goes to
// the stack (1.06 times as fast at 1 token; at 16 the other way is 1.3 times as fast). Likewise up to FEW tokens 8 blocks'
// scale words are read once (HELD_BLOCKS), a call for each word less: Q4_K 1.14 times as fast, at 16 tokens 0.94. With
// offsets as above Q4_K is 1.27, Q4_1 1.25, Q5_K 1.22 and Q2_K 1.12 times as fast with 1 token. The loop around that of
// blocks, of one turn for the other types, makes those 1.05 times as fast. On Mesa 26.1 Q4_K is 1.35 and 1.27 times as fast
// with 1 token and 2; offsets with sums of x lose there (Q2_K 0.95, Q4_K 0.9 with 2 tokens), and so does the loop around
// (Q8_0 0.88), and where a row lies as known before the loop (0.92).
// A lane takes two quads of rows in place of one where x is passed round for both (QUADS): with vectors of 8 1.05 to 1.12
// times as fast for 3 to 6 tokens (1.0 to 1.04 for 1, 1.0 for 8 and more), with those of 4 1.06 to 1.26 times up to 6 (0.93 to
// 0.97 for 8). Where UNIFORM, 1.16 to 1.28 times for 1 and 2 tokens of Q8_0 with vectors of 4, else 0.86 to 1.0.
// Vectors of 4, Mesa 22.3: 13 times as fast as matmul_lanes.comp with 1 token, 12 with 4, 6 with 16, and 0.5 to 0.6 times as fast
// as vectors of 8; Mesa 26.1: 2.4 and 2.0 times with 1 and 16 (2048 x 2048, 2048 x 768 in Q8_0).
// Lost: scale words held for IQ4_XS (0.97 times as fast) and Q6_K (as fast), for 2 blocks of Q8_0, Q4_0 and Q6_K (0.82 to
// 0.9: an inner loop of 2 turns); offsets with sums of x at 16 tokens (0.94); shuffles whose lane LLVM does not know, each
// one instruction in place of 1.8 (1.01 at 16 tokens, 0.9 at 1);
// two tokens' products of each weight, one after the other, so that half as many weights are loaded (0.88 at 16: 7,303
// instructions in place of 6,247); x by uniform buffers at offsets that a push constant's array gives, which all lanes
// share by the specification (Mesa 22.3 knows that of constants alone, and gathers);
// subgroupBroadcast in place of shuffles (a search for the first live lane each time, 2.6 times as long);
// one loop over tokens in place of unrolled ones (sums indexed by a variable are gathers and scatters; with one token's
// sums for all, wrong, still 0.8 to 0.87 times as fast: what is unrolled is not too long for the cache of instructions);
// storage texel buffers, which Mesa puts in line (as fast up to 9 tokens, 8 % slower at 16: addresses by lane);
// sums stored as words of 64 bits (0.84 to 1.13 times as fast: half the turns, each twice as long);
// products of 16-bit integers, of which LLVM 15 makes one to a lane of 32 bits (vpmaddwd): 0.88 to 0.93 times as many a
// second as multiplications and additions of f32;
// on Mesa 26.1, where a texel is fetched under a branch and LLVM 19 moves additions past those of later tokens (at 16
// 3,994 moves of vectors beside 2,112 multiplications, 833 where UNIFORM), all quads of a block fetched before its
// products: 1.24 times as fast at 16 tokens, 0.83 at 8;
// UNIFORM on Mesa 25.0 (0.34 to 0.72 times as fast from 4 tokens on), with fma() (as fast: it is split), with
// quads held for any number of TOKENS (0.7 times as fast at 16);
// x of the next token fetched before a token's products (as fast at 16), of four tokens at once (0.93 times as fast);
// a texel touched ahead of the block (1.4 times as long at 1 token: what the hardware fetches ahead is enough).
// Reference and tolerance: as matmul.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "push_matmul.h"

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;
layout(constant_id = PM_SPEC_LOCAL_X) const uint LANES = 8; // 4, 8 or 16
layout(constant_id = PM_SPEC_MATMUL_TOKENS) const uint TOKENS = 1;
layout(constant_id = PM_SPEC_MATMUL_UNIFORM) const bool UNIFORM = false; // x is loaded by address
layout(constant_id = PM_SPEC_MATMUL_BY_ROWS) const bool BY_ROWS = false; // the order of additions may differ by TOKENS
layout(constant_id = PM_SPEC_MATMUL_QUADS) const uint QUADS = 1; // of weight rows that a lane owns
layout(set = 0, binding = 2) uniform samplerBuffer x;

#define FEW 2u                     // TOKENS whose quads are held, else the weights are
const bool HOLD = TOKENS <= FEW;
const bool OFFSET_APART = HOLD && BY_ROWS && !UNIFORM;
#define WEIGHT_TEXELS
#include "weight.glsl"

const uint ROWS = QUADS * WEIGHT_QUAD; // of weights, of a lane
const uint OWN = (8 + LANES - 1) / LANES; // quads of a block of x that a lane loads, the same by lanes 8 apart

const uint HELD = UNIFORM ? 1 : BLOCKS_HELD; // blocks of FEW tokens that are read before any is used
const bool SHARED = HOLD && HELD_BLOCKS > 0;      // blocks share scale words, which are read once
const bool NESTED = SHARED || !UNIFORM;

// Lane's quad i of block b of a row of x.
vec4 quad_of(uint row, uint b, uint i)
{
    if (UNIFORM)
        return vec4(0.0);
    return texelFetch(x, int(row * (p.x_stride / 4) + b * 8 + i * LANES + gl_SubgroupInvocationID % 8));
}

// Quad j of that block, which lane j % LANES has as its own.
vec4 quad_at(uint row, uint b, uint j, vec4 own)
{
    if (UNIFORM)
        return F32x4In(p.x).v[row * (p.x_stride / 4) + b * 8 + j];
    return subgroupShuffle(own, j % LANES);
}

// The sum of half h of the block, which lanes have as their own.
float sum_of(uint h, vec4 own)
{
    float sum = (own.x + own.y) + (own.z + own.w);
    sum += subgroupShuffleXor(sum, 1);
    sum += subgroupShuffleXor(sum, 2);
    return subgroupShuffle(sum, 4 * h % LANES);
}

// The workgroup's first row of x, and how many more there are: rows past the count repeat the last. A lane's rows of
// weights, and its sums.
uint first, last;
Weight weight[ROWS];
float sum[ROWS * TOKENS];

// The quad of weight rows that the lane's row r is of.
uint quad_of_rows(uint r)
{
    return (gl_WorkGroupID.x * QUADS + r / WEIGHT_QUAD) * LANES + gl_SubgroupInvocationID;
}

// The lane's row r, past the last group one of that.
Weight row_at(uint r)
{
    const uint quad = min(quad_of_rows(r), (p.n + WEIGHT_GROUP - 1) / WEIGHT_GROUP * 8 - 1);
    return weight_row(quad / 8, quad % 8, r % WEIGHT_QUAD, p.group_pieces, p.group_scales);
}

Weight row_of(uint r)
{
    return NESTED ? weight[r] : row_at(r);
}

// Adds the products of block b.
void add_block(uint b)
{
    if (HOLD) {
        vec4 quad[TOKENS * 8];
        vec2 x_sum[TOKENS];
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            const uint row = first + min(t, last);
            vec4 own[OWN];
            [[unroll]] for (uint i = 0; i < OWN; i++)
                own[i] = quad_of(row, b, i);
            [[unroll]] for (uint j = 0; j < 8; j++)
                quad[t * 8 + j] = quad_at(row, b, j, own[j / LANES]);
            const float low = sum_of(0, own[0]), high = sum_of(1, own[4 / LANES]);
            x_sum[t] = WEIGHT_PART == 8 ? vec2(low + high) : vec2(low, high);
        }
        [[unroll]] for (uint from = 0; from < ROWS; from += HELD) {
            Block block[HELD];
            float part[HELD * TOKENS];
            [[unroll]] for (uint h = 0; h < HELD; h++)
                block[h] = block_of(row_of(from + h), b);
            [[unroll]] for (uint j = 0; j < 8; j++) {
                [[unroll]] for (uint h = 0; h < HELD; h++) {
                    const vec4 v = quad_of_block(block[h], j);
                    [[unroll]] for (uint t = 0; t < TOKENS; t++)
                        add_unscaled(j, v, quad[t * 8 + j], block[h].scale, block[h].offset, x_sum[t],
                                     part[h * TOKENS + t], sum[(from + h) * TOKENS + t]);
                }
            }
        }
    } else {
        vec4 v[ROWS * 8];
        vec2 scale[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec4 row_v[8];
            load_block_unscaled(row_of(r), b, row_v, scale[r]);
            [[unroll]] for (uint j = 0; j < 8; j++)
                v[r * 8 + j] = row_v[j];
        }
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            const uint row = first + min(t, last);
            vec4 own[OWN];
            [[unroll]] for (uint i = 0; i < OWN; i++)
                own[i] = quad_of(row, b, i);
            float part[ROWS];
            [[unroll]] for (uint j = 0; j < 8; j++) {
                const vec4 quad = quad_at(row, b, j, own[j / LANES]);
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    add_unscaled(j, v[r * 8 + j], quad, scale[r], part[r], sum[r * TOKENS + t]);
            }
        }
    }
}

void main()
{
    const uint rows = U32In(p.rows).v[0];
    first = gl_WorkGroupID.y * TOKENS;
    if (first >= rows)
        return;
    last = rows - 1 - first;
    [[unroll]] for (uint t = 0; t < ROWS * TOKENS; t++)
        sum[t] = 0.0;
    if (NESTED) {
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            weight[r] = row_at(r);
        const uint span = SHARED ? HELD_BLOCKS : p.blocks;
        for (uint begin = 0; begin < p.blocks; begin += span) {
            [[unroll]] for (uint r = 0; r < ROWS; r++)
                if (SHARED)
                    hold(weight[r], begin);
            for (uint b = begin; b < begin + span; b++)
                add_block(b);
        }
    } else {
        for (uint b = 0; b < p.blocks; b++)
            add_block(b);
    }
    F32Out y = F32Out(advance(p.y, first, p.y_stride * 4u));
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        const uint row = quad_of_rows(r) * WEIGHT_QUAD + r % WEIGHT_QUAD;
        if (row < p.n) {
            const float bias = is_null(p.bias) ? 0.0 : F32In(p.bias).v[row];
            [[unroll]] for (uint t = 0; t < TOKENS; t++)
                if (first + t < rows)
                    y.v[t * p.y_stride + row] = sum[r * TOKENS + t] + bias;
        }
    }
}
