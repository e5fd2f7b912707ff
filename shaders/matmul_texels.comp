// matmul_texels.comp - y[r,i] = sum_k x[r,k] W[i,k] + bias[i], reading buffer textures
//
//   Buffers as in matmul.comp; pieces, scales, x and a codebook's table are textures of set 0, at bindings 0
//   to 3.
//
// For CPU drivers, where a lane is a lane of a vector and subgroups have 8 (Mesa's llvmpipe). There a load
// from an address is a loop over lanes and words, that of a texel one vector for each lane. Each of 8
// lanes loads another quad of x, and the subgroup passes it round.
// UNIFORM: not so where the driver tells that all lanes load from one address (llvmpipe of Mesa 25.1 on, by its
// divergence analysis; caps.uniform_loads): there a quad of x is one load of each of its floats, spread to all lanes,
// and nothing is passed round; with up to 24 tokens in place of 16 more rows are 1.04 to 1.15 times as fast.
//
// Grid: (ceil(n / WEIGHT_GROUP), ceil(rows_max / TOKENS)), 8 lanes. Lane l owns weight rows
// WEIGHT_GROUP gx + ROWS l + q, q < ROWS, whose scales one texel holds: a loaded quad of x serves all rows of the
// group, of which every one is there to be read. TOKENS is as few as serve rows_max in as many workgroups,
// since what is unrolled cannot be left out.
// Order of additions: along k in parts that share a scale, 32 or 16, within one 8 or 4 dot products of 4; the sum of
// a part is scaled where its weights are not.
// Bytes moved: the weights once for every TOKENS rows, x once for every 32 outputs.
// Operations: 2 rows n k. Of a block, 32 TOKENS products for each of ROWS vectors of weights stand against
// one texel and 32 broadcasts for each of TOKENS, and 32 vectors of weights to decode for each of ROWS.
// What Mesa 22.3 makes of a block of Q8_0, read from its code (vectors of 8, fma split): for each token 128
// multiplications with weights from the stack, 128 additions, 48 shuffles, and a call for the texel of x, of
// some 30 vector instructions; once, 9 such calls and 354 shifts and conversions. On four vector ports (AMD Zen 5,
// 77 GFLOP/s of multiply-adds a thread as pumice bench measures, so at least 2.4 GHz) that is 250 cycles at 1
// token and 1,530 at 16; measured, in cache, 420 and 1,930: 59 % and 79 % of what this code can do, 15 % and 53 % of
// the multiply-adds. At one token the rest is latency, of texels and, out of cache, of memory.
// On a Xeon of AVX-512, 16 tokens, k 768: 75 % of the time in that block, 13 % in the calls for texels, 12 % in storing
// the sums, where a store by address takes 10 ns a lane, as its 64 bytes of addresses go through the stack.
// Up to FEW tokens the quads of x are held and the weights pass, else the other way round: what is held goes to
// the stack (1.06 times as fast at 1 token; at 16 the other way is 1.3 times as fast).
// Lost: subgroupBroadcast in place of shuffles (a search for the first live lane each time, 2.6 times as long);
// one loop over tokens in place of unrolled ones (sums indexed by a variable are gathers and scatters);
// storage texel buffers, which Mesa puts in line (as fast up to 9 tokens, 8 % slower at 16: addresses by lane);
// sums stored as words of 64 bits (0.84 to 1.13 times as fast: half the turns, each twice as long);
// products of 16-bit integers, of which LLVM 15 makes one to a lane of 32 bits (vpmaddwd): 0.88 to 0.93 times as many a
// second as multiplications and additions of f32;
// on Mesa 26.1, where a texel is fetched under a branch and LLVM 19 moves additions past those of later tokens (at 16
// 3,994 moves of vectors beside 2,112 multiplications, 833 where UNIFORM), all quads of a block fetched before its
// products: 1.24 times as fast at 16 tokens, 0.83 at 8;
// UNIFORM on Mesa 25.0 (0.34 to 0.72 times as fast from 4 tokens on), with fma() (as fast: it is split), with
// quads held for any number of TOKENS (0.7 times as fast at 16);
// a texel touched ahead of the block (1.4 times as long at 1 token: what the hardware fetches ahead is enough).
// Reference and tolerance: as matmul.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define WEIGHT_TEXELS
#include "weight.glsl"
#include "push_matmul.h"

#define LANES 8u
#define ROWS WEIGHT_QUAD           // LANES ROWS = WEIGHT_GROUP
#define FEW 2u                     // TOKENS whose quads are held, else the weights are
layout(local_size_x = 8) in;
layout(constant_id = PM_SPEC_MATMUL_TOKENS) const uint TOKENS = 1;
layout(constant_id = PM_SPEC_MATMUL_UNIFORM) const bool UNIFORM = false; // x is loaded by address
layout(set = 0, binding = 2) uniform samplerBuffer x;

// Lane's quad of block b of a row of x.
vec4 quad_of(uint row, uint b)
{
    if (UNIFORM)
        return vec4(0.0);
    return texelFetch(x, int(row * (p.x_stride / 4) + b * 8 + gl_SubgroupInvocationID));
}

// Quad j of that block, of which lanes have their own.
vec4 quad_at(uint row, uint b, uint j, vec4 own)
{
    if (UNIFORM)
        return F32x4In(p.x).v[row * (p.x_stride / 4) + b * 8 + j];
    return subgroupShuffle(own, j);
}

void main()
{
    const uint rows = U32In(p.rows).v[0];
    const uint first = gl_WorkGroupID.y * TOKENS;
    if (first >= rows)
        return;
    const uint lane = gl_SubgroupInvocationID;
    const uint last = rows - 1 - first; // rows past the count repeat it

    float sum[ROWS * TOKENS];
    [[unroll]] for (uint t = 0; t < ROWS * TOKENS; t++)
        sum[t] = 0.0;
    for (uint b = 0; b < p.blocks; b++) {
        if (TOKENS <= FEW) {
            vec4 quad[TOKENS * 8];
            [[unroll]] for (uint t = 0; t < TOKENS; t++) {
                const uint row = first + min(t, last);
                const vec4 own = quad_of(row, b);
                [[unroll]] for (uint j = 0; j < 8; j++)
                    quad[t * 8 + j] = quad_at(row, b, j, own);
            }
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                vec4 v[8];
                vec2 scale;
                load_block_unscaled(weight_row(gl_WorkGroupID.x, lane, r, p.group_pieces, p.group_scales), b, v, scale);
                [[unroll]] for (uint t = 0; t < TOKENS; t++) {
                    float part = 0.0;
                    [[unroll]] for (uint j = 0; j < 8; j++)
                        add_unscaled(j, v[j], quad[t * 8 + j], scale, part, sum[r * TOKENS + t]);
                }
            }
        } else {
            vec4 v[ROWS * 8];
            vec2 scale[ROWS];
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                vec4 row_v[8];
                load_block_unscaled(weight_row(gl_WorkGroupID.x, lane, r, p.group_pieces, p.group_scales), b, row_v, scale[r]);
                [[unroll]] for (uint j = 0; j < 8; j++)
                    v[r * 8 + j] = row_v[j];
            }
            [[unroll]] for (uint t = 0; t < TOKENS; t++) {
                const uint row = first + min(t, last);
                const vec4 own = quad_of(row, b);
                float part[ROWS];
                [[unroll]] for (uint j = 0; j < 8; j++) {
                    const vec4 quad = quad_at(row, b, j, own);
                    [[unroll]] for (uint r = 0; r < ROWS; r++)
                        add_unscaled(j, v[r * 8 + j], quad, scale[r], part[r], sum[r * TOKENS + t]);
                }
            }
        }
    }
    F32Out y = F32Out(advance(p.y, first, p.y_stride * 4u));
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        const uint row = (gl_WorkGroupID.x * LANES + lane) * ROWS + r;
        if (row < p.n) {
            const float bias = is_null(p.bias) ? 0.0 : F32In(p.bias).v[row];
            [[unroll]] for (uint t = 0; t < TOKENS; t++)
                if (first + t < rows)
                    y.v[t * p.y_stride + row] = sum[r * TOKENS + t] + bias;
        }
    }
}
