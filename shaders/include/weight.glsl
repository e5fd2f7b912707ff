// weight.glsl - one row of a packed matrix, see src/op/weight.h. TYPE_<type> names the
// type, whose file gives load_block(weight, b, w): the 32 weights of block b of the row, as f32,
// exactly those of pm_dequant_row(). A quantised type defines
// load_block_i8(weight, b, q, scale, offset): 32 bytes q in 8 words, in order, and
//   w[i] = scale[h] (q[i] - I8_BIAS) + offset[h],   h = i / 16 if I8_HALVES is 2, else 0
// and what of I8_BIAS (0), I8_HALVES (1), I8_OFFSET (false: no offset) differs. The bytes are
// signed; where none is above 127 and I8_BYTES is unsigned_bytes, they convert in fewer instructions.
// load_block() follows from that, and load_weight(weight, b, i), weight i of the block alone, but for the types that
// define their own. With I8_EXACT, where scale q and scale I8_BIAS fit the 24 bits of an f32, one fused
// instruction gives the same weight.
// load_block_unscaled() leaves the scales to be multiplied with sums.
// A kernel with WEIGHT_TEXELS says before whether scale words that HELD_BLOCKS blocks share are read once, by the type's
// hold(weight, b) (HOLD), and whether offsets are multiplied with sums, too (OFFSET_APART).
#ifndef WEIGHT_GLSL
#define WEIGHT_GLSL
#extension GL_EXT_control_flow_attributes : require
#ifdef WEIGHT_TEXELS
#define BYTES_IN_PLACE
#else
const bool OFFSET_APART = false;
#endif
#include "address.glsl"
#include "weight_bits.glsl"

#define WEIGHT_GROUP 32u

// Bytes of the table that lies before the pieces of a codebook type.
#if defined(TYPE_IQ2_XXS) || defined(TYPE_IQ3_XXS)
#define WEIGHT_TABLE 1024u
#elif defined(TYPE_IQ2_XS) || defined(TYPE_IQ3_S)
#define WEIGHT_TABLE 2048u
#elif defined(TYPE_IQ2_S)
#define WEIGHT_TABLE 4096u
#elif defined(TYPE_IQ1_S) || defined(TYPE_IQ1_M)
#define WEIGHT_TABLE 8192u
#endif

#ifdef WEIGHT_TEXELS

// The matrix as buffer textures. A texel of scales is the word of 4 rows: lanes that own such a quad of
// rows fetch it once.
#define WEIGHT_QUAD 4u
layout(set = 0, binding = 0) uniform usamplerBuffer weight_pieces;
layout(set = 0, binding = 1) uniform usamplerBuffer weight_scales;
#ifdef WEIGHT_TABLE
layout(set = 0, binding = 3) uniform usamplerBuffer weight_table;  // words
#endif

struct Weight {
    uint pieces;                   // texel of this row's piece 0; the next is WEIGHT_GROUP further
    uint scales;                   // texel of its quad's scale word 0; the next is WEIGHT_GROUP / WEIGHT_QUAD further
    uint row;                      // in its quad
    uvec4 held;                    // scale words that HELD_BLOCKS blocks share, as hold_words() put them there
};

uvec4 piece(Weight weight, uint i)
{
    return texelFetch(weight_pieces, int(weight.pieces + i * WEIGHT_GROUP));
}

uint scale_word(Weight weight, uint i)
{
    return texelFetch(weight_scales, int(weight.scales + i * (WEIGHT_GROUP / WEIGHT_QUAD)))[weight.row];
}

// Scale word base + i, i < 4, of those that a type's hold() names: where HOLD, one that was read before.
uint shared_word(Weight weight, uint base, uint i)
{
    return HOLD ? weight.held[i] : scale_word(weight, base + i);
}

void hold_words(inout Weight weight, uint base, uint count)
{
    [[unroll]] for (uint i = 0; i < count; i++)
        weight.held[i] = scale_word(weight, base + i);
}

#ifdef WEIGHT_TABLE
uint table_word(Weight weight, uint i)
{
    return texelFetch(weight_table, int(i)).x;
}
#endif

// Row `row` of quad `quad` of a group of rows. group_pieces, group_scales: bytes of one group.
Weight weight_row(uint group, uint quad, uint row, uint group_pieces, uint group_scales)
{
    return Weight(group * (group_pieces / 16) + quad * WEIGHT_QUAD + row, group * (group_scales / 16) + quad, row,
                  uvec4(0));
}

#else

struct Weight {
    U32x4In pieces;                // this row's piece 0; the next is WEIGHT_GROUP further
    U32In scales;                  // this row's scale word 0; likewise
#ifdef WEIGHT_TABLE
    U32In table;                   // all rows'
#endif
};

uvec4 piece(Weight weight, uint i)
{
    return weight.pieces.v[i * WEIGHT_GROUP];
}

uint scale_word(Weight weight, uint i)
{
    return weight.scales.v[i * WEIGHT_GROUP];
}

uint shared_word(Weight weight, uint base, uint i)
{
    return scale_word(weight, base + i);
}

void hold_words(inout Weight weight, uint base, uint count)
{
}

#ifdef WEIGHT_TABLE
uint table_word(Weight weight, uint i)
{
    return weight.table.v[i];
}
#endif

// group_pieces, group_scales: bytes of one group of rows.
Weight weight_row(uvec2 pieces, uvec2 scales, uint row, uint group_pieces, uint group_scales)
{
    const uint group = row / WEIGHT_GROUP, lane = row % WEIGHT_GROUP;
    return Weight(U32x4In(advance(advance(pieces, group, group_pieces), lane, 16u)),
                  U32In(advance(advance(scales, group, group_scales), lane, 4u))
#ifdef WEIGHT_TABLE
                      , U32In(uvec2(pieces.x - WEIGHT_TABLE, pieces.y - uint(pieces.x < WEIGHT_TABLE)))
#endif
    );
}

#endif

// sum + a.b, one product after the other: 4 fused instructions, where sum += dot(a, b) takes 5.
float add_products(float sum, vec4 a, vec4 b)
{
    sum += a.x * b.x;
    sum += a.y * b.y;
    sum += a.z * b.z;
    sum += a.w * b.w;
    return sum;
}

#if defined(TYPE_F32)
#include "weight_f32.glsl"
#elif defined(TYPE_F16)
#include "weight_f16.glsl"
#elif defined(TYPE_BF16)
#include "weight_bf16.glsl"
#elif defined(TYPE_Q8_0)
#include "weight_q8_0.glsl"
#elif defined(TYPE_Q4_0)
#include "weight_q4_0.glsl"
#elif defined(TYPE_Q4_K)
#include "weight_q4_k.glsl"
#elif defined(TYPE_Q6_K)
#include "weight_q6_k.glsl"
#elif defined(TYPE_Q4_1)
#include "weight_q4_1.glsl"
#elif defined(TYPE_Q5_0)
#include "weight_q5_0.glsl"
#elif defined(TYPE_Q5_1)
#include "weight_q5_1.glsl"
#elif defined(TYPE_Q2_K)
#include "weight_q2_k.glsl"
#elif defined(TYPE_Q3_K)
#include "weight_q3_k.glsl"
#elif defined(TYPE_Q5_K)
#include "weight_q5_k.glsl"
#elif defined(TYPE_IQ4_NL)
#include "weight_iq4_nl.glsl"
#elif defined(TYPE_IQ4_XS)
#include "weight_iq4_xs.glsl"
#elif defined(TYPE_MXFP4)
#include "weight_mxfp4.glsl"
#elif defined(TYPE_IQ1_S)
#include "weight_iq1_s.glsl"
#elif defined(TYPE_IQ1_M)
#include "weight_iq1_m.glsl"
#elif defined(TYPE_IQ2_XXS)
#include "weight_iq2_xxs.glsl"
#elif defined(TYPE_IQ2_XS)
#include "weight_iq2_xs.glsl"
#elif defined(TYPE_IQ2_S)
#include "weight_iq2_s.glsl"
#elif defined(TYPE_IQ3_XXS)
#include "weight_iq3_xxs.glsl"
#elif defined(TYPE_IQ3_S)
#include "weight_iq3_s.glsl"
#endif

#ifndef HELD_BLOCKS
#define HELD_BLOCKS 0u
void hold(inout Weight weight, uint b)
{
}
#endif

#ifndef I8_BIAS
#define I8_BIAS 0
#endif
#ifndef I8_HALVES
#define I8_HALVES 1
#endif
#ifndef I8_OFFSET
#define I8_OFFSET false
#endif

#ifdef I8_BYTES
// Four bytes of a block's half h as weights.
vec4 weights_of(uint q, uint h, vec2 scale, vec2 offset)
{
#ifdef I8_EXACT
    const vec4 w = scale[h] * I8_BYTES(q) - scale[h] * float(I8_BIAS);
#else
    const vec4 w = scale[h] * (I8_BYTES(q) - float(I8_BIAS));
#endif
    return I8_OFFSET ? w + offset[h] : w;
}

void load_block(Weight weight, uint b, out vec4 w[8])
{
    uint q[8];
    vec2 scale, offset;
    load_block_i8(weight, b, q, scale, offset);
    [[unroll]] for (uint j = 0; j < 8; j++)
        w[j] = weights_of(q[j], I8_HALVES == 2 ? j / 4 : 0, scale, offset);
}

float load_weight(Weight weight, uint b, uint i)
{
    uint q[8];
    vec2 scale, offset;
    load_block_i8(weight, b, q, scale, offset);
    return weights_of(q[i / 4], I8_HALVES == 2 ? i / 16 : 0, scale, offset)[i % 4];
}
#endif

// The weights 4 j .. 4 j + 3 of block b. j differs from lane to lane: choices, since no index may.
vec4 load_quad(Weight weight, uint b, uint j)
{
#ifdef I8_BYTES
    uint q[8];
    vec2 scale, offset;
    load_block_i8(weight, b, q, scale, offset);
    uint codes = q[0];
    [[unroll]] for (uint i = 1; i < 8; i++)
        codes = mix(codes, q[i], i == j);
    return I8_HALVES == 2 && j >= 4 ? weights_of(codes, 1, scale, offset) : weights_of(codes, 0, scale, offset);
#else
    vec4 w[8];
    load_block(weight, b, w);
    vec4 quad = w[0];
    [[unroll]] for (uint i = 1; i < 8; i++)
        quad = mix(quad, w[i], bvec4(i == j));
    return quad;
#endif
}

// Scales of a block's load_block_unscaled() and quad_of_block(): none for a type without bytes, nor for one with an
// offset, but where OFFSET_APART says that offsets are multiplied with sums of x.
#ifdef I8_BYTES
const uint WEIGHT_SCALES = I8_OFFSET && !OFFSET_APART ? 0 : I8_HALVES;
#else
const uint WEIGHT_SCALES = 0;
#endif

// v of block b, exact: w[i] = scale[h] v[i], h = i / 16 if there are 2, else 0; w[i] where there are none.
void load_block_unscaled(Weight weight, uint b, out vec4 v[8], out vec2 scale)
{
    scale = vec2(1.0);
#ifdef I8_BYTES
    if (WEIGHT_SCALES > 0) {
        uint q[8];
        vec2 offset;
        load_block_i8(weight, b, q, scale, offset);
        [[unroll]] for (uint j = 0; j < 8; j++)
            v[j] = I8_BYTES(q[j]) - float(I8_BIAS);
        return;
    }
#endif
    load_block(weight, b, v);
}

#ifdef WEIGHT_TEXELS
// A block as it is read: as codes, if it has any. Of those as many as a lane has rows are read before any is used,
// which hides how long a texel takes; 32 weights would be too much to hold.
struct Block {
#ifdef I8_BYTES
#define BLOCKS_HELD WEIGHT_QUAD
    uint q[8];
    vec2 scale, offset;
#else
#define BLOCKS_HELD 1u
    vec4 w[8];
    vec2 scale, offset;
#endif
};

Block block_of(Weight weight, uint b)
{
    Block block;
#ifdef I8_BYTES
    load_block_i8(weight, b, block.q, block.scale, block.offset);
#else
    load_block(weight, b, block.w);
    block.scale = vec2(1.0);
    block.offset = vec2(0.0);
#endif
    return block;
}

// v[j] of load_block_unscaled().
vec4 quad_of_block(Block block, uint j)
{
#ifdef I8_BYTES
    if (WEIGHT_SCALES > 0)
        return I8_BYTES(block.q[j]) - float(I8_BIAS);
    return weights_of(block.q[j], I8_HALVES == 2 ? j / 4 : 0, block.scale, block.offset);
#else
    return block.w[j];
#endif
}
#endif

const uint WEIGHT_PART = WEIGHT_SCALES == 2 ? 4 : 8; // vec4s of v that share a scale

// Products of v[j] and a quad of x, j from 0 to 7 in turn, are added to the part of them that shares a scale, whole
// parts to sum. x_sum: of the x of a part's quads, where OFFSET_APART.
void add_unscaled(uint j, vec4 v, vec4 quad, vec2 scale, vec2 offset, vec2 x_sum, inout float part, inout float sum)
{
    const float product = dot(v, quad);
    const uint h = j / WEIGHT_PART;
    part = j % WEIGHT_PART == 0 ? product : part + product;
    if (j % WEIGHT_PART == WEIGHT_PART - 1)
        sum += WEIGHT_SCALES == 0 ? part : I8_OFFSET ? scale[h] * part + offset[h] * x_sum[h] : scale[h] * part;
}

void add_unscaled(uint j, vec4 v, vec4 quad, vec2 scale, inout float part, inout float sum)
{
    add_unscaled(j, v, quad, scale, vec2(0.0), vec2(0.0), part, sum);
}
#endif
