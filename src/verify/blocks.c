/* verify/blocks.c - random weights of any tensor type, as a file holds them. */
#include "verify/blocks.h"

#include "verify/input.h"

#include <string.h>

/* Bytes at which a block's f16 scales lie; -1: none. Facts of the format, as gguf/blocks.h. */
static void scale_offsets(pm_dtype type, int offsets[2])
{
    offsets[0] = 0;
    offsets[1] = -1;
    switch (type) {
    case PM_DTYPE_Q4_1: case PM_DTYPE_Q5_1: case PM_DTYPE_Q8_1: case PM_DTYPE_Q4_K: case PM_DTYPE_Q5_K:
        offsets[1] = 2;
        break;
    case PM_DTYPE_Q2_K:
        offsets[0] = 80;
        offsets[1] = 82;
        break;
    case PM_DTYPE_Q3_K: offsets[0] = 108; break;
    case PM_DTYPE_Q6_K: offsets[0] = 208; break;
    case PM_DTYPE_TQ1_0: offsets[0] = 52; break;
    case PM_DTYPE_TQ2_0: offsets[0] = 64; break;
    default: break;
    }
}

/* An f16 of 2^-7 to 2^-3, either sign. */
static uint16_t scale_of(uint64_t word)
{
    return (uint16_t)((word >> 16 & 0x8000) | (8 + (word >> 10) % 4) << 10 | (word & 0x3ff));
}

static void put16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, 2);
}

/* IQ1_M spreads its scale over the high 4 bits of the block's last four words. */
static void put_iq1_m(uint8_t *block, uint16_t d)
{
    for (int i = 0; i < 4; i++) {
        uint8_t *high = block + 48 + 2 * i + 1;
        *high = (uint8_t)((*high & 15) | (d >> (4 * i) & 15) << 4);
    }
}

static void set_scales(pm_dtype type, uint8_t *block, uint64_t word, bool zero)
{
    const uint16_t d = zero ? 0 : scale_of(word), dmin = zero ? 0 : scale_of(word >> 32);
    const uint32_t brain = (uint32_t)(word & 0x807f) | (uint32_t)(118 + (word >> 20) % 8) << 7;
    const uint32_t single = (uint32_t)(word & 0x807fffff) | (uint32_t)(118 + (word >> 40) % 8) << 23;
    int offsets[2];
    switch (type) {
    case PM_DTYPE_F32: memcpy(block, &single, 4); return;
    case PM_DTYPE_BF16: put16(block, (uint16_t)brain); return;
    case PM_DTYPE_IQ1_M: put_iq1_m(block, d); return;
    case PM_DTYPE_MXFP4: *block = (uint8_t)(zero ? 2 : 119 + word % 6); return; /* 2^(e - 128); below 2 a device may flush it to zero */
    default: break;
    }
    scale_offsets(type, offsets);
    put16(block + offsets[0], d);
    if (offsets[1] >= 0)
        put16(block + offsets[1], dmin);
}

void pm_verify_blocks(pm_dtype type, uint64_t seed, uint8_t *blocks, uint64_t bytes)
{
    const uint32_t block_bytes = pm_dtype_get(type)->bytes;
    pm_assert(bytes % block_bytes == 0);
    for (uint64_t i = 0; i < bytes; i += 8) {
        const uint64_t word = pm_input_word(seed, i);
        memcpy(blocks + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
    for (uint64_t b = 0; b < bytes / block_bytes; b++)
        set_scales(type, blocks + b * block_bytes, pm_input_word(seed + 1, b), b % 17 == 3);
}
