/* verify/check_rows.c - the ops that take one row at a time: rmsnorm, swiglu, argmax. */
#include "verify/check_impl.h"

#include "op/argmax.h"
#include "op/rmsnorm.h"
#include "op/swiglu.h"
#include "verify/input.h"

#include <math.h>

/* As in tests/op/test_rows.c. */
#define RMSNORM_BOUND 4e-6
#define SWIGLU_BOUND 3e-5

static uint64_t seed_of(const pm_check *c)
{
    return pm_mix64(c->seed + (uint64_t)c->op) + c->k;
}

static void fill_rows(float *x, uint32_t rows, uint32_t columns, uint32_t stride, uint64_t seed, float scale)
{
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < stride; i++)
            x[(uint64_t)r * stride + i] = i < columns ? scale * pm_input_normal(seed, (uint64_t)r * columns + i) : 0.0f;
}

/* Row r of y is row x_rows - 1 - r of x, to which add has been added. */
static void rmsnorm_reference(pm_check_run *run, const pm_rmsnorm *n, uint32_t x_rows, const float *x, const float *add,
                              const float *w)
{
    const uint32_t dim = n->dim, stride = n->x_stride, rows = run->check->rows;
    double *y = run->want, *y_size = run->size;
    double *after = run->want + (uint64_t)rows * n->y_stride, *after_size = run->size + (uint64_t)rows * n->y_stride;
    for (uint32_t r = 0; r < rows; r++) {
        const uint64_t from = (uint64_t)(x_rows - 1 - r) * stride, place = (uint64_t)(rows - 1 - r) * dim;
        double sum = 0.0;
        for (uint32_t i = 0; i < dim; i++) {
            const float value = x[from + i] + add[from + i];
            sum += (double)value * (double)value;
            after[place + i] = (double)value; /* the sum in f32 is exact to the bit */
            after_size[place + i] = fabs((double)value);
        }
        for (uint32_t i = 0; i < n->y_stride; i++) {
            const double value = i < dim ? after[place + i] / sqrt(sum / dim + (double)n->epsilon) * (double)w[i] : 0.0;
            y[(uint64_t)r * n->y_stride + i] = value;
            y_size[(uint64_t)r * n->y_stride + i] = fabs(value);
        }
    }
}

pm_result pm_check_rmsnorm(pm_check_run *run)
{
    const pm_check *c = run->check;
    const uint32_t stride = pm_row_stride(c->k), x_rows = c->rows + 3;
    pm_rmsnorm n = {.rows_max = c->rows + 1, .dim = c->k, .x_stride = stride, .y_stride = stride, .epsilon = 1e-5f};
    float *x = pm_check_take(run, (uint64_t)x_rows * stride * 4, &n.x);
    float *add = pm_check_take(run, (uint64_t)x_rows * stride * 4, &n.add);
    float *w = pm_check_take(run, (uint64_t)c->k * 4, &n.w);
    uint32_t *index = pm_check_take(run, (uint64_t)n.rows_max * 4, &n.index);
    uint32_t *count = pm_check_take(run, 4, &n.rows);
    (void)pm_check_take(run, (uint64_t)n.rows_max * stride * 4, &n.y);
    const uint64_t skip = (uint64_t)3 * stride * 4;
    pm_check_output(run, n.y, c->rows, stride, stride, false);
    pm_check_output(run, (pm_slice){n.x.buffer, n.x.offset + skip, n.x.bytes - skip}, c->rows, c->k, stride, false);
    run->bound = RMSNORM_BOUND;
    if (run->host != NULL) {
        *count = c->rows;
        for (uint32_t r = 0; r < n.rows_max; r++)
            index[r] = x_rows - 1 - r;
        fill_rows(x, x_rows, c->k, stride, seed_of(c), 1.0f);
        fill_rows(add, x_rows, c->k, stride, seed_of(c) + 1, 1.0f);
        fill_rows(w, 1, c->k, c->k, seed_of(c) + 2, 1.0f);
    }
    if (run->recorder != NULL)
        PM_TRY(pm_rmsnorm_record(run->recorder, &n));
    if (run->want != NULL)
        rmsnorm_reference(run, &n, x_rows, x, add, w);
    return PM_OK;
}

pm_result pm_check_swiglu(pm_check_run *run)
{
    const pm_check *c = run->check;
    pm_swiglu s = {.rows_max = c->rows + 1, .hidden = c->k, .x_stride = pm_row_stride(2 * c->k),
                   .y_stride = pm_row_stride(c->k)};
    float *x = pm_check_take(run, (uint64_t)s.rows_max * s.x_stride * 4, &s.gate_up);
    uint32_t *count = pm_check_take(run, 4, &s.rows);
    (void)pm_check_take(run, (uint64_t)s.rows_max * s.y_stride * 4, &s.y);
    pm_check_output(run, s.y, c->rows, s.y_stride, s.y_stride, false);
    run->bound = SWIGLU_BOUND;
    if (run->host != NULL) {
        *count = c->rows;
        fill_rows(x, s.rows_max, 2 * c->k, s.x_stride, seed_of(c), 3.0f);
    }
    if (run->recorder != NULL)
        PM_TRY(pm_swiglu_record(run->recorder, &s));
    for (uint32_t r = 0; run->want != NULL && r < c->rows; r++)
        for (uint32_t i = 0; i < s.y_stride; i++) {
            const uint64_t from = (uint64_t)r * s.x_stride + i, to = (uint64_t)r * s.y_stride + i;
            const double gate = i < c->k ? (double)x[from] : 0.0, up = i < c->k ? (double)x[from + c->k] : 0.0;
            run->want[to] = gate / (1.0 + exp(-gate)) * up;
            run->size[to] = fabs(run->want[to]);
        }
    return PM_OK;
}

/* Row 0 plain, row 1 with its largest twice, row 2 with a NaN in front. */
static void argmax_inputs(const pm_check *c, float *x, uint32_t stride)
{
    fill_rows(x, c->rows, c->k, stride, seed_of(c), 1.0f);
    if (c->rows > 1) {
        x[stride + c->k / 3] = 9.0f;
        x[stride + c->k - 1] = 9.0f;
    }
    if (c->rows > 2)
        x[2 * (uint64_t)stride] = NAN;
}

pm_result pm_check_argmax(pm_check_run *run)
{
    const pm_check *c = run->check;
    pm_argmax a = {.rows_max = c->rows + 1, .n = c->k, .x_stride = pm_row_stride(c->k)};
    float *x = pm_check_take(run, (uint64_t)a.rows_max * a.x_stride * 4, &a.x);
    uint32_t *count = pm_check_take(run, 4, &a.rows);
    (void)pm_check_take(run, (uint64_t)a.rows_max * 4, &a.tokens);
    pm_check_output(run, a.tokens, c->rows, 1, 1, true);
    run->bound = 0.0;
    if (run->host != NULL) {
        *count = c->rows;
        argmax_inputs(c, x, a.x_stride);
    }
    if (run->recorder != NULL)
        PM_TRY(pm_argmax_record(run->recorder, &a));
    for (uint32_t r = 0; run->want != NULL && r < c->rows; r++) {
        const float *row = x + (uint64_t)r * a.x_stride;
        uint32_t best = PM_ARGMAX_NAN;
        for (uint32_t i = 0; i < c->k; i++)
            if (!isnan(row[i]) && (best == PM_ARGMAX_NAN || row[i] > row[best]))
                best = i;
        run->want[r] = run->size[r] = (double)best;
    }
    return PM_OK;
}
