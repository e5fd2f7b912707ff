/* gguf/quant_block.c - the types with blocks of 32: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, MXFP4.
 *
 * Without weights the reference rounding of the format. With weights (an importance matrix)
 * the scale and the minimum are fitted; Q8_0 is fine enough to stay as it is. */
#include "gguf/quant.h"

#include "base/half.h"
#include "gguf/blocks.h"
#include "gguf/fit.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { N = 32 };

static float inverse_of(float d)
{
    const float inverse = 1.0f / d;
    return isfinite(inverse) ? inverse : 0.0f;
}

/* The scale that maps the value of greatest magnitude, the first of equals, to -side:
 * the end of the grid that has one step more. Quants are truncated, after half a step and
 * the bias; the other end is cut off. */
static uint16_t symmetric(const float *x, int side, uint8_t q[N])
{
    float most = 0.0f, extreme = 0.0f;
    for (int i = 0; i < N; i++)
        if (fabsf(x[i]) > most) {
            most = fabsf(x[i]);
            extreme = x[i];
        }
    const float d = extreme / (float)-side, inverse = inverse_of(d);
    for (int i = 0; i < N; i++) {
        const int rounded = (int)(x[i] * inverse + ((float)side + 0.5f));
        q[i] = (uint8_t)(rounded < 2 * side - 1 ? rounded : 2 * side - 1);
    }
    return pm_f16_from_f32(d);
}

static uint16_t symmetric_fitted(const float *x, const float *w, int side, uint8_t q[N])
{
    const pm_fit_grid grid = {-side, side - 1};
    const uint16_t d = pm_fit_f16(pm_fit_scale(&grid, x, w, N));
    pm_fit_nearest(&grid, x, N, pm_f16_to_f32(d), q);
    return d;
}

/* The least value is q = 0, the greatest q = high. */
static void affine(const float *x, int high, uint16_t *d_out, uint16_t *m_out, uint8_t q[N])
{
    float low = FLT_MAX, top = -FLT_MAX;
    for (int i = 0; i < N; i++) {
        low = x[i] < low ? x[i] : low;
        top = x[i] > top ? x[i] : top;
    }
    const float d = (top - low) / (float)high, inverse = inverse_of(d);
    for (int i = 0; i < N; i++) {
        const int rounded = (int)((x[i] - low) * inverse + 0.5f);
        q[i] = (uint8_t)(rounded < high ? rounded : high);
    }
    *d_out = pm_f16_from_f32(d);
    *m_out = pm_f16_from_f32(low);
}

/* A minimum of either sign: below the greatest value, the one of a fit is positive. */
static void affine_fitted(const float *x, const float *w, int high, uint16_t *d_out, uint16_t *m_out, uint8_t q[N])
{
    float below[N], top = x[0], d, m;
    for (int i = 1; i < N; i++)
        top = x[i] > top ? x[i] : top;
    for (int i = 0; i < N; i++)
        below[i] = x[i] - top;
    pm_fit_affine(high, below, w, N, &d, &m);
    *d_out = pm_fit_f16(d);
    *m_out = pm_fit_f16(top - m);
    pm_fit_nearest_affine(high, x, N, pm_f16_to_f32(*d_out), -pm_f16_to_f32(*m_out), q);
}

static void put_nibbles(const uint8_t q[N], uint8_t *out)
{
    for (int i = 0; i < 16; i++)
        out[i] = (uint8_t)((q[i] & 15) | (q[16 + i] & 15) << 4);
}

static void put_high_bits(const uint8_t q[N], uint8_t *out)
{
    uint32_t bits = 0;
    for (int i = 0; i < N; i++)
        bits |= (uint32_t)(q[i] >> 4) << i;
    memcpy(out, &bits, 4);
}

void pm_quant_q4_0(const float *x, const float *w, void *block)
{
    pm_block_q4_0 b;
    uint8_t q[N];
    b.d = w != NULL ? symmetric_fitted(x, w, 8, q) : symmetric(x, 8, q);
    put_nibbles(q, b.q);
    memcpy(block, &b, sizeof(b));
}

void pm_quant_q5_0(const float *x, const float *w, void *block)
{
    pm_block_q5_0 b;
    uint8_t q[N];
    b.d = w != NULL ? symmetric_fitted(x, w, 16, q) : symmetric(x, 16, q);
    put_nibbles(q, b.q);
    put_high_bits(q, b.high);
    memcpy(block, &b, sizeof(b));
}

void pm_quant_q4_1(const float *x, const float *w, void *block)
{
    pm_block_q4_1 b;
    uint8_t q[N];
    if (w != NULL)
        affine_fitted(x, w, 15, &b.d, &b.m, q);
    else
        affine(x, 15, &b.d, &b.m, q);
    put_nibbles(q, b.q);
    memcpy(block, &b, sizeof(b));
}

void pm_quant_q5_1(const float *x, const float *w, void *block)
{
    pm_block_q5_1 b;
    uint8_t q[N];
    if (w != NULL)
        affine_fitted(x, w, 31, &b.d, &b.m, q);
    else
        affine(x, 31, &b.d, &b.m, q);
    put_nibbles(q, b.q);
    put_high_bits(q, b.high);
    memcpy(block, &b, sizeof(b));
}

void pm_quant_q8_0(const float *x, const float *w, void *block)
{
    (void)w;
    pm_block_q8_0 b;
    float most = 0.0f;
    for (int i = 0; i < N; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    const float d = most / 127.0f, inverse = inverse_of(d);
    b.d = pm_f16_from_f32(d);
    for (int i = 0; i < N; i++)
        b.q[i] = (int8_t)roundf(x[i] * inverse);
    memcpy(block, &b, sizeof(b));
}

/* The index of the nearest E2M1 value; ties go to the even mantissa. magnitude >= 0. */
static uint8_t nearest_e2m1(float magnitude)
{
    static const float middles[7] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
    uint8_t k = 0;
    while (k < 7 && (magnitude > middles[k] || (magnitude == middles[k] && k % 2 == 1)))
        k++;
    return k;
}

/* A power of two as scale: the one that puts the greatest value between 4 and 8 of E2M1's 6,
 * as the OCP MX specification has it, or a neighbour with less error. */
void pm_quant_mxfp4(const float *x, const float *w, void *block)
{
    static const float values[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
    pm_block_mxfp4 b = {0};
    float most = 0.0f;
    double best = INFINITY;
    int exponent = 0;
    for (int i = 0; i < N; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    if (most > 0.0f)
        frexpf(most, &exponent);   /* most = f * 2^exponent with f in [0.5, 1) */
    for (int e = exponent - 4 + 127; most > 0.0f && e <= exponent - 2 + 127; e++) {
        uint8_t q[N];
        double error = 0.0;
        if (e < 0 || e > 254)
            continue;
        for (int i = 0; i < N; i++) {
            const float scaled = ldexpf(fabsf(x[i]), 127 - e);
            const uint8_t k = nearest_e2m1(scaled);
            const double off = ldexp((double)(scaled - values[k]), e - 127);
            q[i] = (uint8_t)(k | (x[i] < 0.0f && k > 0 ? 8 : 0));
            error += (double)w[i] * off * off;
        }
        if (error < best) {
            best = error;
            b.e = (uint8_t)e;
            put_nibbles(q, b.q);
        }
    }
    memcpy(block, &b, sizeof(b));
}
