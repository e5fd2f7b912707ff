/* ref/matmul.h - one output of a matmul in double, and in plain C at the precisions that
 * shaders have. */
#ifndef PM_TEST_REF_MATMUL_H
#define PM_TEST_REF_MATMUL_H

#include "base/half.h"

#include <math.h>
#include <stdint.h>

/* sum_j x_j w_j. *size: the sum of |terms|; *block_size: the sum over blocks of 32 of
 * max |x| sum |w|. Eight sums side by side, in double, which is exact enough for any order. */
static inline double ref_matmul(const float *w, const float *x, uint32_t k, double *size, double *block_size)
{
    double sum[8] = {0}, terms[8] = {0}, blocks = 0.0, weights = 0.0;
    float most = 0.0f;
    for (uint32_t j = 0; j < k; j++) {
        const double term = (double)x[j] * (double)w[j];
        sum[j % 8] += term;
        terms[j % 8] += fabs(term);
        weights += fabs((double)w[j]);
        most = fabsf(x[j]) > most ? fabsf(x[j]) : most;
        if (j % 32 == 31 || j == k - 1) {
            blocks += (double)most * weights;
            most = 0.0f;
            weights = 0.0;
        }
    }
    for (int i = 1; i < 8; i++) {
        sum[0] += sum[i];
        terms[0] += terms[i];
    }
    *size = terms[0];
    *block_size = blocks;
    return sum[0];
}

/* Rounded to the 11 bits of an f16, of any exponent: kernels scale what f16 cannot hold. */
static inline float ref_half(float x)
{
    const uint32_t bits = pm_f32_bits(x);
    return pm_f32_from_bits((bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu);
}

/* The trusted implementations: f32, first term to last. */
static inline float ref_matmul_f32(const float *w, const float *x, uint32_t k)
{
    float sum = 0.0f;
    for (uint32_t j = 0; j < k; j++)
        sum += x[j] * w[j];
    return sum;
}

static inline float ref_matmul_f16(const float *w, const float *x, uint32_t k)
{
    float sum = 0.0f;
    for (uint32_t j = 0; j < k; j++)
        sum += ref_half(x[j]) * ref_half(w[j]);
    return sum;
}

static inline float ref_matmul_int8(const float *w, const float *x, uint32_t k)
{
    float sum = 0.0f;
    for (uint32_t b = 0; b < k; b += 32) {
        float most = 0.0f, block = 0.0f;
        const uint32_t end = b + 32 < k ? b + 32 : k;
        for (uint32_t j = b; j < end; j++)
            most = fabsf(x[j]) > most ? fabsf(x[j]) : most;
        const float d = most / 127.0f, inverse = most >= 0x1p-120f ? 127.0f / most : 0.0f;
        for (uint32_t j = b; j < end; j++)
            block += rintf(x[j] * inverse) * w[j];
        sum += d * block;
    }
    return sum;
}

#endif /* PM_TEST_REF_MATMUL_H */
