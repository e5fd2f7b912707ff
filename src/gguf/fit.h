/* gguf/fit.h - scales and minima of blocks by weighted least squares. Floor 1.
 *
 * A block type stores integers q and a scale d (and a minimum m), and stands for d * v(q)
 * or d * q - m. The error of a sub-block is sum w[i] (x[i] - y[i])^2. For given q the best
 * d and m are a linear least-squares problem; for given d and m the best q is the nearest.
 * A fit tries scales around the one that maps the extremes to the ends of the grid, solves
 * for each the linear problem, and improves the best by alternation.
 *
 * The scales of the sub-blocks of a super-block are themselves integers times one f16. They
 * are chosen by their error on the values, not by their distance to the fitted scale, and
 * the f16 is then fitted to the integers, the same problem one level up.
 *
 * Sums are f32 in sixteen lanes in a fixed order: results depend on nothing but the input.
 * Lengths are multiples of 16; x finite, |x| <= PM_QUANT_VALUE_MAX, w >= 0 with a sum
 * above 0, about 1 each.
 */
#ifndef PM_GGUF_FIT_H
#define PM_GGUF_FIT_H

#include <stdint.h>

/* The values that an index of the block stands for, before the scale. */
typedef struct pm_fit_grid {
    int low, high;                 /* integers low .. high; both 0: the 16 values of IQ4 */
} pm_fit_grid;

enum { PM_FIT_SUBS_MAX = 16, PM_FIT_VALUES_MAX = 256 };

/* The f16 nearest to a fitted number; the greatest finite one, where it is beyond. */
uint16_t pm_fit_f16(float x);

/* x ~ d v(q): the scale, of either sign; 0 when x is all zero. */
float pm_fit_scale(const pm_fit_grid *grid, const float *x, const float *w, int n);

/* The index of the nearest value: q - low for integers, 0 .. 15 for IQ4. */
void pm_fit_nearest(const pm_fit_grid *grid, const float *x, int n, float scale, uint8_t *index);

/* A super-block of `subs` sub-blocks of n values, x ~ d code[j] v(q), with codes from
 * code_low to code_high: returns d as f16 bits. */
uint16_t pm_fit_scales(const pm_fit_grid *grid, const float *x, const float *w, int subs, int n, int code_low,
                       int code_high, int *codes);

/* x ~ d q - m with q in 0 .. high and m >= 0. */
void pm_fit_affine(int high, const float *x, const float *w, int n, float *d, float *m);

/* q of the above: nearest to (x + m) / d. */
void pm_fit_nearest_affine(int high, const float *x, int n, float d, float m, uint8_t *q);

/* A super-block, x ~ d scale[j] q - dmin minimum[j], with both codes in 0 .. code_high. */
void pm_fit_affines(int high, const float *x, const float *w, int subs, int n, int code_high, uint16_t *d,
                    uint16_t *dmin, int *scales, int *minima);

#endif /* PM_GGUF_FIT_H */
