/* measure/tune_ways.c - the ways in which an op can run on a device. */
#include "measure/tune_impl.h"

#include "op/attention.h"
#include "op/matmul.h"

#define CPU_ROWS_MAX 8u            /* where a lane owns an output: lavapipe takes seconds to compile more */
#define ALONE_ROWS_MAX 16u         /* of a prompt, that variants of one row a workgroup are tried for */

bool pm_tune_usual(const pm_tuner *t, const pm_check *sample, pm_check *out)
{
    *out = *sample;
    if (sample->op == PM_CHECK_MATMUL) {
        const pm_matmul m = pm_check_matmul_shape(sample);
        pm_matmul as_planned = m;
        as_planned.x_q8.bytes = pm_matmul_x_q8_bytes(t->caps, m.rows_max, m.weight.k);
        if (pm_matmul_pick(t->caps, &as_planned, &out->variant) != PM_OK)
            return false;
        pm_matmul_variant_split(out->variant, t->caps, &m, &out->lanes, &out->slices);
        return true;
    }
    pm_attention a = pm_check_attention_shape(sample);
    a.kv_len_max = t->model->context > a.kv_len_max ? t->model->context : a.kv_len_max;
    if (pm_attention_pick(t->caps, &a, &out->variant) != PM_OK)
        return false;
    out->splits = pm_attention_variant_splits(out->variant, t->caps, &a);
    out->splits = out->splits > 1 ? out->splits : 0;
    return true;
}

static bool same_way(const pm_check *a, const pm_check *b)
{
    return a->variant == b->variant && a->lanes == b->lanes && a->slices == b->slices && a->splits == b->splits;
}

void pm_tune_add_way(const pm_tuner *t, pm_tune_ways *w, const pm_check *check)
{
    bool known = w->count == PM_RACE_WAYS_MAX || pm_check_lacks(check, t->caps) != NULL;
    for (uint32_t i = 0; i < w->count; i++)
        known |= same_way(&w->list[i], check);
    if (!known)
        w->list[w->count++] = *check;
}

/* Of a family only variants that hold about as many rows. */
static bool is_near(const pm_tuner *t, uint32_t variant, uint32_t rows)
{
    const uint32_t held = pm_matmul_variant_rows(variant), factor = t->caps->is_cpu ? 2 : 4;
    return held * factor >= (rows < 64 ? rows : 64) && held < rows * factor;
}

/* A variant of matmul with all lanes and slices that it can have here. */
static void add_cuts(const pm_tuner *t, pm_tune_ways *w, pm_check check)
{
    const pm_matmul m = pm_check_matmul_shape(&check);
    uint32_t lanes, slices;
    pm_matmul_variant_split(check.variant, t->caps, &m, &lanes, &slices);
    if (lanes > 0 && t->caps->is_cpu && pm_matmul_variant_rows(check.variant) > CPU_ROWS_MAX)
        return;
    if (lanes == 0 || t->caps->is_cpu) { /* there lanes are a loop, and slices one after the other */
        check.lanes = lanes;
        check.slices = slices;
        pm_tune_add_way(t, w, &check);
        return;
    }
    for (check.lanes = t->caps->subgroup_min; check.lanes <= t->caps->subgroup_max; check.lanes *= 2)
        for (check.slices = 1; check.slices <= 8; check.slices *= 2)
            if (check.lanes * check.slices <= 256 && check.lanes * check.slices <= t->caps->workgroup_max &&
                check.slices * 32 <= check.k)
                pm_tune_add_way(t, w, &check);
}

static void add_matmul_ways(const pm_tuner *t, const pm_check *sample, pm_tune_ways *w)
{
    const bool dots = (t->caps->bits & PM_CAP_BIT(INT8DOT)) != 0;
    pm_check check = *sample;
    for (check.variant = 0; pm_matmul_variant(check.variant) != NULL; check.variant++)
        if (is_near(t, check.variant, sample->rows) &&
            (dots || pm_matmul_variant_numerics(check.variant) != PM_MATMUL_INT8))
            add_cuts(t, w, check);
}

static void add_attention_ways(const pm_tuner *t, const pm_check *sample, pm_tune_ways *w)
{
    pm_check check = *sample;
    for (check.variant = 0; pm_attention_variant(check.variant) != NULL; check.variant++) {
        pm_attention a = pm_check_attention_shape(&check);
        a.splits = 2;
        if (check.rows > ALONE_ROWS_MAX && pm_attention_variant_rows(check.variant, t->caps, &a) == 1)
            continue;              /* each row would read all keys by itself */
        if (pm_attention_variant_splits(check.variant, t->caps, &a) == 1) {
            check.splits = 0;
            pm_tune_add_way(t, w, &check);
            continue;
        }
        for (check.splits = 2; check.splits <= 32; check.splits *= 2)
            pm_tune_add_way(t, w, &check);
        check.splits = 0;
    }
}

bool pm_tune_list_ways(const pm_tuner *t, const pm_check *sample, pm_tune_ways *w)
{
    w->count = 0;
    pm_check usual;
    if (!pm_tune_usual(t, sample, &usual))
        return false;
    w->list[w->count++] = usual;
    if (sample->op == PM_CHECK_MATMUL)
        add_matmul_ways(t, sample, w);
    else
        add_attention_ways(t, sample, w);
    return true;
}
