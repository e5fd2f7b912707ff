/* gguf/dequant_codebook.c - blocks of the codebook types to values, in plain C.
 *
 * A block of 256 is 8 runs of 32, a run 4 groups of 8 weights. A weight is the scale of its 16
 * or 32, times a magnitude from the grid, times a sign (IQ2, IQ3), or times a code of -1, 0, 1
 * shifted by an eighth (IQ1). All products are exact in f32. */
#include "gguf/dequant_codebook.h"

#include "base/half.h"
#include "gguf/blocks.h"
#include "gguf/codebook.h"

#include <string.h>

#define LOAD(type, name, block) type name; memcpy(&name, block, sizeof(name))

/* Seven stored signs and an eighth that makes their number even. */
static uint32_t eight_signs(uint32_t seven)
{
    uint32_t parity = seven ^ seven >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return seven | (parity & 1) << 7;
}

static float apply_sign(float value, uint32_t signs, int i)
{
    return signs >> i & 1 ? -value : value;
}

/* 8 weights of IQ1: scale (code - 1 + delta). */
static void put_ternary(float *y, uint32_t entry, float scale, float delta)
{
    for (int i = 0; i < 8; i++)
        y[i] = scale * ((float)(int)(entry >> (8 * (i % 4) + 4 * (i / 4)) & 15) - 1.0f + delta);
}

/* 8 weights of IQ2: codes 0, 1, 2 are magnitudes 8, 25, 43. */
static void put_eight(float *y, uint32_t entry, uint32_t signs, float scale)
{
    static const float magnitudes[3] = {8.0f, 25.0f, 43.0f};
    for (int i = 0; i < 8; i++)
        y[i] = apply_sign(scale * magnitudes[entry >> (8 * (i % 4) + 4 * (i / 4)) & 15], signs, i);
}

/* 4 weights of IQ3. */
static void put_four(float *y, uint32_t entry, uint32_t signs, float scale)
{
    for (int i = 0; i < 4; i++)
        y[i] = apply_sign(scale * (float)(entry >> (8 * i) & 255), signs, i);
}

static float iq1_delta(uint32_t negative)
{
    return negative ? -0.125f : 0.125f;
}

void pm_dequant_iq1_s(const void *block, float *y)
{
    LOAD(pm_block_iq1_s, b, block);
    uint32_t count;
    const uint32_t *grid = pm_codebook_get(PM_DTYPE_IQ1_S, &count);
    const float d = pm_f16_to_f32(b.d);
    for (int run = 0; run < 8; run++) {
        const uint32_t high = b.high[run];
        const float scale = d * (float)(2 * (high >> 12 & 7) + 1), delta = iq1_delta(high >> 15);
        for (int g = 0; g < 4; g++)
            put_ternary(&y[32 * run + 8 * g], grid[b.q[4 * run + g] | (high >> (3 * g) & 7) << 8], scale, delta);
    }
}

void pm_dequant_iq1_m(const void *block, float *y)
{
    LOAD(pm_block_iq1_m, b, block);
    uint32_t count;
    const uint32_t *grid = pm_codebook_get(PM_DTYPE_IQ1_M, &count);
    const uint32_t bits = b.scales[0] >> 12 | b.scales[1] >> 12 << 4 | b.scales[2] >> 12 << 8 | b.scales[3] >> 12 << 12;
    const float d = pm_f16_to_f32((uint16_t)bits);
    for (int i = 0; i < 32; i++) { /* groups */
        const uint32_t high = b.high[i / 2] >> (4 * (i % 2)) & 15;
        const uint32_t scale = b.scales[i / 8] >> (3 * (i / 2 % 4)) & 7;
        put_ternary(&y[8 * i], grid[b.q[i] | (high & 7) << 8], d * (float)(2 * scale + 1), iq1_delta(high >> 3));
    }
}

void pm_dequant_iq2_xxs(const void *block, float *y)
{
    LOAD(pm_block_iq2_xxs, b, block);
    uint32_t count;
    const uint32_t *grid = pm_codebook_get(PM_DTYPE_IQ2_XXS, &count);
    const float d = pm_f16_to_f32(b.d);
    for (int run = 0; run < 8; run++) {
        const uint16_t *q = &b.q[4 * run];
        const uint32_t numbers = q[0] | (uint32_t)q[1] << 16, signs = q[2] | (uint32_t)q[3] << 16;
        const float scale = d * (0.5f + (float)(signs >> 28)) * 0.25f;
        for (int g = 0; g < 4; g++)
            put_eight(&y[32 * run + 8 * g], grid[numbers >> (8 * g) & 255], eight_signs(signs >> (7 * g) & 127), scale);
    }
}

void pm_dequant_iq2_xs(const void *block, float *y)
{
    LOAD(pm_block_iq2_xs, b, block);
    uint32_t count;
    const uint32_t *grid = pm_codebook_get(PM_DTYPE_IQ2_XS, &count);
    const float d = pm_f16_to_f32(b.d);
    for (int i = 0; i < 32; i++) { /* groups */
        const float scale = d * (0.5f + (float)(b.scales[i / 4] >> (4 * (i / 2 % 2)) & 15)) * 0.25f;
        put_eight(&y[8 * i], grid[b.q[i] & 511], eight_signs(b.q[i] >> 9), scale);
    }
}

void pm_dequant_iq2_s(const void *block, float *y)
{
    LOAD(pm_block_iq2_s, b, block);
    uint32_t count;
    const uint32_t *grid = pm_codebook_get(PM_DTYPE_IQ2_S, &count);
    const float d = pm_f16_to_f32(b.d);
    for (int i = 0; i < 32; i++) { /* groups */
        const float scale = d * (0.5f + (float)(b.scales[i / 4] >> (4 * (i / 2 % 2)) & 15)) * 0.25f;
        put_eight(&y[8 * i], grid[b.q[i] | (b.high[i / 4] >> (2 * (i % 4)) & 3) << 8], b.signs[i], scale);
    }
}

void pm_dequant_iq3_xxs(const void *block, float *y)
{
    LOAD(pm_block_iq3_xxs, b, block);
    uint32_t count;
    const uint32_t *grid = pm_codebook_get(PM_DTYPE_IQ3_XXS, &count);
    const float d = pm_f16_to_f32(b.d);
    for (int run = 0; run < 8; run++) {
        LOAD(uint32_t, signs, &b.signs[4 * run]);
        const float scale = d * (0.5f + (float)(signs >> 28)) * 0.5f;
        for (int f = 0; f < 8; f++) /* fours */
            put_four(&y[32 * run + 4 * f], grid[b.q[8 * run + f]],
                     eight_signs(signs >> (7 * (f / 2)) & 127) >> (4 * (f % 2)), scale);
    }
}

void pm_dequant_iq3_s(const void *block, float *y)
{
    LOAD(pm_block_iq3_s, b, block);
    uint32_t count;
    const uint32_t *grid = pm_codebook_get(PM_DTYPE_IQ3_S, &count);
    const float d = pm_f16_to_f32(b.d);
    for (int i = 0; i < 64; i++) { /* fours */
        const int run = i / 8;
        const float scale = d * (float)(1 + 2 * (b.scales[run / 2] >> (4 * (run % 2)) & 15));
        put_four(&y[4 * i], grid[b.q[i] | (uint32_t)(b.high[run] >> (i % 8) & 1) << 8], b.signs[i / 2] >> (4 * (i % 2)),
                 scale);
    }
}
