/* measure/tune.c - which of an op's free choices are best on a device, by time. */
#include "measure/tune.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "measure/race.h"
#include "op/attention.h"
#include "op/matmul.h"
#include "verify/check_impl.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SAMPLES_MAX 3u
#define ITEMS_MAX 640u
#define SCRUB_CPU (UINT64_C(64) << 20) /* more than caches hold */
#define SCRUB_GPU (UINT64_C(512) << 20)
#define SCRUB_ROWS_MAX 16u         /* above, weights are read once for so many rows that caches matter less */
#define CPU_WEIGHTS (4u << 20)     /* elements of a sample: time is short, and caches are scrubbed */
#define GPU_WEIGHTS (64u << 20)
#define CPU_FLOPS (UINT64_C(1) << 27) /* of one run there: other ways take a hundred times as long as the usual one */
#define CPU_RUN_NS UINT64_C(20000000) /* of the usual way: some drivers are as slow */
#define CPU_ROWS_MAX 8u            /* where a lane owns an output: lavapipe takes seconds to compile more */
#define CPU_N_LEAST 128u           /* outputs of a sample */
#define GPU_N_LEAST 256u
#define PAST_DECODE 1024u          /* keys before the row that decodes */
#define ALONE_ROWS_MAX 16u         /* of a prompt, that variants of one row a workgroup are tried for */
#define TEST_ROWS_MAX 16u
#define MEASURED 0.95              /* of the time */
#define TEST_N 67u
#define TEST_N_WHOLE 256u

/* Rows that are measured, each for the row counts above the one before; in the order of their use. */
static const uint32_t matmul_rows[] = {1, 2, 4, 8, 16, 32, 64, 128, 512};
static const uint32_t matmul_order[] = {1, 16, 512, 4, 64, 8, 2, 32, 128};
#define PROMPTS_AFTER 2u           /* of them: then those of attention */
static const uint32_t prompt_rows[] = {16, 64, 256};
static const uint32_t step_rows[] = {512, 128, 256, 1024}; /* the first is the usual one */

/* One choice: what it is for, and the shapes that are measured for it. */
typedef struct item {
    pm_choice key;                 /* without variant and cut */
    pm_check sample[SAMPLES_MAX];  /* the real shapes; without variant */
    uint32_t sample_count;
} item;

typedef struct tuner {
    pm_vk_device *device;
    const pm_vk_caps *caps;
    const pm_tune_model *model;
    const pm_tune_params *params;
    pm_tune_sink *sink;
    void *context;
    pm_choices *choices;
    pm_tune_summary *summary;
    pm_vk_buffer *scrub;
    uint64_t start_ns, end_ns;
    bool stopped;
    uint32_t count;
    item items[ITEMS_MAX];
} tuner;

/* ------------------------------------------------------------------ items */

static void add_item(tuner *t, const item *i)
{
    if (t->count < ITEMS_MAX)
        t->items[t->count++] = *i;
}

static uint32_t first_of(uint32_t rows)
{
    uint32_t first = 1;
    for (size_t i = 0; i < COUNT(matmul_rows); i++)
        first = matmul_rows[i] < rows ? matmul_rows[i] + 1 : first;
    return first;
}

static uint32_t last_of(uint32_t rows)
{
    const bool last = rows == matmul_rows[COUNT(matmul_rows) - 1] || rows == prompt_rows[COUNT(prompt_rows) - 1];
    return last ? PM_CHOICE_ROWS_MAX : rows;
}

static pm_check matmul_check(const pm_tune_weight *w, uint32_t rows)
{
    return (pm_check){.op = PM_CHECK_MATMUL, .type = w->type, .rows = rows, .n = w->n, .k = w->k, .seed = 1};
}

/* Each shape is an item, or each type with its shapes as samples. */
static void add_matmuls(tuner *t, uint32_t rows)
{
    const pm_tune_model *m = t->model;
    for (uint32_t w = 0; w < m->weight_count; w++) {
        const pm_tune_weight *weight = &m->weights[w];
        item i = {.key = {.op = PM_CHOICE_MATMUL, .type = weight->type, .rows_first = first_of(rows),
                          .rows_last = last_of(rows)}};
        bool done = false;
        for (uint32_t before = 0; m->every && before < w; before++)
            done |= m->weights[before].type == weight->type;
        if (done)
            continue;
        if (!m->every) {
            i.key.shape[0] = weight->n;
            i.key.shape[1] = weight->k;
        }
        for (uint32_t other = w; other < (m->every ? m->weight_count : w + 1); other++)
            if (m->weights[other].type == weight->type && i.sample_count < SAMPLES_MAX)
                i.sample[i.sample_count++] = matmul_check(&m->weights[other], rows);
        add_item(t, &i);
    }
}

static void add_attention(tuner *t, uint32_t rows, uint32_t rows_first)
{
    const pm_tune_model *m = t->model;
    const pm_kv_layout *l = &m->layout;
    const uint32_t most = m->context > rows ? m->context - rows : 0;
    item i = {.key = {.op = PM_CHOICE_ATTENTION, .type = l->type, .decode = rows == 1, .rows_first = rows_first,
                      .rows_last = last_of(rows)},
              .sample = {{.op = PM_CHECK_ATTENTION, .type = l->type, .rows = rows, .heads = m->heads,
                          .kv_heads = l->kv_heads, .head_dim = l->head_dim, .page_tokens = l->page_tokens, .seed = 1}},
              .sample_count = 1};
    i.sample[0].past = rows > 1 ? 0 : most < PAST_DECODE ? most : PAST_DECODE;
    if (!m->every)
        memcpy(i.key.shape, (const uint32_t[3]){m->heads, l->kv_heads, l->head_dim}, sizeof(i.key.shape));
    add_item(t, &i);
}

/* What is most of the time first: a row that decodes, some, a chunk of a prompt; then what lies between. */
static void add_items(tuner *t)
{
    for (size_t r = 0; r < COUNT(matmul_order); r++) {
        add_matmuls(t, matmul_order[r]);
        if (r == 0)
            add_attention(t, 1, 1);
        for (size_t p = 0; p < COUNT(prompt_rows) && r == PROMPTS_AFTER; p++)
            add_attention(t, prompt_rows[p], p > 0 ? prompt_rows[p - 1] + 1 : 2);
    }
}

void pm_tune_common(const pm_vk_caps *caps, pm_kv_type kv_type, pm_tune_model *out)
{
    static const pm_dtype types[] = {PM_DTYPE_Q4_K, PM_DTYPE_Q8_0, PM_DTYPE_Q4_0, PM_DTYPE_F16, PM_DTYPE_Q6_K};
    const uint32_t dim = caps->is_cpu ? 2048 : 4096, hidden = caps->is_cpu ? 5632 : 14336;
    *out = (pm_tune_model){.layout = {.type = kv_type, .kv_heads = caps->is_cpu ? 4 : 8,
                                      .head_dim = caps->is_cpu ? 64 : 128, .page_tokens = 16},
                           .heads = 32, .dim = dim, .hidden = hidden, .layers = 1, .context = 4096, .every = true};
    for (size_t i = 0; i < COUNT(types); i++) {
        const pm_tune_weight shapes[] = {{types[i], dim, dim, 1}, {types[i], 2 * hidden, dim, 1},
                                         {types[i], dim, hidden, 1}};
        memcpy(out->weights + out->weight_count, shapes, sizeof(shapes));
        out->weight_count += COUNT(shapes);
    }
}

/* ------------------------------------------------------------------- ways */

typedef struct ways {
    pm_check list[PM_RACE_WAYS_MAX];
    uint32_t count;
} ways;

/* What an engine would take for the shape without choices, cut as it would cut it. False: nothing serves. */
static bool usual_of(const tuner *t, const pm_check *sample, pm_check *out)
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

static void add_way(const tuner *t, ways *w, const pm_check *check)
{
    bool known = w->count == PM_RACE_WAYS_MAX || pm_check_lacks(check, t->caps) != NULL;
    for (uint32_t i = 0; i < w->count; i++)
        known |= same_way(&w->list[i], check);
    if (!known)
        w->list[w->count++] = *check;
}

/* Of a family only variants that hold about as many rows. */
static bool is_near(const tuner *t, uint32_t variant, uint32_t rows)
{
    const uint32_t held = pm_matmul_variant_rows(variant), factor = t->caps->is_cpu ? 2 : 4;
    return held * factor >= (rows < 64 ? rows : 64) && held < rows * factor;
}

/* A variant of matmul with all lanes and slices that it can have here. */
static void add_cuts(const tuner *t, ways *w, pm_check check)
{
    const pm_matmul m = pm_check_matmul_shape(&check);
    uint32_t lanes, slices;
    pm_matmul_variant_split(check.variant, t->caps, &m, &lanes, &slices);
    if (lanes > 0 && t->caps->is_cpu && pm_matmul_variant_rows(check.variant) > CPU_ROWS_MAX)
        return;
    if (lanes == 0 || t->caps->is_cpu) { /* there lanes are a loop, and slices one after the other */
        check.lanes = lanes;
        check.slices = slices;
        add_way(t, w, &check);
        return;
    }
    for (check.lanes = t->caps->subgroup_min; check.lanes <= t->caps->subgroup_max; check.lanes *= 2)
        for (check.slices = 1; check.slices <= 8; check.slices *= 2)
            if (check.lanes * check.slices <= 256 && check.lanes * check.slices <= t->caps->workgroup_max &&
                check.slices * 32 <= check.k)
                add_way(t, w, &check);
}

static void add_matmul_ways(const tuner *t, const pm_check *sample, ways *w)
{
    const bool dots = (t->caps->bits & PM_CAP_BIT(INT8DOT)) != 0;
    pm_check check = *sample;
    for (check.variant = 0; pm_matmul_variant(check.variant) != NULL; check.variant++)
        if (is_near(t, check.variant, sample->rows) &&
            (dots || pm_matmul_variant_numerics(check.variant) != PM_MATMUL_INT8))
            add_cuts(t, w, check);
}

static void add_attention_ways(const tuner *t, const pm_check *sample, ways *w)
{
    pm_check check = *sample;
    for (check.variant = 0; pm_attention_variant(check.variant) != NULL; check.variant++) {
        pm_attention a = pm_check_attention_shape(&check);
        a.splits = 2;
        if (check.rows > ALONE_ROWS_MAX && pm_attention_variant_rows(check.variant, t->caps, &a) == 1)
            continue;              /* each row would read all keys by itself */
        if (pm_attention_variant_splits(check.variant, t->caps, &a) == 1) {
            check.splits = 0;
            add_way(t, w, &check);
            continue;
        }
        for (check.splits = 2; check.splits <= 32; check.splits *= 2)
            add_way(t, w, &check);
        check.splits = 0;
    }
}

/* The usual way first. */
static bool list_ways(const tuner *t, const pm_check *sample, ways *w)
{
    w->count = 0;
    pm_check usual;
    if (!usual_of(t, sample, &usual))
        return false;
    w->list[w->count++] = usual;
    if (sample->op == PM_CHECK_MATMUL)
        add_matmul_ways(t, sample, w);
    else
        add_attention_ways(t, sample, w);
    return true;
}

/* ---------------------------------------------------------------- measure */

/* How many outputs keep to CPU_FLOPS and CPU_RUN_NS. */
static pm_result outputs_in_time(tuner *t, const pm_check *c, uint64_t *n)
{
    pm_check few = *c;
    pm_check_time time;
    few.n = c->n < CPU_N_LEAST ? c->n : CPU_N_LEAST;
    PM_TRY(pm_check_measure(t->device, &few, NULL, 1, &time));
    const uint64_t by_time = few.n * CPU_RUN_NS / time.ns, by_flops = CPU_FLOPS / (2 * (uint64_t)c->rows * c->k);
    *n = by_time < by_flops ? by_time : by_flops;
    return PM_OK;
}

/* As many outputs of the usual way as the time allows. */
static pm_result sample_n(tuner *t, const pm_check *c, uint32_t *n)
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
static pm_result is_right(tuner *t, const pm_check *way, bool *right)
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
static pm_result race_sample(tuner *t, const ways *w, pm_race_result *raced)
{
    const pm_check *first = &w->list[0];
    const pm_race race = {.device = t->device, .deadline_ns = t->end_ns,
                          .scrub = first->rows <= SCRUB_ROWS_MAX ? t->scrub : NULL};
    ways measured = *w;
    uint32_t n = first->n;
    if (first->op == PM_CHECK_MATMUL)
        PM_TRY(sample_n(t, first, &n));
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
static pm_result confirm(tuner *t, const item *i, const pm_check *winner, bool *wins, bool *late)
{
    *wins = true;
    *late = false;
    for (uint32_t s = 1; s < i->sample_count && *wins && !*late; s++) {
        ways two = {.count = 1};
        pm_race_result raced;
        *wins = usual_of(t, &i->sample[s], &two.list[0]);
        if (!*wins)
            return PM_OK;
        const pm_check other = on_sample(&i->sample[s], winner);
        add_way(t, &two, &other);
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

static void tell(tuner *t, const pm_tune_row *row, bool chosen)
{
    t->summary->measured++;
    t->summary->chosen += chosen;
    if (t->sink != NULL && !t->sink(t->context, row))
        t->stopped = true;
}

static void progress(const tuner *t, uint32_t done)
{
    const double time = (double)(pm_clock_ns() - t->start_ns) / (double)(t->end_ns - t->start_ns);
    const double work = (double)done / (t->summary->planned > 0 ? t->summary->planned : 1);
    const double most = time > work ? time : work;
    if (t->params->progress != NULL)
        t->params->progress(t->params->progress_context, "tuning", most < 1.0 ? most : 0.999);
}

/* ------------------------------------------------------------- one choice */

static pm_result settle(tuner *t, const item *i, const ways *w, const pm_race_result *raced)
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
    tell(t, &row, chosen);
    return PM_OK;
}

static pm_result run_item(tuner *t, const item *i)
{
    ways w;
    pm_race_result raced = {0};
    bool wins = true, late = false;
    if (!list_ways(t, &i->sample[0], &w) || w.count < 2) /* nothing to choose: no time is spent */
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

static bool has_time(const tuner *t)
{
    return !t->stopped && pm_clock_ns() < t->end_ns;
}

static pm_result run_items(tuner *t)
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

/* ------------------------------------------------------------ rows of a step */

/* A row's time in the matmuls of a step of rows[r], once; the time of attention over a whole prompt does not
 * depend on where the prompt is cut. */
typedef struct step_race {
    pm_check_timer *timers[COUNT(step_rows)][PM_TUNE_WEIGHTS_MAX];
    double factor[COUNT(step_rows)][PM_TUNE_WEIGHTS_MAX]; /* of the sample's time, for a row of the model */
} step_race;

static pm_result add_timer(tuner *t, step_race *s, uint32_t r, uint32_t w)
{
    const pm_tune_weight *weight = &t->model->weights[w];
    const pm_check sample = matmul_check(weight, step_rows[r]);
    pm_check check = sample;
    pm_matmul m = pm_check_matmul_shape(&sample);
    m.x_q8.bytes = pm_matmul_x_q8_bytes(t->caps, m.rows_max, m.weight.k);
    PM_TRY(pm_matmul_pick(t->caps, &m, &check.variant));
    pm_matmul_variant_split(check.variant, t->caps, &m, &check.lanes, &check.slices);
    PM_TRY(sample_n(t, &check, &check.n));
    s->factor[r][w] = (double)weight->count * weight->n / check.n / step_rows[r];
    return pm_check_timer_create(t->device, &check, 1, true, NULL, &s->timers[r][w]);
}

static pm_result add_timers(tuner *t, step_race *s)
{
    for (uint32_t r = 0; r < COUNT(step_rows); r++)
        for (uint32_t w = 0; w < t->model->weight_count && pm_clock_ns() < t->end_ns; w++)
            PM_TRY(add_timer(t, s, r, w));
    return PM_OK;
}

static pm_result time_step(const tuner *t, const step_race *s, uint32_t r, double *ns)
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
static pm_result race_steps(tuner *t, const step_race *s, uint32_t *best, double us[COUNT(step_rows)])
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

static pm_result settle_steps(tuner *t, uint32_t best, const double us[COUNT(step_rows)])
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
    tell(t, &row, best != 0);
    return PM_OK;
}

/* With the variants that were chosen. */
static pm_result run_steps(tuner *t)
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

/* ------------------------------------------------------------------- all */

/* Choices that there are at all. */
static uint32_t count_planned(const tuner *t)
{
    uint32_t planned = t->model->every ? 0 : 1;
    for (uint32_t i = 0; i < t->count; i++) {
        ways w;
        planned += list_ways(t, &t->items[i].sample[0], &w) && w.count > 1;
    }
    return planned;
}

static pm_result run(tuner *t)
{
    const uint64_t wanted = t->caps->is_cpu ? SCRUB_CPU : SCRUB_GPU, room = pm_vk_device_free_bytes(t->device) / 4;
    add_items(t);
    t->summary->planned = count_planned(t);
    PM_TRY(pm_vk_buffer_create(t->device, wanted < room ? wanted : room, PM_VK_DEVICE, "scrub", &t->scrub));
    pm_result result = run_items(t);
    if (result == PM_OK && !t->model->every && has_time(t))
        result = run_steps(t);
    pm_vk_buffer_destroy(t->scrub);
    return result;
}

pm_result pm_tune_measure(pm_vk_device *device, const pm_tune_model *model, const pm_tune_params *params,
                          pm_tune_sink *sink, void *context, pm_choices *choices, pm_tune_summary *summary)
{
    const double seconds = params->seconds > 0.0f ? (double)params->seconds : PM_TUNE_SECONDS;
    tuner *t = pm_alloc(1, sizeof(*t), "tuning");
    if (t == NULL)
        return PM_ERR_NOMEM;
    *t = (tuner){.device = device, .caps = pm_vk_device_caps(device), .model = model, .params = params, .sink = sink,
                 .context = context, .choices = choices, .summary = summary, .start_ns = pm_clock_ns()};
    pm_assert(t->caps->choices == NULL);
    t->end_ns = t->start_ns + (uint64_t)(seconds * (1e9 * MEASURED)); /* what runs then has to end */
    const pm_result result = run(t);
    summary->seconds = (double)(pm_clock_ns() - t->start_ns) * 1e-9;
    pm_free(t);
    return result;
}
