/* measure/tune.c - which of an op's free choices are best on a device, by time. */
#include "measure/tune_impl.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "op/preset.h"

#include <stdio.h>

#define SCRUB_CPU (UINT64_C(64) << 20) /* more than caches hold */
#define SCRUB_GPU (UINT64_C(512) << 20)
#define SCRUB_ROWS_MAX 16u         /* above, weights are read once for so many rows that caches matter less */
#define CPU_WEIGHTS (4u << 20)     /* elements of a sample: time is short, and caches are scrubbed */
#define GPU_WEIGHTS (64u << 20)
#define CPU_FLOPS (UINT64_C(1) << 27) /* of one run there: other ways take a hundred times as long as the usual one */
#define CPU_RUN_NS UINT64_C(20000000) /* of the usual way: some drivers are as slow */
#define CPU_N_LEAST 128u           /* outputs of a sample */
#define GPU_N_LEAST 256u
#define TEST_ROWS_MAX 16u
#define MEASURED 0.95              /* of the time */
#define TEST_N 67u
#define TEST_N_WHOLE 256u

/* ---------------------------------------------------------------- measure */

/* How many outputs keep to CPU_FLOPS and CPU_RUN_NS. */
static pm_result outputs_in_time(pm_tuner *t, const pm_check *c, uint64_t *n)
{
    pm_check few = *c;
    pm_check_time time;
    few.n = c->n < CPU_N_LEAST ? c->n : CPU_N_LEAST;
    PM_TRY(pm_check_measure(t->device, &few, NULL, 1, &time));
    const uint64_t by_time = few.n * CPU_RUN_NS / time.ns, by_flops = CPU_FLOPS / (2 * (uint64_t)c->rows * c->k);
    *n = by_time < by_flops ? by_time : by_flops;
    return PM_OK;
}

pm_result pm_tune_sample_n(pm_tuner *t, const pm_check *c, uint32_t *n)
{
    const uint32_t least = t->caps->is_cpu ? CPU_N_LEAST : GPU_N_LEAST;
    uint64_t most = (t->caps->is_cpu ? CPU_WEIGHTS : GPU_WEIGHTS) / c->k, in_time = UINT64_MAX;
    if (t->caps->is_cpu)
        PM_TRY(outputs_in_time(t, c, &in_time));
    most = in_time < most ? in_time : most;
    most = most < least ? least : most / 64 * 64;
    *n = c->n < most ? c->n : (uint32_t)most;
    return PM_OK;
}

/* The way as an engine could take it, on a small part of the shape: within its bound of plain C? */
static pm_result is_right(pm_tuner *t, const pm_check *way, bool *right)
{
    pm_check part = *way;
    pm_check_result result;
    part.rows = part.rows < TEST_ROWS_MAX ? part.rows : TEST_ROWS_MAX;
    part.n = part.n < TEST_N ? part.n : TEST_N;
    *right = false;
    if (pm_check_lacks(&part, t->caps) != NULL) /* a variant of some widths only */
        part.n = way->n < TEST_N_WHOLE ? way->n : TEST_N_WHOLE;
    if (pm_check_lacks(&part, t->caps) != NULL)
        return PM_OK;
    PM_TRY(pm_checks_run(t->device, &part, 1, true, false, &result));
    *right = result.right;
    if (!result.right)
        pm_warn("%s: variant %s is fast, but wrong for type %s: %s; not chosen", pm_check_op_name(part.op),
                pm_check_variant_name(&part), pm_check_type_name(&part), result.detail);
    return PM_OK;
}

/* Races the ways on one sample of the real shape; *raced: the winner and its times. */
static pm_result race_sample(pm_tuner *t, const pm_tune_ways *w, pm_race_result *raced)
{
    const pm_check *first = &w->list[0];
    const pm_race race = {.device = t->device, .deadline_ns = t->end_ns,
                          .scrub = first->rows <= SCRUB_ROWS_MAX ? t->scrub : NULL};
    pm_tune_ways measured = *w;
    uint32_t n = first->n;
    if (first->op == PM_CHECK_MATMUL)
        PM_TRY(pm_tune_sample_n(t, first, &n));
    for (uint32_t i = 0; i < measured.count; i++)
        measured.list[i].n = n;
    return pm_race_run(&race, measured.list, measured.count, raced);
}

/* The way of a choice on another sample of its item. */
static pm_check on_sample(const pm_check *sample, const pm_check *way)
{
    pm_check check = *sample;
    check.variant = way->variant;
    check.lanes = way->lanes;
    check.slices = way->slices;
    check.splits = way->splits;
    return check;
}

/* What won on the first sample must win on the others, alone against what is usual there. */
static pm_result confirm(pm_tuner *t, const pm_tune_item *i, const pm_check *winner, bool *wins, bool *late)
{
    *wins = true;
    *late = false;
    for (uint32_t s = 1; s < i->sample_count && *wins && !*late; s++) {
        pm_tune_ways two = {.count = 1};
        pm_race_result raced;
        *wins = pm_tune_usual(t, &i->sample[s], &two.list[0]);
        if (!*wins)
            return PM_OK;
        const pm_check other = on_sample(&i->sample[s], winner);
        pm_tune_add_way(t, &two, &other);
        *wins = two.count == 2;
        if (!*wins)
            return PM_OK;
        PM_TRY(race_sample(t, &two, &raced));
        *late = raced.late;
        *wins = raced.winner == 1;
    }
    return PM_OK;
}

/* ----------------------------------------------------------------- report */

static void print_way(const pm_check *c, char *text, size_t capacity)
{
    const char *name = pm_check_variant_name(c);
    if (c->slices > 0)
        snprintf(text, capacity, "%s lanes %u slices %u", name, c->lanes, c->slices);
    else if (c->splits > 0)
        snprintf(text, capacity, "%s splits %u", name, c->splits);
    else
        snprintf(text, capacity, "%s", name);
}

static void print_shape(const pm_choice *key, char *text, size_t capacity)
{
    const char *of = key->op == PM_CHOICE_MATMUL ? "" : key->decode ? " decode" : " prompt";
    if (key->shape[0] == 0)
        snprintf(text, capacity, "every shape%s", of);
    else if (key->op == PM_CHOICE_MATMUL)
        snprintf(text, capacity, "%ux%u", key->shape[0], key->shape[1]);
    else
        snprintf(text, capacity, "%u/%ux%u%s", key->shape[0], key->shape[1], key->shape[2], of);
}

void pm_tune_tell(pm_tuner *t, const pm_tune_row *row, bool chosen)
{
    t->summary->measured++;
    t->summary->chosen += chosen;
    if (t->sink != NULL && !t->sink(t->context, row))
        t->stopped = true;
}

static void progress(const pm_tuner *t, uint32_t done)
{
    const double time = (double)(pm_clock_ns() - t->start_ns) / (double)(t->end_ns - t->start_ns);
    const double work = (double)done / (t->summary->planned > 0 ? t->summary->planned : 1);
    const double most = time > work ? time : work;
    if (t->params->progress != NULL)
        t->params->progress(t->params->progress_context, "tuning", most < 1.0 ? most : 0.999);
}

/* ------------------------------------------------------------- one choice */

static pm_result settle(pm_tuner *t, const pm_tune_item *i, const pm_tune_ways *w, const pm_race_result *raced)
{
    const pm_check *winner = &w->list[raced->winner];
    const bool chosen = raced->winner != 0;
    pm_tune_row row = {.op = pm_check_op_name(winner->op), .type = pm_check_type_name(winner),
                       .rows_first = i->key.rows_first, .rows_last = i->key.rows_last,
                       .usual_us = raced->usual_us, .chosen_us = raced->winner_us};
    pm_choices_drop(t->choices, &i->key);
    if (chosen) {
        pm_choice choice = i->key;
        choice.variant = winner->variant;
        choice.lanes = winner->lanes;
        choice.slices = winner->slices;
        choice.splits = winner->splits;
        PM_TRY(pm_choices_add(t->choices, &choice));
    }
    print_shape(&i->key, row.shape, sizeof(row.shape));
    print_way(&w->list[0], row.usual, sizeof(row.usual));
    print_way(winner, row.chosen, sizeof(row.chosen));
    pm_tune_tell(t, &row, chosen);
    return PM_OK;
}

static pm_result run_item(pm_tuner *t, const pm_tune_item *i)
{
    pm_tune_ways w;
    pm_race_result raced = {0};
    bool wins = true, late = false;
    if (!pm_tune_list_ways(t, &i->sample[0], &w) || w.count < 2) /* nothing to choose: no time is spent */
        return PM_OK;
    PM_TRY(race_sample(t, &w, &raced));
    if (raced.late)
        return PM_OK;
    if (raced.winner != 0)
        PM_TRY(confirm(t, i, &w.list[raced.winner], &wins, &late));
    if (late)
        return PM_OK;
    if (raced.winner != 0 && wins)
        PM_TRY(is_right(t, &w.list[raced.winner], &wins));
    if (!wins) {
        raced.winner = 0;
        raced.winner_us = raced.usual_us;
    }
    return settle(t, i, &w, &raced);
}

/* A choice that cannot be measured stays as it is: the device is what ends it all. */
static bool is_fatal(pm_result result)
{
    return result == PM_ERR_LOST || result == PM_ERR_FULL;
}

static bool has_time(const pm_tuner *t)
{
    return !t->stopped && pm_clock_ns() < t->end_ns;
}

static pm_result run_items(pm_tuner *t)
{
    for (uint32_t i = 0; i < t->count && has_time(t); i++) {
        const uint64_t before_ns = pm_clock_ns();
        progress(t, i);
        const pm_result result = run_item(t, &t->items[i]);
        const double took_ms = (double)(pm_clock_ns() - before_ns) * 1e-6;
        pm_log(PM_LOG_ENGINE, "tuning: choice %u of %u took %.0f ms", i + 1, t->count, took_ms);
        if (is_fatal(result))
            return result;
        if (result != PM_OK)
            pm_log(PM_LOG_ENGINE, "tuning: %s: not measured", pm_error_message());
    }
    return PM_OK;
}

/* ------------------------------------------------------------------- all */

/* Choices that there are at all. */
static uint32_t count_planned(const pm_tuner *t)
{
    uint32_t planned = t->model->every ? 0 : 1;
    for (uint32_t i = 0; i < t->count; i++) {
        pm_tune_ways w;
        planned += pm_tune_list_ways(t, &t->items[i].sample[0], &w) && w.count > 1;
    }
    return planned;
}

static pm_result run(pm_tuner *t)
{
    const uint64_t wanted = t->caps->is_cpu ? SCRUB_CPU : SCRUB_GPU, room = pm_vk_device_free_bytes(t->device) / 4;
    pm_tune_add_items(t);
    t->summary->planned = count_planned(t);
    PM_TRY(pm_vk_buffer_create(t->device, wanted < room ? wanted : room, PM_VK_DEVICE, "scrub", &t->scrub));
    pm_result result = run_items(t);
    if (result == PM_OK && !t->model->every && has_time(t))
        result = pm_tune_run_steps(t);
    pm_vk_buffer_destroy(t->scrub);
    return result;
}

pm_result pm_tune_measure(pm_vk_device *device, const pm_tune_model *model, const pm_tune_params *params,
                          pm_tune_sink *sink, void *context, pm_choices *choices, pm_tune_summary *summary)
{
    const double seconds = params->seconds > 0.0f ? (double)params->seconds : PM_TUNE_SECONDS;
    pm_tuner *t = pm_alloc(1, sizeof(*t), "tuning");
    if (t == NULL)
        return PM_ERR_NOMEM;
    pm_choices presets = {0};
    *t = (pm_tuner){.device = device, .caps = pm_vk_device_caps(device), .model = model, .params = params, .sink = sink,
                 .context = context, .choices = choices, .summary = summary, .start_ns = pm_clock_ns()};
    pm_assert(t->caps->choices == NULL);
    t->end_ns = t->start_ns + (uint64_t)(seconds * (1e9 * MEASURED)); /* what runs then has to end */
    pm_result result = pm_presets_append(pm_vk_device_info(device), t->caps, &presets);
    pm_vk_device_choose(device, &presets);
    if (result == PM_OK)
        result = run(t);
    pm_vk_device_choose(device, NULL);
    pm_choices_finish(&presets);
    summary->seconds = (double)(pm_clock_ns() - t->start_ns) * 1e-9;
    pm_free(t);
    return result;
}
