/* test_sample.c - the token of each row on the device against the host's sampler, to the bit: all
 * parameters, hard logits, real vocabularies; its distribution; what it leaves behind. */
#include "op/suite.h"

#include "base/clock.h"
#include "base/half.h"
#include "base/hash.h"
#include "op/argmax.h"
#include "op/matmul.h"
#include "op/sample.h"
#include "sample/rng.h"
#include "sample/sampler.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- logits */

typedef enum logits_kind {
    LOGITS_NORMAL,
    LOGITS_PEAKED,                 /* one token has nearly all */
    LOGITS_FLAT,                   /* all equal */
    LOGITS_NARROW,                 /* differ by less than a bin of the histogram */
    LOGITS_TIED,                   /* few values */
    LOGITS_MASKED,                 /* nine of ten are -inf */
    LOGITS_SOME_NAN,
    LOGITS_TINY,                   /* below the smallest normal number */
    LOGITS_LARGE,                  /* whose differences overflow */
    LOGITS_ZEROS,                  /* of either sign */
    LOGITS_NONE,                   /* -inf and NaN alone */
    LOGITS_INF,                    /* two are +inf */
    LOGITS_KINDS
} logits_kind;

static float uniform(void)
{
    return (float)pick(1u << 24) / (float)(1u << 24);
}

static float logit_of(logits_kind kind, uint64_t seed, uint32_t i)
{
    const float normal = input_value(INPUT_NORMAL, seed, i);
    const uint32_t dice = input_index(seed + 1, i, 10);
    switch (kind) {
    case LOGITS_PEAKED: return 2.0f * normal + (i == 5 ? 18.0f : 0.0f);
    case LOGITS_FLAT: return 1.25f;
    case LOGITS_NARROW: return -7.0f + 0.004f * normal;
    case LOGITS_TIED: return 0.5f * (float)input_index(seed, i, 6) - 1.0f;
    case LOGITS_MASKED: return dice == 3 || i == 1 ? 4.0f * normal : -INFINITY;
    case LOGITS_SOME_NAN: return dice == 3 ? (i % 2 ? NAN : -NAN) : 3.0f * normal;
    case LOGITS_TINY: return 1e-39f * normal;
    case LOGITS_LARGE: return dice < 5 ? 3.3e38f * (dice < 2 ? 1.0f : -1.0f) : 1e37f * normal;
    case LOGITS_ZEROS: return i % 3 ? -0.0f : 0.0f;
    case LOGITS_NONE: return dice < 5 ? NAN : -INFINITY;
    case LOGITS_INF: return i == 7 || i == 20 ? INFINITY : normal;
    default: return 3.0f * normal;
    }
}

/* ------------------------------------------------------------------- batch */

#define MASKS 3u

typedef struct batch {
    uint32_t rows, rows_max, n, stride, edits_max, edit_count, lanes;
    float *logits;                 /* [rows_max, stride] */
    pm_sample_row *params;
    pm_sample_edit *edits;
    uint32_t *masks, mask_stride;
    uint32_t *inputs, *input_rows; /* [2 rows_max], [rows_max] */
    test_buffer logits_b, params_b, edits_b, masks_b, inputs_b, input_rows_b, rows_b, saved_b, tokens_b, flags_b, logprobs_b;
} batch;

static void batch_init(batch *b, uint32_t rows, uint32_t n)
{
    *b = (batch){.rows = rows, .rows_max = rows + 2, .n = n, .stride = (n + 6) / 4 * 4, .edits_max = rows * 40, .mask_stride = (n + 31) / 32};
    b->logits = calloc((uint64_t)b->rows_max * b->stride, 4);
    b->params = calloc(b->rows_max, sizeof(*b->params));
    b->edits = calloc(b->edits_max, sizeof(*b->edits));
    b->masks = calloc((uint64_t)MASKS * b->mask_stride, 4);
    b->inputs = calloc(2 * b->rows_max, 4);
    b->input_rows = calloc(b->rows_max, 4);
    assert_true(b->logits && b->params && b->edits && b->masks && b->inputs && b->input_rows);
    for (uint32_t i = 0; i < MASKS * b->mask_stride; i++)
        b->masks[i] = i < b->mask_stride ? pick(1u << 31) : i < 2 * b->mask_stride ? (i % 7 == 1 ? 0x10u << pick(8) : 0u) : 0u;
    b->masks[0] |= 4u;
    b->masks[b->mask_stride] |= 0x41u;
    for (uint32_t r = 0; r < b->rows_max; r++) {
        b->input_rows[r] = 2 * r + 1;
        b->inputs[2 * r + 1] = pick(n);
        b->inputs[2 * r] = pick(n);
        b->params[r] = pm_sample_row_of(&(pm_sample_params){0}, 0, 0);
    }
}

static void fill_row(batch *b, uint32_t r, logits_kind kind, uint64_t seed)
{
    for (uint32_t i = 0; i < b->stride; i++)
        b->logits[(uint64_t)r * b->stride + i] = i < b->n ? logit_of(kind, seed, i) : 1e30f; /* past the row */
}

/* Parameters of all kinds; a share of rows has each. */
static void random_params(batch *b, uint32_t r)
{
    const pm_sample_params p = {
        .temperature = pick(8) == 0 ? 0.0f : pick(10) == 0 ? 1e-6f : 0.1f + 2.0f * uniform(),
        .top_k = pick(2) ? 1 + pick(pick(2) ? 60 : b->n + 10) : 0,
        .top_p = pick(2) ? (pick(4) ? uniform() : 0.999f) : 0.0f,
        .min_p = pick(3) == 0 ? 0.3f * uniform() : 0.0f,
        .repeat_penalty = pick(2) ? 0.5f + uniform() : 0.0f,
    };
    pm_sample_row *row = &b->params[r];
    *row = pm_sample_row_of(&p, harness_seed() + r, pick(100000));
    row->presence = pick(2) ? 2.0f * uniform() - 1.0f : 0.0f;
    row->frequency = pick(2) ? uniform() : 0.0f;
    row->mask = pick(3) == 0 ? 1 + pick(2) : 0;
    if (pick(2))
        row->flags |= PM_SAMPLE_IN_FLIGHT;
    if (pick(3) == 0) {
        row->flags |= PM_SAMPLE_LOGPROBS;
        row->top_logprobs = pick(PM_SAMPLE_TOP_MAX + 1);
    }
    row->edit_start = b->edit_count;
    row->edit_count = pick(3) ? pick(b->n < 40 ? b->n : 40) : 0;
    const uint32_t first = pick(b->n), step = b->n % 7 == 0 ? 11 : 7; /* so that tokens differ */
    for (uint32_t i = 0; i < row->edit_count; i++)
        b->edits[b->edit_count++] = (pm_sample_edit){
            .token = i == 0 && row->edit_count > 3 && pick(2) ? first : (uint32_t)((first + (uint64_t)i * step) % b->n),
            .said = (pick(2) ? PM_SAMPLE_RECENT : 0) | pick(4),
            .bias = pick(10) == 0 ? -INFINITY : pick(2) ? 4.0f * uniform() - 2.0f : 0.0f,
        };
    if (row->edit_count > 0 && pick(2)) /* the token in flight is one of the edited */
        b->inputs[b->input_rows[r]] = b->edits[row->edit_start + pick(row->edit_count)].token;
}

static void batch_upload(batch *b)
{
    b->logits_b = buffer_from(b->logits, (uint64_t)b->rows_max * b->stride * 4);
    b->params_b = buffer_from(b->params, b->rows_max * sizeof(*b->params));
    b->edits_b = buffer_from(b->edits, b->edits_max * sizeof(*b->edits));
    b->masks_b = buffer_from(b->masks, (uint64_t)MASKS * b->mask_stride * 4);
    b->inputs_b = buffer_from(b->inputs, 2 * b->rows_max * 4);
    b->input_rows_b = buffer_from(b->input_rows, b->rows_max * 4);
    b->rows_b = buffer_from(&b->rows, 4);
    b->saved_b = buffer_make(pm_sample_saved_bytes(b->edits_max, b->rows_max));
    b->tokens_b = buffer_make(b->rows_max * 4);
    b->flags_b = buffer_make(b->rows_max * 4);
    b->logprobs_b = buffer_make(b->rows_max * sizeof(pm_sample_logprobs));
}

static pm_sample_op batch_op(const batch *b)
{
    return (pm_sample_op){
        .logits = b->logits_b.slice, .rows = b->rows_b.slice, .params = b->params_b.slice, .edits = b->edits_b.slice,
        .masks = b->masks_b.slice, .inputs = b->inputs_b.slice, .input_rows = b->input_rows_b.slice, .saved = b->saved_b.slice,
        .tokens = b->tokens_b.slice, .flags = b->flags_b.slice, .logprobs = b->logprobs_b.slice, .rows_max = b->rows_max,
        .n = b->n, .stride = b->stride, .edits_max = b->edits_max, .lanes = b->lanes};
}

static void batch_free(batch *b)
{
    test_buffer *all[] = {&b->logits_b, &b->params_b, &b->edits_b, &b->masks_b, &b->inputs_b, &b->input_rows_b,
                          &b->rows_b, &b->saved_b, &b->tokens_b, &b->flags_b, &b->logprobs_b};
    for (uint32_t i = 0; i < COUNT_OF(all); i++)
        buffer_free(all[i]);
    free(b->logits);
    free(b->params);
    free(b->edits);
    free(b->masks);
    free(b->inputs);
    free(b->input_rows);
}

static const uint32_t *mask_of(const batch *b, const pm_sample_row *row)
{
    return row->mask == 0 ? NULL : b->masks + (uint64_t)(row->mask - 1) * b->mask_stride;
}

/* Largest |logprob - host's| / (1 + |host's|). */
static double worst_logprob;

static void check_logprobs(const batch *b, uint32_t r, uint32_t token, const pm_sample_logprobs *got)
{
    pm_sample_logprobs want;
    const float *logits = b->logits + (uint64_t)r * b->stride;
    pm_sample_logprobs_of(&b->params[r], logits, b->n, token, &want);
    assert_int_equal(got->count, want.count);
    for (uint32_t i = 0; i <= want.count; i++) {
        const double w = (double)(i == 0 ? want.picked : want.logprob[i - 1]), g = (double)(i == 0 ? got->picked : got->logprob[i - 1]);
        if (i > 0)
            assert_int_equal(got->id[i - 1], want.id[i - 1]);
        if (!isfinite(w) || fabs(w) > 1e30) /* logits that are not finite, or whose difference is not */
            continue;
        worst_logprob = fmax(worst_logprob, fabs(g - w) / (1.0 + fabs(w)));
        if (!(fabs(g - w) <= 1e-5 + 1e-6 * fabs(w)))
            fail_msg("row %u of %u: log-probability %u is %.9g, expected %.9g", r, b->n, i, g, w);
    }
}

/* Runs the op and compares all that it wrote, and what it must not have written. */
static void batch_check(batch *b, const char *what)
{
    uint32_t *tokens = calloc(b->rows_max, 4), *flags = calloc(b->rows_max, 4);
    pm_sample_logprobs *logprobs = calloc(b->rows_max, sizeof(*logprobs));
    float *after = calloc((uint64_t)b->rows_max * b->stride, 4);
    pm_sampler *s = NULL;
    assert_true(tokens && flags && logprobs && after);
    ok(pm_sampler_create(b->n, &s));
    batch_upload(b);
    const pm_sample_op op = batch_op(b);
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_sample_record(recorder, &op));
    run_recorder(recorder);
    buffer_read(&b->tokens_b, tokens);
    buffer_read(&b->flags_b, flags);
    buffer_read(&b->logprobs_b, logprobs);
    buffer_read(&b->logits_b, after);
    assert_memory_equal(after, b->logits, (uint64_t)b->rows_max * b->stride * 4); /* put back */
    for (uint32_t r = 0; r < b->rows_max; r++) {
        const pm_sample_row *row = &b->params[r];
        if (r >= b->rows) {
            assert_int_equal(tokens[r], CANARY_WORD);
            assert_int_equal(flags[r], CANARY_WORD);
        } else {
            uint32_t want_flags;
            const uint32_t want = pm_sampler_pick(s, row, b->edits, mask_of(b, row), b->inputs[b->input_rows[r]],
                                                  b->logits + (uint64_t)r * b->stride, &want_flags);
            if (tokens[r] != want || flags[r] != want_flags)
                fail_msg("%s, row %u of %u tokens: token %u, flags %u, expected %u, %u (draw %u, scale %g, top_k %u, top_p %g, "
                         "min_log %g, edits %u, mask %u)", what, r, b->n, tokens[r], flags[r], want, want_flags, row->flags,
                         (double)row->scale, row->top_k, row->top_p * 0x1p-32, (double)row->min_log, row->edit_count, row->mask);
        }
        if (r < b->rows && (row->flags & PM_SAMPLE_LOGPROBS))
            check_logprobs(b, r, tokens[r], &logprobs[r]);
        else
            assert_int_equal(logprobs[r].count, CANARY_WORD);
    }
    tally("sample", "", b->rows);
    pm_sampler_destroy(s);
    free(tokens);
    free(flags);
    free(logprobs);
    free(after);
}

/* ------------------------------------------------------------------- tests */

static void same_token_as_the_host(void **state)
{
    (void)state;
    static const struct { uint32_t n, rows; } cases[] = {{1, 12}, {2, 12}, {32, 96}, {33, 48}, {511, 48}, {1000, 96}, {4097, 48}, {32000, 36}, {151936, 14}, {262208, 5}};
    for (uint32_t c = 0; c < COUNT_OF(cases); c++) {
        batch b;
        batch_init(&b, cases[c].rows, cases[c].n);
        for (uint32_t r = 0; r < b.rows_max; r++) {
            fill_row(&b, r, (logits_kind)(r % LOGITS_KINDS), harness_seed() + 100 * c + r);
            random_params(&b, r);
        }
        batch_check(&b, "all parameters");
        batch_free(&b);
    }
    printf("log-probabilities: worst error %.2g of 1 + |logprob|\n", worst_logprob);
}

/* Each stage by itself and in pairs, where the last bin of the histogram holds more tokens than can
 * be gathered, and where it does not. */
static void check_stages(uint32_t lanes)
{
    static const pm_sample_params stages[] = {
        {.temperature = 1.0f}, {.temperature = 0.0f}, {.temperature = 1.0f, .top_k = 1}, {.temperature = 1.0f, .top_k = 2},
        {.temperature = 0.7f, .top_k = 40}, {.temperature = 1.0f, .top_k = 700}, {.temperature = 1.0f, .top_p = 0.5f},
        {.temperature = 1.3f, .top_p = 0.95f}, {.temperature = 1.0f, .top_p = 1e-9f}, {.temperature = 1.0f, .top_p = 0.9999999f},
        {.temperature = 1.0f, .min_p = 0.05f}, {.temperature = 1.0f, .top_k = 900, .top_p = 0.7f},
        {.temperature = 1.0f, .top_k = 50, .top_p = 0.9f, .min_p = 0.02f}, {.temperature = INFINITY, .top_k = 600}};
    const logits_kind kinds[] = {LOGITS_NORMAL, LOGITS_FLAT, LOGITS_NARROW, LOGITS_TIED, LOGITS_TINY, LOGITS_LARGE, LOGITS_ZEROS};
    batch b;
    batch_init(&b, COUNT_OF(stages) * COUNT_OF(kinds), 2500);
    b.lanes = lanes;
    for (uint32_t r = 0; r < b.rows; r++) {
        fill_row(&b, r, kinds[r % COUNT_OF(kinds)], harness_seed() + r);
        b.params[r] = pm_sample_row_of(&stages[r / COUNT_OF(kinds)], harness_seed(), r);
    }
    batch_check(&b, "a stage");
    batch_free(&b);
}

/* With the workgroups of all devices, whatever suits this one. */
static void each_stage_on_hard_rows(void **state)
{
    (void)state;
    for (uint32_t lanes = 32; lanes <= 256; lanes *= 2)
        check_stages(lanes);
}

/* Opened anew without any optional capability. */
static void nothing_optional_is_needed(void **state)
{
    (void)state;
    const char *before = getenv("PUMICE_CAPS");
    char saved[256];
    snprintf(saved, sizeof(saved), "%s", before != NULL ? before : "");
    harness_close();
    setenv("PUMICE_CAPS", "-f16,-store16,-store8,-int8,-int16,-int64,-int8dot,-subgroup,-coopmat,-coopmat2,-bf16,-texels", 1);
    check_stages(0);
    harness_close();
    if (before != NULL)
        setenv("PUMICE_CAPS", saved, 1);
    else
        unsetenv("PUMICE_CAPS");
}

/* A vocabulary that no part of the search divides, flat: the cut must fall on the very token. */
static void ties_are_cut_at_the_same_id(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {600, 1023, 32003};
    for (uint32_t s = 0; s < COUNT_OF(sizes); s++) {
        batch b;
        batch_init(&b, 24, sizes[s]);
        for (uint32_t r = 0; r < b.rows; r++) {
            fill_row(&b, r, r % 2 ? LOGITS_FLAT : LOGITS_TIED, harness_seed() + r);
            b.params[r] = pm_sample_row_of(
                &(pm_sample_params){.temperature = 1.0f, .top_k = r % 3 ? sizes[s] - 1 - pick(50) : 0, .top_p = r % 3 == 1 ? 0.0f : 0.99f},
                harness_seed(), r);
            b.params[r].random_low = b.params[r].random_high = r % 4 < 2 ? UINT32_MAX : 0; /* the last kept, or the first */
        }
        batch_check(&b, "ties");
        batch_free(&b);
    }
}

/* The best k in k shares of the lanes, so that the bound is the last of them; the draw takes that. */
static void the_bound_keeps_all_of_few(void **state)
{
    (void)state;
    batch b;
    batch_init(&b, 110, 2500);
    for (uint32_t r = 0; r < b.rows; r++) {
        fill_row(&b, r, LOGITS_FLAT, 0);
        for (uint32_t i = 0; i < 200; i++)
            b.logits[(uint64_t)r * b.stride + i] = 9.0f - 0.01f * (float)i;
        b.params[r] = pm_sample_row_of(
            &(pm_sample_params){.temperature = 1.0f, .top_k = 2 + r, .top_p = r % 3 == 2 ? 0.9f : 0.0f}, harness_seed(), r);
        b.params[r].random_low = b.params[r].random_high = UINT32_MAX;
    }
    batch_check(&b, "few");
    uint32_t tokens[112];
    buffer_read(&b.tokens_b, tokens);
    for (uint32_t r = 0; r < b.rows; r++)
        assert_true(tokens[r] == 1 + r || (r % 3 == 2 && tokens[r] < 1 + r));
    batch_free(&b);
}

/* A row of which nothing may come says so, and does not disturb its neighbours. */
static void rows_without_a_token_are_reported(void **state)
{
    (void)state;
    batch b;
    batch_init(&b, 4, 1000);
    for (uint32_t r = 0; r < b.rows; r++) {
        fill_row(&b, r, r == 1 ? LOGITS_NONE : LOGITS_NORMAL, harness_seed() + r);
        b.params[r] = pm_sample_row_of(&(pm_sample_params){.temperature = 1.0f, .top_k = 20, .top_p = 0.9f}, 1, r);
    }
    b.params[2].mask = 3; /* all zero */
    batch_check(&b, "nothing to pick");
    uint32_t tokens[6], flags[6];
    buffer_read(&b.tokens_b, tokens);
    buffer_read(&b.flags_b, flags);
    assert_int_equal(tokens[1], PM_SAMPLE_NO_TOKEN);
    assert_int_equal(flags[1], PM_SAMPLE_NAN | PM_SAMPLE_NONE);
    assert_int_equal(tokens[2], PM_SAMPLE_NO_TOKEN);
    assert_int_equal(flags[2], PM_SAMPLE_NONE);
    assert_true(tokens[0] < 1000 && tokens[3] < 1000);
    batch_free(&b);
}

/* Greedy rows are those of op/argmax, with no more than these need. */
static void greedy_is_argmax(void **state)
{
    (void)state;
    batch b;
    batch_init(&b, LOGITS_KINDS, 32000);
    for (uint32_t r = 0; r < b.rows_max; r++)
        fill_row(&b, r, (logits_kind)(r % LOGITS_KINDS), harness_seed() + r);
    batch_upload(&b);
    test_buffer best = buffer_make(b.rows_max * 4);
    const pm_sample_op op = {.logits = b.logits_b.slice, .rows = b.rows_b.slice, .params = b.params_b.slice,
                             .tokens = b.tokens_b.slice, .flags = b.flags_b.slice, .rows_max = b.rows_max, .n = b.n, .stride = b.stride};
    const pm_argmax a = {.x = b.logits_b.slice, .tokens = best.slice, .rows = b.rows_b.slice, .rows_max = b.rows_max,
                         .n = b.n, .x_stride = b.stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_sample_record(recorder, &op));
    ok(pm_argmax_record(recorder, &a));
    run_recorder(recorder);
    uint32_t got[LOGITS_KINDS + 2], want[LOGITS_KINDS + 2];
    buffer_read(&b.tokens_b, got);
    buffer_read(&best, want);
    for (uint32_t r = 0; r < b.rows; r++)
        if (r != LOGITS_NONE && r != LOGITS_TINY) /* no token; a device may take these for zeros */
            assert_int_equal(got[r], want[r]);
    buffer_free(&best);
    batch_free(&b);
}

/* Pearson's statistic over draws of many seeds, whose mean is cells - 1. */
static void draws_follow_the_distribution(void **state)
{
    (void)state;
    enum { N = 40, ROWS = 4000, KEPT = 25 };
    static const float temperature = 0.8f;
    batch b;
    batch_init(&b, ROWS, N);
    for (uint32_t r = 0; r < ROWS; r++) {
        fill_row(&b, r, LOGITS_NORMAL, harness_seed());
        b.params[r] = pm_sample_row_of(&(pm_sample_params){.temperature = temperature * 3.0f, .top_k = KEPT}, harness_seed() + r, r % 5);
    }
    batch_upload(&b);
    const pm_sample_op op = batch_op(&b);
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_sample_record(recorder, &op));
    run_recorder(recorder);
    static uint32_t tokens[ROWS + 2];
    buffer_read(&b.tokens_b, tokens);
    double p[N], total = 0.0, statistic = 0.0;
    uint32_t seen[N] = {0}, cells = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t greater = 0;
        for (uint32_t j = 0; j < N; j++)
            greater += b.logits[j] > b.logits[i];
        p[i] = greater < KEPT ? exp((double)b.logits[i] / (double)(temperature * 3.0f)) : 0.0;
        total += p[i];
    }
    for (uint32_t r = 0; r < ROWS; r++)
        seen[tokens[r]]++;
    for (uint32_t i = 0; i < N; i++) {
        const double expected = ROWS * p[i] / total;
        if (p[i] == 0.0)
            assert_int_equal(seen[i], 0);
        else
            statistic += (seen[i] - expected) * (seen[i] - expected) / expected;
        cells += p[i] > 0.0;
    }
    printf("chi-square %.1f for %u degrees of freedom\n", statistic, cells - 1);
    assert_int_equal(cells, KEPT);
    assert_true(fabs(statistic - (cells - 1)) < 5.0 * sqrt(2.0 * (cells - 1)));
    batch_free(&b);
}

/* The op alone and beside others, 50 times: the same bits. */
static void repeats_are_identical(void **state)
{
    (void)state;
    batch b;
    batch_init(&b, 12, 3000);
    for (uint32_t r = 0; r < b.rows_max; r++) {
        fill_row(&b, r, (logits_kind)(r % LOGITS_KINDS), harness_seed() + r);
        random_params(&b, r);
    }
    batch_upload(&b);
    const pm_sample_op op = batch_op(&b);
    pm_vk_commands *commands = NULL, *fresh = NULL;
    pm_vk_recorder *recorder = make_recorder(), *second = make_recorder();
    ok(pm_sample_record(recorder, &op));
    ok(pm_vk_recorder_end(recorder, &commands));
    ok(pm_sample_record(second, &op));
    ok(pm_vk_recorder_end(second, &fresh));
    check_repeats(commands, fresh, &b.tokens_b, "sample");
    pm_vk_recorder_destroy(recorder);
    pm_vk_recorder_destroy(second);
    batch_free(&b);
}

static void a_larger_vocabulary_is_refused(void **state)
{
    (void)state;
    const uint32_t one = 1;
    test_buffer some = buffer_from(&one, 4);
    const pm_sample_op op = {.logits = some.slice, .rows = some.slice, .rows_max = 1, .n = PM_SAMPLE_VOCAB_MAX + 1,
                             .stride = PM_SAMPLE_VOCAB_MAX + 5};
    pm_vk_recorder *recorder = make_recorder();
    assert_int_equal(pm_sample_record(recorder, &op), PM_ERR_UNSUP);
    pm_vk_recorder_destroy(recorder);
    buffer_free(&some);
}

/* -------------------------------------------------------------------- time */

static double best_ms(pm_vk_recorder *recorder)
{
    pm_vk_commands *commands = NULL;
    double best = 1e9;
    ok(pm_vk_recorder_end(recorder, &commands));
    for (int run = 0; run < 4; run++) {
        const uint64_t start = pm_clock_ns();
        ok(pm_vk_commands_run(commands));
        best = fmin(best, (double)(pm_clock_ns() - start) * 1e-6);
    }
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    return best;
}

/* Printed, not judged, and in place of the tests, with PUMICE_TEST_TIMES=1: a step's sampling of 32000
 * tokens, the host's, argmax's, and the matmul [32000, 768] that makes the logits. */
static void times(void **state)
{
    (void)state;
    static const struct { const char *name; pm_sample_params p; uint32_t edits; } cases[] = {
        {"greedy", {.temperature = 0.0f}, 0},
        {"temperature", {.temperature = 0.8f}, 0},
        {"top_k 40", {.temperature = 0.8f, .top_k = 40}, 0},
        {"top_p 0.95", {.temperature = 0.8f, .top_p = 0.95f}, 0},
        {"top_k 40, top_p 0.95, min_p 0.05", {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f}, 0},
        {"the same, penalties", {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.1f}, 40}};
    static const uint32_t row_counts[] = {1, 16, 64};
    matrix w = matrix_make(PM_DTYPE_Q8_0, BLOCKS_NORMAL, 32000, 768, 32, harness_seed());
    for (uint32_t c = 0; c < COUNT_OF(row_counts); c++) {
        batch b;
        batch_init(&b, row_counts[c], 32000);
        pm_sampler *s = NULL;
        ok(pm_sampler_create(b.n, &s));
        for (uint32_t r = 0; r < b.rows; r++)
            fill_row(&b, r, LOGITS_NORMAL, harness_seed() + r);
        batch_upload(&b);
        test_buffer x = buffer_input(INPUT_NORMAL, harness_seed(), b.rows_max, 768, 768), y = buffer_make((uint64_t)b.rows_max * 32000 * 4);
        const pm_matmul m = {.weight = w.weight, .x = x.slice, .y = y.slice, .rows = b.rows_b.slice, .rows_max = b.rows,
                             .x_stride = 768, .y_stride = 32000};
        const pm_argmax a = {.x = b.logits_b.slice, .tokens = b.tokens_b.slice, .rows = b.rows_b.slice, .rows_max = b.rows,
                             .n = b.n, .x_stride = b.stride};
        pm_vk_recorder *recorder = make_recorder();
        uint32_t variant;
        ok(pm_matmul_pick(pm_vk_device_caps(harness_device()), &m, &variant));
        ok(pm_matmul_record_variant(recorder, &m, variant));
        printf("%2u rows of 32000: matmul of 768 %.2f ms", b.rows, best_ms(recorder));
        recorder = make_recorder();
        ok(pm_argmax_record(recorder, &a));
        printf(", argmax %.3f ms\n", best_ms(recorder));
        for (uint32_t k = 0; k < COUNT_OF(cases); k++) {
            b.edit_count = 0;
            for (uint32_t r = 0; r < b.rows; r++) {
                b.params[r] = pm_sample_row_of(&cases[k].p, r, r);
                b.params[r].edit_start = b.edit_count;
                b.params[r].edit_count = cases[k].edits;
                for (uint32_t i = 0; i < cases[k].edits; i++)
                    b.edits[b.edit_count++] = (pm_sample_edit){.token = i * 700, .said = PM_SAMPLE_RECENT | 1};
            }
            ok(pm_vk_upload(harness_device(), b.params_b.slice, b.params, b.params_b.slice.bytes));
            ok(pm_vk_upload(harness_device(), b.edits_b.slice, b.edits, b.edits_b.slice.bytes));
            pm_sample_op op = batch_op(&b);
            op.rows_max = b.rows;
            recorder = make_recorder();
            ok(pm_sample_record(recorder, &op));
            const double device_ms = best_ms(recorder);
            double host_ms = 1e9;
            for (int run = 0; run < 3; run++) {
                const uint64_t start = pm_clock_ns();
                uint32_t flags;
                for (uint32_t r = 0; r < b.rows; r++)
                    (void)pm_sampler_pick(s, &b.params[r], b.edits, NULL, 0, b.logits + (uint64_t)r * b.stride, &flags);
                host_ms = fmin(host_ms, (double)(pm_clock_ns() - start) * 1e-6);
            }
            printf("   %-34s device %8.3f ms, host %8.3f ms\n", cases[k].name, device_ms, host_ms);
        }
        buffer_free(&x);
        buffer_free(&y);
        pm_sampler_destroy(s);
        batch_free(&b);
    }
    matrix_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_token_as_the_host),
        cmocka_unit_test(each_stage_on_hard_rows),
        cmocka_unit_test(ties_are_cut_at_the_same_id),
        cmocka_unit_test(the_bound_keeps_all_of_few),
        cmocka_unit_test(rows_without_a_token_are_reported),
        cmocka_unit_test(greedy_is_argmax),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(repeats_are_identical),
        cmocka_unit_test(a_larger_vocabulary_is_refused),
        cmocka_unit_test(nothing_optional_is_needed),
    };
    const struct CMUnitTest timed[] = {cmocka_unit_test(times)};
    const int failed = getenv("PUMICE_TEST_TIMES") != NULL ? cmocka_run_group_tests_name("times", timed, NULL, NULL)
                                                            : cmocka_run_group_tests_name("sample", tests, NULL, NULL);
    tally_print();
    harness_close();
    return failed;
}
