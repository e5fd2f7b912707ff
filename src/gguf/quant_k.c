/* gguf/quant_k.c - the K types: super-blocks of 256 values. Layouts as in dequant.c. */
#include "gguf/quant.h"

#include "base/half.h"
#include "gguf/blocks.h"
#include "gguf/fit.h"

#include <string.h>

enum { N = 256 };

/* Q2_K, Q4_K, Q5_K: codes of the sub-blocks, then quants for the scales as they are stored. */
static void affine(const float *x, const float *w, int high, int n, int code_high, uint16_t *d, uint16_t *dmin,
                   int *scales, int *minima, uint8_t q[N])
{
    pm_fit_affines(high, x, w, N / n, n, code_high, d, dmin, scales, minima);
    for (int j = 0; j < N / n; j++)
        pm_fit_nearest_affine(high, x + n * j, n, pm_f16_to_f32(*d) * (float)scales[j],
                              pm_f16_to_f32(*dmin) * (float)minima[j], q + n * j);
}

/* Q3_K, Q6_K: sub-blocks of 16, q from 0. */
static uint16_t symmetric(const float *x, const float *w, int side, int code_low, int code_high, int codes[16],
                          uint8_t q[N])
{
    const pm_fit_grid grid = {-side, side - 1};
    const uint16_t d = pm_fit_scales(&grid, x, w, 16, 16, code_low, code_high, codes);
    for (int j = 0; j < 16; j++)
        pm_fit_nearest(&grid, x + 16 * j, 16, pm_f16_to_f32(d) * (float)codes[j], q + 16 * j);
    return d;
}

void pm_quant_q2_k(const float *x, const float *w, void *block)
{
    pm_block_q2_k b = {0};
    int scales[16], minima[16];
    uint8_t q[N];
    affine(x, w, 3, 16, 15, &b.d, &b.dmin, scales, minima, q);
    for (int j = 0; j < 16; j++)
        b.scales[j] = (uint8_t)(scales[j] | minima[j] << 4);
    for (int i = 0; i < N; i++)
        b.q[32 * (i / 128) + i % 32] |= (uint8_t)(q[i] << (2 * (i % 128 / 32)));
    memcpy(block, &b, sizeof(b));
}

void pm_quant_q3_k(const float *x, const float *w, void *block)
{
    pm_block_q3_k b = {0};
    int codes[16];
    uint8_t q[N];
    b.d = symmetric(x, w, 4, -32, 31, codes, q);
    for (int j = 0; j < 16; j++) {
        const int code = codes[j] + 32;
        b.scales[j % 8] |= (uint8_t)((code & 15) << (4 * (j / 8)));
        b.scales[8 + j % 4] |= (uint8_t)((code >> 4) << (2 * (j / 4)));
    }
    for (int i = 0; i < N; i++) {
        const int half = i / 128, part = i % 128 / 32;
        b.q[32 * half + i % 32] |= (uint8_t)((q[i] & 3) << (2 * part));
        b.high[i % 32] |= (uint8_t)((q[i] >> 2) << (4 * half + part));
    }
    memcpy(block, &b, sizeof(b));
}

/* Eight scales and minima of 6 bits in the 12 bytes of Q4_K and Q5_K. */
static void put_k_scales(const int *scales, const int *minima, uint8_t bytes[12])
{
    for (int j = 0; j < 4; j++) {
        bytes[j] = (uint8_t)(scales[j] | (scales[j + 4] >> 4) << 6);
        bytes[j + 4] = (uint8_t)(minima[j] | (minima[j + 4] >> 4) << 6);
        bytes[j + 8] = (uint8_t)((scales[j + 4] & 15) | (minima[j + 4] & 15) << 4);
    }
}

void pm_quant_q4_k(const float *x, const float *w, void *block)
{
    pm_block_q4_k b = {0};
    int scales[8], minima[8];
    uint8_t q[N];
    affine(x, w, 15, 32, 63, &b.d, &b.dmin, scales, minima, q);
    put_k_scales(scales, minima, b.scales);
    for (int i = 0; i < N; i++)
        b.q[32 * (i / 64) + i % 32] |= (uint8_t)(q[i] << (4 * (i / 32 % 2)));
    memcpy(block, &b, sizeof(b));
}

void pm_quant_q5_k(const float *x, const float *w, void *block)
{
    pm_block_q5_k b = {0};
    int scales[8], minima[8];
    uint8_t q[N];
    affine(x, w, 31, 32, 63, &b.d, &b.dmin, scales, minima, q);
    put_k_scales(scales, minima, b.scales);
    for (int i = 0; i < N; i++) {
        b.q[32 * (i / 64) + i % 32] |= (uint8_t)((q[i] & 15) << (4 * (i / 32 % 2)));
        b.high[i % 32] |= (uint8_t)((q[i] >> 4) << (i / 32));
    }
    memcpy(block, &b, sizeof(b));
}

void pm_quant_q6_k(const float *x, const float *w, void *block)
{
    pm_block_q6_k b = {0};
    int codes[16];
    uint8_t q[N];
    b.d = symmetric(x, w, 32, -128, 127, codes, q);
    for (int j = 0; j < 16; j++)
        b.scales[j] = (int8_t)codes[j];
    for (int i = 0; i < N; i++) {
        const int half = i / 128, part = i % 128 / 32, at = i % 32;
        b.low[64 * half + 32 * (part % 2) + at] |= (uint8_t)((q[i] & 15) << (4 * (part / 2)));
        b.high[32 * half + at] |= (uint8_t)((q[i] >> 4) << (2 * part));
    }
    memcpy(block, &b, sizeof(b));
}
