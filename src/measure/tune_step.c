/* measure/tune_step.c - how many rows a step should have: a chunk of a prompt. */
#include "measure/tune_impl.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "op/matmul.h"

#include <stdio.h>

static const uint32_t step_rows[] = {512, 128, 256, 1024}; /* the first is the usual one */

/* A row's time in the matmuls of a step of rows[r], once; the time of attention over a whole prompt does not
 * depend on where the prompt is cut. */
typedef struct step_race {
    pm_check_timer *timers[COUNT(step_rows)][PM_TUNE_WEIGHTS_MAX];
    double factor[COUNT(step_rows)][PM_TUNE_WEIGHTS_MAX]; /* of the sample's time, for a row of the model */
} step_race;

static pm_result add_timer(pm_tuner *t, step_race *s, uint32_t r, uint32_t w)
{
    const pm_tune_weight *weight = &t->model->weights[w];
    const pm_check sample = pm_tune_matmul_check(weight, step_rows[r]);
    pm_check check = sample;
    pm_matmul m = pm_check_matmul_shape(&sample);
    m.x_q8.bytes = pm_matmul_x_q8_bytes(t->caps, m.rows_max, m.weight.k);
    PM_TRY(pm_matmul_pick(t->caps, &m, &check.variant));
    pm_matmul_variant_split(check.variant, t->caps, &m, &check.lanes, &check.slices);
    PM_TRY(pm_tune_sample_n(t, &check, &check.n));
    s->factor[r][w] = (double)weight->count * weight->n / check.n / step_rows[r];
    return pm_check_timer_create(t->device, &check, 1, true, NULL, &s->timers[r][w]);
}

static pm_result add_timers(pm_tuner *t, step_race *s)
{
    for (uint32_t r = 0; r < COUNT(step_rows); r++)
        for (uint32_t w = 0; w < t->model->weight_count && pm_clock_ns() < t->end_ns; w++)
            PM_TRY(add_timer(t, s, r, w));
    return PM_OK;
}

static pm_result time_step(const pm_tuner *t, const step_race *s, uint32_t r, double *ns)
{
    *ns = 0.0;
    for (uint32_t w = 0; w < t->model->weight_count; w++) {
        pm_check_time time;
        PM_TRY(pm_check_timer_run(s->timers[r][w], 0, &time));
        *ns += (double)time.ns * s->factor[r][w];
    }
    return PM_OK;
}

#define STEP_ROUNDS 9u

/* *best: of step_rows[]. us[]: medians, of a row. */
static pm_result race_steps(pm_tuner *t, const step_race *s, uint32_t *best, double us[COUNT(step_rows)])
{
    double ratio[COUNT(step_rows)][STEP_ROUNDS], row_us[COUNT(step_rows)][STEP_ROUNDS];
    for (uint32_t i = 0; i <= STEP_ROUNDS; i++) { /* the first warms up */
        double ns[COUNT(step_rows)];
        for (uint32_t j = 0; j < COUNT(step_rows); j++) {
            const uint32_t r = i % 2 == 0 ? j : (uint32_t)COUNT(step_rows) - 1 - j;
            if (pm_clock_ns() > t->end_ns)
                return PM_OK;
            PM_TRY(time_step(t, s, r, &ns[r]));
        }
        for (uint32_t r = 0; i > 0 && r < COUNT(step_rows); r++) {
            ratio[r][i - 1] = ns[r] / ns[0];
            row_us[r][i - 1] = ns[r] * 1e-3;
        }
    }
    for (uint32_t r = 0; r < COUNT(step_rows); r++)
        us[r] = pm_race_median(row_us[r], STEP_ROUNDS);
    double least = 1.0;
    *best = 0;
    for (uint32_t r = 1; r < COUNT(step_rows); r++)
        if (pm_race_wins(ratio[r], STEP_ROUNDS) && ratio[r][STEP_ROUNDS / 2] < least) {
            least = ratio[r][STEP_ROUNDS / 2];
            *best = r;
        }
    return PM_OK;
}

static pm_result settle_steps(pm_tuner *t, uint32_t best, const double us[COUNT(step_rows)])
{
    const pm_tune_model *m = t->model;
    const pm_choice key = {.op = PM_CHOICE_STEP, .shape = {m->dim, m->hidden, m->layers}, .rows_first = step_rows[best],
                           .rows_last = step_rows[best]};
    pm_tune_row row = {.op = "step", .type = "", .rows_first = 1, .rows_last = PM_CHOICE_ROWS_MAX, .usual_us = us[0],
                       .chosen_us = us[best]};
    pm_choices_drop(t->choices, &key);
    if (best != 0)
        PM_TRY(pm_choices_add(t->choices, &key));
    snprintf(row.shape, sizeof(row.shape), "%ux%ux%u", m->dim, m->hidden, m->layers);
    snprintf(row.usual, sizeof(row.usual), "rows %u", step_rows[0]);
    snprintf(row.chosen, sizeof(row.chosen), "rows %u", step_rows[best]);
    pm_tune_tell(t, &row, best != 0);
    return PM_OK;
}

pm_result pm_tune_run_steps(pm_tuner *t)
{
    uint32_t best = COUNT(step_rows);
    double us[COUNT(step_rows)] = {0};
    step_race *s = pm_alloc(1, sizeof(*s), "tuning");
    if (s == NULL)
        return PM_ERR_NOMEM;
    pm_vk_device_choose(t->device, t->choices);
    pm_result result = add_timers(t, s);
    if (result == PM_OK && pm_clock_ns() < t->end_ns)
        result = race_steps(t, s, &best, us);
    pm_vk_device_choose(t->device, NULL);
    for (uint32_t r = 0; r < COUNT(step_rows); r++)
        for (uint32_t w = 0; w < PM_TUNE_WEIGHTS_MAX; w++)
            pm_check_timer_destroy(s->timers[r][w]);
    pm_free(s);
    return result == PM_OK && best < COUNT(step_rows) ? settle_steps(t, best, us) : result;
}
