/* op/pack_host.c - the packed layout, written by the host.
 *
 * Where device memory is the host's own, blocks go straight from the file to their place, at the speed of
 * memory; pack.comp, whose lanes read and write far apart, takes several times as long on a CPU driver.
 * The types that most files consist of; what each piece holds is told in shaders/include/pack_<type>.glsl,
 * and op.weight holds the two to the same bytes.
 */
#include "op/pack_host.h"

#include "op/weight_layout.h"

#include <string.h>

/* A row of the file and its place among the rows of its group. */
typedef struct pack_row {
    const uint8_t *raw;
    uint8_t *pieces, *scales;
    uint32_t k;
} pack_row;

static void put_piece(const pack_row *row, uint32_t index, const void *piece)
{
    memcpy(row->pieces + (size_t)index * PM_WEIGHT_GROUP * 16, piece, 16);
}

static void put_scale(const pack_row *row, uint32_t index, uint32_t value)
{
    memcpy(row->scales + (size_t)index * PM_WEIGHT_GROUP * 4, &value, 4);
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static uint32_t get_u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, 2);
    return value;
}

/* Values of 2 or 4 bytes, with zeros past k. */
static void pack_values(const pack_row *row, uint32_t bytes)
{
    const uint32_t all = row->k * bytes, whole = all / 16, padded = (row->k + 31) / 32 * 32 * bytes / 16;
    for (uint32_t i = 0; i < whole; i++)
        put_piece(row, i, row->raw + (size_t)i * 16);
    for (uint32_t i = whole; i < padded; i++) {
        uint8_t piece[16] = {0};
        if (i * 16 < all)
            memcpy(piece, row->raw + (size_t)i * 16, all - i * 16);
        put_piece(row, i, piece);
    }
}

static void pack_f32(const pack_row *row)
{
    pack_values(row, 4);
}

static void pack_f16(const pack_row *row)
{
    pack_values(row, 2);
}

/* Blocks {f16 d; `pieces` of 16 bytes}; a scale word holds the d of two. */
static void pack_blocks(const pack_row *row, uint32_t pieces)
{
    const uint32_t blocks = row->k / 32;
    const size_t bytes = 2 + 16 * (size_t)pieces;
    for (uint32_t b = 0; b < blocks; b++) {
        const uint8_t *block = row->raw + b * bytes;
        for (uint32_t i = 0; i < pieces; i++)
            put_piece(row, b * pieces + i, block + 2 + 16 * i);
        if (b % 2 == 0)
            put_scale(row, b / 2, get_u16(block) | (b + 1 < blocks ? get_u16(block + bytes) << 16 : 0));
    }
}

static void pack_q8_0(const pack_row *row)
{
    pack_blocks(row, 2);
}

static void pack_q4_0(const pack_row *row)
{
    pack_blocks(row, 1);
}

/* Block b of the 128 bytes of 4-bit codes of a K type: byte i has the codes of weight i and weight 16 + i. */
static void put_nibbles(const pack_row *row, uint32_t index, const uint8_t *codes, uint32_t b)
{
    const uint8_t *from = codes + 32 * (b / 2);
    const uint32_t shift = 4 * (b % 2);
    uint8_t piece[16];
    for (uint32_t i = 0; i < 16; i++)
        piece[i] = (uint8_t)(((from[i] >> shift) & 15) | ((from[16 + i] >> shift) & 15) << 4);
    put_piece(row, index, piece);
}

static void pack_q4_k(const pack_row *row)
{
    for (uint32_t unit = 0; unit < row->k / 256; unit++) {
        const uint8_t *block = row->raw + unit * (size_t)144;
        for (uint32_t s = 0; s < 4; s++)
            put_scale(row, unit * 4 + s, get_u32(block + 4 * s));
        for (uint32_t b = 0; b < 8; b++)
            put_nibbles(row, unit * 8 + b, block + 16, b);
    }
}

/* Bit b of 32 bytes: bit j of byte i is that of weight i + 4 j. */
static uint32_t plane_of_1(const uint8_t *bytes, uint32_t b)
{
    uint32_t word = 0;
    for (uint32_t j = 0; j < 8; j++)
        word |= ((get_u32(bytes + 4 * j) >> b) & 0x01010101u) << j;
    return word;
}

static void pack_q5_k(const pack_row *row)
{
    for (uint32_t unit = 0; unit < row->k / 256; unit++) {
        const uint8_t *block = row->raw + unit * (size_t)176;
        for (uint32_t s = 0; s < 4; s++)
            put_scale(row, unit * 12 + s, get_u32(block + 4 * s));
        for (uint32_t b = 0; b < 8; b++) {
            put_scale(row, unit * 12 + 4 + b, plane_of_1(block + 16, b));
            put_nibbles(row, unit * 8 + b, block + 48, b);
        }
    }
}

/* Block b: byte i has the low 4 bits of weight i and of weight 16 + i. */
static void put_low_q6(const pack_row *row, uint32_t index, const uint8_t *low, uint32_t b)
{
    const uint8_t *from = low + 64 * (b / 4) + 32 * (b % 2);
    const uint32_t shift = 4 * (b % 4 / 2);
    uint8_t piece[16];
    for (uint32_t i = 0; i < 16; i++)
        piece[i] = (uint8_t)(((from[i] >> shift) & 15) | ((from[16 + i] >> shift) & 15) << 4);
    put_piece(row, index, piece);
}

/* Block b, 8 bytes: byte i has the high 2 bits of weights i, 8 + i, 16 + i and 24 + i. */
static void high_q6(const uint8_t *high, uint32_t b, uint8_t bytes[8])
{
    const uint8_t *from = high + 32 * (b / 4);
    const uint32_t shift = 2 * (b % 4);
    for (uint32_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(((from[i] >> shift) & 3) | ((from[8 + i] >> shift) & 3) << 2 |
                             ((from[16 + i] >> shift) & 3) << 4 | ((from[24 + i] >> shift) & 3) << 6);
}

static void pack_q6_k(const pack_row *row)
{
    for (uint32_t unit = 0; unit < row->k / 256; unit++) {
        const uint8_t *block = row->raw + unit * (size_t)210;
        for (uint32_t s = 0; s < 4; s++)
            put_scale(row, unit * 5 + s, get_u32(block + 192 + 4 * s));
        put_scale(row, unit * 5 + 4, get_u16(block + 208));
        for (uint32_t b = 0; b < 8; b++)
            put_low_q6(row, unit * 12 + b, block, b);
        for (uint32_t pair = 0; pair < 4; pair++) {
            uint8_t piece[16];
            high_q6(block + 128, 2 * pair, piece);
            high_q6(block + 128, 2 * pair + 1, piece + 8);
            put_piece(row, unit * 12 + 8 + pair, piece);
        }
    }
}

typedef void pack_fn(const pack_row *row);

static pack_fn *packer_of(pm_dtype type)
{
    switch (type) {
    case PM_DTYPE_F32: return pack_f32;
    case PM_DTYPE_F16:
    case PM_DTYPE_BF16: return pack_f16;
    case PM_DTYPE_Q8_0: return pack_q8_0;
    case PM_DTYPE_Q4_0:
    case PM_DTYPE_IQ4_NL: return pack_q4_0;
    case PM_DTYPE_Q4_K: return pack_q4_k;
    case PM_DTYPE_Q5_K: return pack_q5_k;
    case PM_DTYPE_Q6_K: return pack_q6_k;
    default: return NULL;
    }
}

bool pm_weight_packs_on_host(pm_dtype type)
{
    return packer_of(type) != NULL;
}

void pm_weight_pack_on_host(const pm_weight *weight, void *packed, uint32_t row_base, uint32_t rows, const void *raw)
{
    pack_fn *pack = packer_of(weight->type);
    pm_assert(pack != NULL && row_base + rows <= weight->n);
    const pm_weight_view view = pm_weight_view_of(weight);
    const uint64_t base = pm_slice_address(weight->data), row_bytes = pm_dtype_row_bytes(weight->type, weight->k);
    uint8_t *host = packed;
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t group = (row_base + r) / PM_WEIGHT_GROUP, lane = (row_base + r) % PM_WEIGHT_GROUP;
        const pack_row row = {
            .raw = (const uint8_t *)raw + r * row_bytes,
            .pieces = host + (view.pieces - base) + (uint64_t)group * view.group_pieces + lane * 16,
            .scales = host + (view.scales - base) + (uint64_t)group * view.group_scales + lane * 4,
            .k = weight->k,
        };
        pack(&row);
    }
}
