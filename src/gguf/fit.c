/* gguf/fit.c - scales and minima of blocks by weighted least squares. */
#include "gguf/fit.h"

#include "base/half.h"
#include "gguf/blocks.h"

#include <math.h>
#include <stdbool.h>

#define LANES 16               /* four vectors of four: their additions overlap */

/* ------------------------------------------------------------- rounding */

/* To nearest, ties to even, for |v| < 2^22; every compiler makes vector code of it. */
static inline float nearest(float v)
{
    const float big = 12582912.0f;
    return (v + big) - big;
}

static inline float clamp(float v, float low, float high)
{
    v = v > low ? v : low;
    return v < high ? v : high;
}

/* The nearest of the sixteen values: each midpoint that v passes adds a step. */
static inline float nearest_iq4(float v)
{
    float y = (float)pm_iq4_values[0];
    for (int k = 0; k < 15; k++) {
        const float middle = 0.5f * (float)(pm_iq4_values[k] + pm_iq4_values[k + 1]);
        y += v > middle ? (float)(pm_iq4_values[k + 1] - pm_iq4_values[k]) : 0.0f;
    }
    return y;
}

static bool is_iq4(const pm_fit_grid *grid)
{
    return grid->low == 0 && grid->high == 0;
}

/* 1 / scale, or 0 where that is no number: all values are then the one nearest to 0. */
static float inverse_of(float scale)
{
    const float inverse = 1.0f / scale;
    return isfinite(inverse) ? inverse : 0.0f;
}

uint16_t pm_fit_f16(float x)
{
    return pm_f16_from_f32(clamp(x, -65504.0f, 65504.0f));
}

static float through_f16(float x)
{
    return pm_f16_to_f32(pm_fit_f16(x));
}

static inline float total(const float lanes[LANES])
{
    float sum[4];
    for (int i = 0; i < 4; i++)
        sum[i] = (lanes[i] + lanes[4 + i]) + (lanes[8 + i] + lanes[12 + i]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* --------------------------------------------------------------- scales */

/* xv = sum w x v and vv = sum w v^2 for v = v(nearest index to x * inverse). */
static void sums_integer(const pm_fit_grid *grid, const float *x, const float *w, int n, float inverse, float *xv,
                         float *vv)
{
    const float low = (float)grid->low, high = (float)grid->high;
    float a[LANES] = {0}, b[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float v = nearest(clamp(x[i + l] * inverse, low, high)), wv = w[i + l] * v;
            a[l] += wv * x[i + l];
            b[l] += wv * v;
        }
    *xv = total(a);
    *vv = total(b);
}

static void sums_iq4(const float *x, const float *w, int n, float inverse, float *xv, float *vv)
{
    float a[LANES] = {0}, b[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float v = nearest_iq4(x[i + l] * inverse), wv = w[i + l] * v;
            a[l] += wv * x[i + l];
            b[l] += wv * v;
        }
    *xv = total(a);
    *vv = total(b);
}

static void sums(const pm_fit_grid *grid, const float *x, const float *w, int n, float scale_inverse, float *xv,
                 float *vv)
{
    if (is_iq4(grid))
        sums_iq4(x, w, n, scale_inverse, xv, vv);
    else
        sums_integer(grid, x, w, n, scale_inverse, xv, vv);
}

/* The candidates: the extreme of x falls on `end` grid units, from `from` to `to` times the
 * longer side of the grid, of either sign. Coarse grids gain from clipping the extreme, and
 * from the finer steps. */
typedef struct search {
    float end, from, to;
    int steps;
} search;

static search search_of(const pm_fit_grid *grid)
{
    if (is_iq4(grid))
        return (search){127.0f, 0.76f, 1.20f, 12};
    const float end = (float)(-grid->low > grid->high ? -grid->low : grid->high);
    if (end <= 4.0f)
        return (search){end, 0.62f, 1.32f, 15};
    if (end <= 16.0f)
        return (search){end, 0.80f, 1.12f, 13};
    return (search){end, 0.92f, 1.03f, 12};
}

float pm_fit_scale(const pm_fit_grid *grid, const float *x, const float *w, int n)
{
    float most = 0.0f;
    for (int i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    const search s = search_of(grid);
    const float unit = inverse_of(most) * s.end;
    float best_gain = 0.0f, best = 0.0f;
    if (unit == 0.0f)
        return 0.0f;
    for (int sign = -1; sign <= 1; sign += 2)
        for (int step = 0; step < s.steps; step++) {
            const float share = s.from + (s.to - s.from) * (float)step / (float)(s.steps - 1);
            float xv, vv;
            sums(grid, x, w, n, (float)sign * unit * share, &xv, &vv);
            if (vv > 0.0f && xv * xv > best_gain * vv) { /* sum w x^2 less the error, at d = xv / vv */
                best_gain = xv * xv / vv;
                best = xv / vv;
            }
        }
    for (int round = 0; round < 3; round++) {
        float xv, vv;
        sums(grid, x, w, n, inverse_of(best), &xv, &vv);
        if (!(vv > 0.0f && xv * xv > best_gain * vv))
            break;
        best_gain = xv * xv / vv;
        best = xv / vv;
    }
    return best;
}

void pm_fit_nearest(const pm_fit_grid *grid, const float *x, int n, float scale, uint8_t *index)
{
    const float inverse = inverse_of(scale);
    for (int i = 0; i < n; i++) {
        if (is_iq4(grid)) {
            int k = 0;
            while (k < 15 && x[i] * inverse > 0.5f * (float)(pm_iq4_values[k] + pm_iq4_values[k + 1]))
                k++;
            index[i] = (uint8_t)k;
        } else {
            index[i] = (uint8_t)((int)nearest(clamp(x[i] * inverse, (float)grid->low, (float)grid->high)) - grid->low);
        }
    }
}

/* The sub-block at scale d * code: what it takes off sum w x^2, and its sums in units of d. */
static float gain_of(const pm_fit_grid *grid, const float *x, const float *w, int n, float d, int code, float *xv,
                     float *vv)
{
    sums(grid, x, w, n, inverse_of(d * (float)code), xv, vv);
    *xv *= (float)code;
    *vv *= (float)(code * code);
    return d * (2.0f * *xv - d * *vv);
}

/* Codes for the given d; returns the whole gain and the d that fits these codes best. */
static float pick_codes(const pm_fit_grid *grid, const float *x, const float *w, int subs, int n, int code_low,
                        int code_high, const float *scales, float d, int *codes, float *fitted)
{
    const float inverse = inverse_of(d);
    float gain = 0.0f, sum_xv = 0.0f, sum_vv = 0.0f;
    for (int j = 0; j < subs; j++) {
        const int middle = (int)nearest(clamp(scales[j] * inverse, (float)code_low, (float)code_high));
        float best = 0.0f, best_xv = 0.0f, best_vv = 0.0f;
        codes[j] = 0;
        for (int code = middle - 1; code <= middle + 1; code++) {
            float xv, vv;
            if (code < code_low || code > code_high || code == 0)
                continue;
            const float g = gain_of(grid, x + n * j, w + n * j, n, d, code, &xv, &vv);
            if (g > best) {
                best = g, best_xv = xv, best_vv = vv;
                codes[j] = code;
            }
        }
        gain += best;
        sum_xv += best_xv;
        sum_vv += best_vv;
    }
    *fitted = sum_vv > 0.0f ? sum_xv / sum_vv : 0.0f;
    return gain;
}

uint16_t pm_fit_scales(const pm_fit_grid *grid, const float *x, const float *w, int subs, int n, int code_low,
                       int code_high, int *codes)
{
    float scales[PM_FIT_SUBS_MAX], most = 0.0f, best_gain = -1.0f, best = 0.0f;
    int tried[PM_FIT_SUBS_MAX];
    for (int j = 0; j < subs; j++) {
        scales[j] = pm_fit_scale(grid, x + n * j, w + n * j, n);
        most = fabsf(scales[j]) > fabsf(most) ? scales[j] : most;
    }
    float d = most / (float)code_low; /* the longer side */
    for (int round = 0; round < 3; round++) {
        d = through_f16(d);
        float fitted;
        const float gain = pick_codes(grid, x, w, subs, n, code_low, code_high, scales, d, tried, &fitted);
        if (!(gain > best_gain))
            break;
        best_gain = gain;
        best = d;
        for (int j = 0; j < subs; j++)
            codes[j] = tried[j];
        d = fitted;
    }
    return pm_fit_f16(best);
}

/* --------------------------------------------------------------- affine */

typedef struct moments {
    float w, x, xx;                /* sum w, w x, w x^2 */
    float q, qq, xq;               /* sum w q, w q^2, w x q */
} moments;

static void fixed_moments(const float *x, const float *w, int n, moments *s)
{
    float a[LANES] = {0}, b[LANES] = {0}, c[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            a[l] += w[i + l];
            b[l] += w[i + l] * x[i + l];
            c[l] += w[i + l] * x[i + l] * x[i + l];
        }
    s->w = total(a);
    s->x = total(b);
    s->xx = total(c);
}

/* The moments with q = nearest(x * inverse + shift) in 0 .. high. */
static void index_moments(int high, const float *x, const float *w, int n, float inverse, float shift, moments *s)
{
    const float top = (float)high;
    float a[LANES] = {0}, b[LANES] = {0}, c[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float q = nearest(clamp(x[i + l] * inverse + shift, 0.0f, top)), wq = w[i + l] * q;
            a[l] += wq;
            b[l] += wq * q;
            c[l] += wq * x[i + l];
        }
    s->q = total(a);
    s->qq = total(b);
    s->xq = total(c);
}

/* The error of d and m on the values behind the moments. */
static float error_of(const moments *s, float d, float m)
{
    return s->xx + d * (d * s->qq - 2.0f * s->xq) + m * (m * s->w + 2.0f * s->x - 2.0f * d * s->q);
}

/* d and m >= 0 of least error; false when the q are all 0. */
static bool solve(const moments *s, float *d, float *m)
{
    const float determinant = s->w * s->qq - s->q * s->q;
    if (!(s->qq > 0.0f))
        return false;
    *m = determinant > 1e-6f * s->w * s->qq ? (s->q * s->xq - s->qq * s->x) / determinant : 0.0f;
    *d = determinant > 1e-6f * s->w * s->qq ? (s->w * s->xq - s->q * s->x) / determinant : s->xq / s->qq;
    if (*m <= 0.0f) {
        *m = 0.0f;
        *d = s->xq / s->qq;
    }
    return *d > 0.0f;
}

void pm_fit_affine(int high, const float *x, const float *w, int n, float *d, float *m)
{
    float low = 0.0f, top = x[0], best_error;
    moments s;
    for (int i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        top = x[i] > top ? x[i] : top;
    }
    fixed_moments(x, w, n, &s);
    /* All q = 0: the best there is when no value lies above the minimum. */
    *d = 0.0f;
    *m = s.x < 0.0f ? -s.x / s.w : 0.0f;
    best_error = s.xx + *m * (*m * s.w + 2.0f * s.x);
    const float unit = inverse_of(top - low);
    if (unit == 0.0f)
        return;
    const search c = high <= 3 ? (search){3.0f, 0.70f, 1.25f, 6} : high <= 15 ? (search){15.0f, 0.94f, 1.25f, 7}
                                                                : (search){31.0f, 0.97f, 1.12f, 6};
    for (int step = 0; step < 3 * c.steps; step++) {
        /* One end or both clipped: the anchor is the least value, the middle or the greatest. */
        const float inverse = c.end * unit * (c.from + (c.to - c.from) * (float)(step / 3) / (float)(c.steps - 1));
        const float anchor = step % 3 == 0 ? 0.0f : step % 3 == 1 ? 0.5f : 1.0f;
        float a, b;
        index_moments(high, x, w, n, inverse, anchor * c.end - (low + anchor * (top - low)) * inverse, &s);
        if (!solve(&s, &a, &b))
            continue;
        const float error = error_of(&s, a, b);
        if (error < best_error) {
            best_error = error;
            *d = a;
            *m = b;
        }
    }
    for (int round = 0; round < 4; round++) {
        const float inverse = inverse_of(*d);
        float a, b;
        index_moments(high, x, w, n, inverse, *m * inverse, &s);
        if (!solve(&s, &a, &b))
            break;
        const float error = error_of(&s, a, b);
        if (!(error < best_error))
            break;
        best_error = error;
        *d = a;
        *m = b;
    }
}

void pm_fit_nearest_affine(int high, const float *x, int n, float d, float m, uint8_t *q)
{
    const float inverse = inverse_of(d);
    for (int i = 0; i < n; i++)
        q[i] = (uint8_t)nearest(clamp(x[i] * inverse + m * inverse, 0.0f, (float)high));
}

/* What the super-block's d and dmin are fitted to, given its codes. */
typedef struct normal_equations {
    double dd, dm, mm, xd, xm;
} normal_equations;

static void add_sub(normal_equations *e, const moments *s, int scale, int minimum)
{
    e->dd += (double)scale * scale * (double)s->qq;
    e->dm += (double)scale * minimum * (double)s->q;
    e->mm += (double)minimum * minimum * (double)s->w;
    e->xd += (double)scale * (double)s->xq;
    e->xm += (double)minimum * (double)s->x;
}

/* Least squares of x ~ d u - dmin v over all sub-blocks. */
static void solve_super(const normal_equations *e, float *d, float *dmin)
{
    const double determinant = e->dd * e->mm - e->dm * e->dm;
    if (determinant > 1e-9 * e->dd * e->mm) {
        *d = (float)((e->xd * e->mm - e->dm * e->xm) / determinant);
        *dmin = (float)((e->dm * e->xd - e->dd * e->xm) / determinant);
    } else if (e->dd > 0.0) {
        *d = (float)(e->xd / e->dd);
    }
}

/* The codes of least error of one sub-block, near the fitted ones; adds to *e. */
static float pick_affine(int high, const float *x, const float *w, int n, int code_high, float scale, float minimum,
                         float d, float dmin, int *code, int *minimum_code, normal_equations *e)
{
    const float d_inverse = inverse_of(d), dmin_inverse = inverse_of(dmin);
    const int middle = (int)nearest(clamp(scale * d_inverse, 0.0f, (float)code_high));
    moments s, best_moments;
    fixed_moments(x, w, n, &s);
    best_moments = s;
    best_moments.q = best_moments.qq = best_moments.xq = 0.0f;
    float best = INFINITY;
    *code = *minimum_code = 0;
    for (int c = middle > 1 ? middle - 1 : 0; c <= middle + 1 && c <= code_high; c++) {
        const float a = d * (float)c, inverse = inverse_of(a);
        int last = -1, k = (int)nearest(clamp(minimum * dmin_inverse, 0.0f, (float)code_high));
        for (int round = 0; round < 3 && k != last; round++) {
            const float b = dmin * (float)k;
            index_moments(high, x, w, n, inverse, b * inverse, &s);
            const float error = error_of(&s, a, b);
            if (error < best) {
                best = error;
                best_moments = s;
                *code = c;
                *minimum_code = k;
            }
            last = k;
            k = (int)nearest(clamp((a * s.q - s.x) / s.w * dmin_inverse, 0.0f, (float)code_high));
        }
    }
    add_sub(e, &best_moments, *code, *minimum_code);
    return best;
}

void pm_fit_affines(int high, const float *x, const float *w, int subs, int n, int code_high, uint16_t *d_out,
                    uint16_t *dmin_out, int *scales, int *minima)
{
    float fitted_d[PM_FIT_SUBS_MAX], fitted_m[PM_FIT_SUBS_MAX], d = 0.0f, dmin = 0.0f, best_error = INFINITY;
    int code[PM_FIT_SUBS_MAX], minimum_code[PM_FIT_SUBS_MAX];
    for (int j = 0; j < subs; j++) {
        pm_fit_affine(high, x + n * j, w + n * j, n, &fitted_d[j], &fitted_m[j]);
        d = fitted_d[j] > d ? fitted_d[j] : d;
        dmin = fitted_m[j] > dmin ? fitted_m[j] : dmin;
    }
    d /= (float)code_high;
    dmin /= (float)code_high;
    for (int round = 0; round < 4; round++) {
        normal_equations e = {0};
        float error = 0.0f;
        d = through_f16(d);
        dmin = through_f16(dmin);
        for (int j = 0; j < subs; j++)
            error += pick_affine(high, x + n * j, w + n * j, n, code_high, fitted_d[j], fitted_m[j], d, dmin, &code[j],
                                 &minimum_code[j], &e);
        if (!(error < best_error))
            break;
        best_error = error;
        *d_out = pm_fit_f16(d);
        *dmin_out = pm_fit_f16(dmin);
        for (int j = 0; j < subs; j++) {
            scales[j] = code[j];
            minima[j] = minimum_code[j];
        }
        solve_super(&e, &d, &dmin);
    }
}
