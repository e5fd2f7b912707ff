/* gguf/dequant.c - blocks to values, in plain C: the definition that shaders are held to.
 *
 * Each function takes one block, which may lie at any byte, and writes the type's
 * `block` values. Scales are converted to f32 first; products are f32, in the order
 * written here (no contraction: the build turns it off). */
#include "gguf/blocks.h"

#include "base/half.h"
#include "gguf/dequant_codebook.h"

#include <math.h>
#include <string.h>

#define LOAD(type, name, block) type name; memcpy(&name, block, sizeof(name))

static void dequant_f32(const void *block, float *y)
{
    memcpy(y, block, 4);
}

static void dequant_f16(const void *block, float *y)
{
    LOAD(uint16_t, bits, block);
    y[0] = pm_f16_to_f32(bits);
}

static void dequant_bf16(const void *block, float *y)
{
    LOAD(uint16_t, bits, block);
    y[0] = pm_bf16_to_f32(bits);
}

static void dequant_q4_0(const void *block, float *y)
{
    LOAD(pm_block_q4_0, b, block);
    const float d = pm_f16_to_f32(b.d);
    for (int i = 0; i < 16; i++) {
        y[i] = (float)((b.q[i] & 15) - 8) * d;
        y[16 + i] = (float)((b.q[i] >> 4) - 8) * d;
    }
}

static void dequant_q4_1(const void *block, float *y)
{
    LOAD(pm_block_q4_1, b, block);
    const float d = pm_f16_to_f32(b.d), m = pm_f16_to_f32(b.m);
    for (int i = 0; i < 16; i++) {
        y[i] = (float)(b.q[i] & 15) * d + m;
        y[16 + i] = (float)(b.q[i] >> 4) * d + m;
    }
}

static void dequant_q5_0(const void *block, float *y)
{
    LOAD(pm_block_q5_0, b, block);
    LOAD(uint32_t, high, b.high);
    const float d = pm_f16_to_f32(b.d);
    for (int i = 0; i < 16; i++) {
        y[i] = (float)((int)((b.q[i] & 15) | (high >> i & 1) << 4) - 16) * d;
        y[16 + i] = (float)((int)((b.q[i] >> 4) | (high >> (16 + i) & 1) << 4) - 16) * d;
    }
}

static void dequant_q5_1(const void *block, float *y)
{
    LOAD(pm_block_q5_1, b, block);
    LOAD(uint32_t, high, b.high);
    const float d = pm_f16_to_f32(b.d), m = pm_f16_to_f32(b.m);
    for (int i = 0; i < 16; i++) {
        y[i] = (float)((b.q[i] & 15) | (high >> i & 1) << 4) * d + m;
        y[16 + i] = (float)((b.q[i] >> 4) | (high >> (16 + i) & 1) << 4) * d + m;
    }
}

static void dequant_q8_0(const void *block, float *y)
{
    LOAD(pm_block_q8_0, b, block);
    const float d = pm_f16_to_f32(b.d);
    for (int i = 0; i < 32; i++)
        y[i] = (float)b.q[i] * d;
}

static void dequant_q2_k(const void *block, float *y)
{
    LOAD(pm_block_q2_k, b, block);
    const float d = pm_f16_to_f32(b.d), dmin = pm_f16_to_f32(b.dmin);
    for (int i = 0; i < 256; i++) {
        const int half = i / 128, part = i % 128 / 32, sub = i / 16;
        const int q = b.q[32 * half + i % 32] >> (2 * part) & 3;
        y[i] = d * (float)(b.scales[sub] & 15) * (float)q - dmin * (float)(b.scales[sub] >> 4);
    }
}

static void dequant_q3_k(const void *block, float *y)
{
    LOAD(pm_block_q3_k, b, block);
    const float d = pm_f16_to_f32(b.d);
    for (int i = 0; i < 256; i++) {
        const int half = i / 128, part = i % 128 / 32, sub = i / 16;
        const int low = b.scales[sub % 8] >> (4 * (sub / 8)) & 15;
        const int scale = (low | (b.scales[8 + sub % 4] >> (2 * (sub / 4)) & 3) << 4) - 32;
        const int q = (b.q[32 * half + i % 32] >> (2 * part) & 3) - ((b.high[i % 32] >> (4 * half + part) & 1) ? 0 : 4);
        y[i] = d * (float)scale * (float)q;
    }
}

/* The 6-bit scale and minimum of sub-block j in the 12 bytes of Q4_K and Q5_K. */
static void k_scale(const uint8_t bytes[12], int j, int *scale, int *minimum)
{
    if (j < 4) {
        *scale = bytes[j] & 63;
        *minimum = bytes[j + 4] & 63;
    } else {
        *scale = (bytes[j + 4] & 15) | (bytes[j - 4] >> 6) << 4;
        *minimum = (bytes[j + 4] >> 4) | (bytes[j] >> 6) << 4;
    }
}

static void dequant_q4_k(const void *block, float *y)
{
    LOAD(pm_block_q4_k, b, block);
    const float d = pm_f16_to_f32(b.d), dmin = pm_f16_to_f32(b.dmin);
    for (int j = 0; j < 8; j++) {
        int s, m;
        k_scale(b.scales, j, &s, &m);
        const float scale = d * (float)s, offset = dmin * (float)m;
        for (int i = 0; i < 32; i++)
            y[32 * j + i] = scale * (float)(b.q[32 * (j / 2) + i] >> (4 * (j % 2)) & 15) - offset;
    }
}

static void dequant_q5_k(const void *block, float *y)
{
    LOAD(pm_block_q5_k, b, block);
    const float d = pm_f16_to_f32(b.d), dmin = pm_f16_to_f32(b.dmin);
    for (int j = 0; j < 8; j++) {
        int s, m;
        k_scale(b.scales, j, &s, &m);
        const float scale = d * (float)s, offset = dmin * (float)m;
        for (int i = 0; i < 32; i++) {
            const int q = (b.q[32 * (j / 2) + i] >> (4 * (j % 2)) & 15) | (b.high[i] >> j & 1) << 4;
            y[32 * j + i] = scale * (float)q - offset;
        }
    }
}

static void dequant_q6_k(const void *block, float *y)
{
    LOAD(pm_block_q6_k, b, block);
    const float d = pm_f16_to_f32(b.d);
    for (int i = 0; i < 256; i++) {
        const int half = i / 128, part = i % 128 / 32, at = i % 32;
        const int low = b.low[64 * half + 32 * (part % 2) + at] >> (4 * (part / 2)) & 15;
        const int high = b.high[32 * half + at] >> (2 * part) & 3;
        y[i] = d * (float)b.scales[i / 16] * (float)((low | high << 4) - 32);
    }
}

static void dequant_iq4_nl(const void *block, float *y)
{
    LOAD(pm_block_iq4_nl, b, block);
    const float d = pm_f16_to_f32(b.d);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)pm_iq4_values[b.q[i] & 15];
        y[16 + i] = d * (float)pm_iq4_values[b.q[i] >> 4];
    }
}

static void dequant_iq4_xs(const void *block, float *y)
{
    LOAD(pm_block_iq4_xs, b, block);
    const float d = pm_f16_to_f32(b.d);
    for (int j = 0; j < 8; j++) {
        const int s = (b.scales_low[j / 2] >> (4 * (j % 2)) & 15) | (b.scales_high >> (2 * j) & 3) << 4;
        const float scale = d * (float)(s - 32);
        for (int i = 0; i < 16; i++) {
            y[32 * j + i] = scale * (float)pm_iq4_values[b.q[16 * j + i] & 15];
            y[32 * j + 16 + i] = scale * (float)pm_iq4_values[b.q[16 * j + i] >> 4];
        }
    }
}

/* E2M1 values, doubled, with the exponent's bias lowered by one to match. */
static void dequant_mxfp4(const void *block, float *y)
{
    static const int8_t values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    LOAD(pm_block_mxfp4, b, block);
    const float d = ldexpf(1.0f, (int)b.e - 128);
    for (int i = 0; i < 16; i++) {
        y[i] = (float)values[b.q[i] & 15] * d;
        y[16 + i] = (float)values[b.q[i] >> 4] * d;
    }
}

static void (*const functions[PM_DTYPE_LIMIT])(const void *block, float *y) = {
    [PM_DTYPE_F32] = dequant_f32,       [PM_DTYPE_F16] = dequant_f16,       [PM_DTYPE_BF16] = dequant_bf16,
    [PM_DTYPE_Q4_0] = dequant_q4_0,     [PM_DTYPE_Q4_1] = dequant_q4_1,     [PM_DTYPE_Q5_0] = dequant_q5_0,
    [PM_DTYPE_Q5_1] = dequant_q5_1,     [PM_DTYPE_Q8_0] = dequant_q8_0,     [PM_DTYPE_Q2_K] = dequant_q2_k,
    [PM_DTYPE_Q3_K] = dequant_q3_k,     [PM_DTYPE_Q4_K] = dequant_q4_k,     [PM_DTYPE_Q5_K] = dequant_q5_k,
    [PM_DTYPE_Q6_K] = dequant_q6_k,     [PM_DTYPE_IQ4_NL] = dequant_iq4_nl, [PM_DTYPE_IQ4_XS] = dequant_iq4_xs,
    [PM_DTYPE_MXFP4] = dequant_mxfp4,
    [PM_DTYPE_IQ1_S] = pm_dequant_iq1_s,     [PM_DTYPE_IQ1_M] = pm_dequant_iq1_m,
    [PM_DTYPE_IQ2_XXS] = pm_dequant_iq2_xxs, [PM_DTYPE_IQ2_XS] = pm_dequant_iq2_xs,
    [PM_DTYPE_IQ2_S] = pm_dequant_iq2_s,     [PM_DTYPE_IQ3_XXS] = pm_dequant_iq3_xxs,
    [PM_DTYPE_IQ3_S] = pm_dequant_iq3_s,
};

bool pm_dtype_can_dequant(pm_dtype type)
{
    return (unsigned)type < PM_DTYPE_LIMIT && functions[type] != NULL;
}

void pm_dequant_row(pm_dtype type, const void *blocks, float *values, uint64_t count)
{
    pm_assert(pm_dtype_can_dequant(type));
    const pm_dtype_info *info = pm_dtype_get(type);
    pm_assert(count % info->block == 0);
    const uint8_t *block = blocks;
    for (uint64_t i = 0; i < count; i += info->block, block += info->bytes)
        functions[type](block, values + i);
}
