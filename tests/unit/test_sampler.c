/* test_sampler.c - the sampling chain against one that sorts everything, the edges of
 * each stage, and the draw against its distribution. */
#include "sample/sampler.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "sample/edits.h"
#include "sample/penalty.h"
#include "sample/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t rng_state;

static uint32_t rng(uint32_t limit)
{
    rng_state = pm_mix64(rng_state);
    return (uint32_t)(rng_state >> 33) % limit;
}

static float rng_float(void)
{
    return (float)rng(1u << 24) / (float)(1u << 24);
}

static pm_sampler *create(uint32_t vocab)
{
    pm_sampler *s = NULL;
    assert_int_equal(pm_sampler_create(vocab, &s), PM_OK);
    return s;
}

static int32_t sample(pm_sampler *s, pm_sample_params params, const float *logits, uint64_t position)
{
    return pm_sample(s, &params, logits, NULL, 0, 7, position);
}

/* The set of tokens that come out in many draws, as bits; vocab <= 32. */
static uint32_t drawn(pm_sampler *s, pm_sample_params params, const float *logits)
{
    uint32_t set = 0;
    for (uint64_t position = 0; position < 2000; position++)
        set |= 1u << sample(s, params, logits, position);
    return set;
}

/* ------------------------------------------------------------------ greedy */

static void greedy_takes_the_first_of_the_greatest(void **state)
{
    (void)state;
    pm_sampler *s = create(6);
    const pm_sample_params greedy = {0}, one = {.temperature = 1.0f, .top_k = 1};
    const struct { float logits[6]; int32_t expected; } cases[] = {
        {{1, 5, 5, 2, 5, 0}, 1},
        {{-3, -2, -1, -1, -2, -3}, 2},
        {{0, 0, 0, 0, 0, 0}, 0},
        {{NAN, 1, NAN, 2, NAN, NAN}, 3},
        {{NAN, -INFINITY, NAN, -1e38f, NAN, -INFINITY}, 3},
        {{1, 2, INFINITY, 3, INFINITY, NAN}, 2},
        {{-INFINITY, NAN, -INFINITY, NAN, NAN, NAN}, -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(sample(s, greedy, cases[i].logits, i), cases[i].expected);
        assert_int_equal(sample(s, one, cases[i].logits, i), cases[i].expected);
    }
    pm_sampler_destroy(s);
}

static void odd_logits_are_never_drawn(void **state)
{
    (void)state;
    pm_sampler *s = create(5);
    const pm_sample_params params[] = {
        {.temperature = 1.0f},
        {.temperature = 2.0f, .top_k = 4},
        {.temperature = 2.0f, .top_p = 0.99f},
        {.temperature = 2.0f, .min_p = 0.001f},
        {.temperature = 1e30f, .top_k = 3, .top_p = 0.9f, .min_p = 0.1f},
    };
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        assert_int_equal(drawn(s, params[i], (float[5]){NAN, 1, -INFINITY, 1, NAN}), 0x0a);
        assert_int_equal(drawn(s, params[i], (float[5]){NAN, NAN, NAN, NAN, -3e38f}), 0x10);
        assert_int_equal(drawn(s, params[i], (float[5]){3e38f, NAN, INFINITY, -3e38f, INFINITY}), 0x04);
        assert_int_equal(sample(s, params[i], (float[5]){NAN, NAN, -INFINITY, NAN, NAN}, 1), -1);
    }
    pm_sampler_destroy(s);
}

static void temperature_has_no_bad_values(void **state)
{
    (void)state;
    pm_sampler *s = create(4);
    const float far[4] = {3e38f, -3e38f, 2e38f, 0};
    assert_int_equal(drawn(s, (pm_sample_params){.temperature = 1e-38f}, far), 1);
    assert_int_equal(drawn(s, (pm_sample_params){.temperature = 1e-45f}, (float[4]){1, 2, 2, 1.9f}), 6);
    assert_int_equal(drawn(s, (pm_sample_params){.temperature = INFINITY}, (float[4]){1, 2, 3, 4}), 15);
    assert_int_equal(drawn(s, (pm_sample_params){.temperature = NAN}, (float[4]){1, 2, 4, 3}), 4);
    assert_int_equal(drawn(s, (pm_sample_params){.temperature = -1.0f}, (float[4]){1, 2, 4, 3}), 4);
    pm_sampler_destroy(s);
}

/* ------------------------------------------------------------------- stages */

static void each_stage_keeps_what_it_should(void **state)
{
    (void)state;
    pm_sampler *s = create(5);
    /* probabilities 0.1, 0.4, 0.05, 0.25, 0.2: best first 1, 3, 4, 0, 2 */
    float p[5] = {0.1f, 0.4f, 0.05f, 0.25f, 0.2f}, logits[5];
    for (uint32_t i = 0; i < 5; i++)
        logits[i] = logf(p[i]) + 11.0f;
    const struct { pm_sample_params params; uint32_t expected; } cases[] = {
        {{.temperature = 1}, 0x1f},
        {{.temperature = 1, .top_k = 1}, 0x02},
        {{.temperature = 1, .top_k = 3}, 0x1a},
        {{.temperature = 1, .top_k = 99}, 0x1f},
        {{.temperature = 1, .top_p = 0.01f}, 0x02},
        {{.temperature = 1, .top_p = 0.39f}, 0x02},
        {{.temperature = 1, .top_p = 0.41f}, 0x0a},
        {{.temperature = 1, .top_p = 0.86f}, 0x1b},
        {{.temperature = 1, .top_p = 1.0f}, 0x1f},
        {{.temperature = 1, .min_p = 0.3f}, 0x1a},   /* of 0.4: 0.12 */
        {{.temperature = 1, .min_p = 0.999f}, 0x02},
        {{.temperature = 1, .min_p = 0.2f}, 0x1b},
        /* of the best two, 0.4 / 0.65 = 0.615 is the first's share */
        {{.temperature = 1, .top_k = 2, .top_p = 0.6f}, 0x02},
        {{.temperature = 1, .top_k = 2, .top_p = 0.62f}, 0x0a},
        /* the cuts see temperature 1, whatever the draw's is */
        {{.temperature = 9, .top_p = 0.39f}, 0x02},
        {{.temperature = 9, .min_p = 0.3f}, 0x1a},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(drawn(s, cases[i].params, logits), cases[i].expected);
    /* equals: smaller ids first */
    const float same[5] = {2, 2, 2, 2, 2};
    assert_int_equal(drawn(s, (pm_sample_params){.temperature = 1, .top_k = 3}, same), 0x07);
    assert_int_equal(drawn(s, (pm_sample_params){.temperature = 1, .top_p = 0.5f}, same), 0x07);
    assert_int_equal(drawn(s, (pm_sample_params){.temperature = 1, .min_p = 0.9f}, same), 0x1f);
    pm_sampler_destroy(s);
    s = create(1);
    assert_int_equal(sample(s, cases[14].params, logits, 3), 0);
    pm_sampler_destroy(s);
}

static void the_penalty_sees_64_tokens_once_each(void **state)
{
    (void)state;
    float logits[6] = {4, -4, 4, 4, 0, 4};
    int32_t history[80];
    for (uint32_t i = 0; i < 80; i++)
        history[i] = i < 16 ? 2 : (i % 2 == 0 ? 0 : 1);
    history[20] = 4;
    history[21] = -1;
    history[22] = 6;
    history[23] = INT32_MAX;
    pm_penalty_repeat(logits, 6, 2.0f, history, 80);
    const float expected[6] = {2, -8, 4, 4, 0, 4}; /* 2 was said 65 to 80 tokens ago */
    assert_memory_equal(logits, expected, sizeof(logits));
    pm_penalty_repeat(logits, 6, 2.0f, history, 17);
    assert_true(logits[2] == 2.0f && logits[0] == 1.0f);
    pm_penalty_repeat(logits, 6, 2.0f, NULL, 0);
    assert_true(logits[2] == 2.0f);

    pm_sampler *s = create(6);
    const float given[6] = {1, 3, 3, 2.5f, 0, -1};
    const int32_t said[] = {1, 2};
    const pm_sample_params off = {.repeat_penalty = 1.0f}, on = {.repeat_penalty = 1.5f};
    assert_int_equal(pm_sample(s, &off, given, said, 2, 0, 2), 1);
    assert_int_equal(pm_sample(s, &on, given, said, 2, 0, 2), 3);
    assert_int_equal(pm_sample(s, &on, given, said, 1, 0, 1), 2);
    pm_sampler_destroy(s);
}

/* ---------------------------------------------- against one that sorts it all */

static const float *order_logits;

static int by_logit(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    if (order_logits[x] != order_logits[y])
        return order_logits[x] > order_logits[y] ? -1 : 1;
    return x < y ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

/* The kept ids in ascending order; returns how many. ids: [vocab]. Leaves the share of
 * the chain's cuts that rounding could decide in *close. */
static uint32_t naive_keep(const pm_sample_params *params, const float *logits, uint32_t vocab, int32_t *ids,
                           bool *close)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < vocab; i++)
        if (logits[i] > -INFINITY)
            ids[count++] = (int32_t)i;
    order_logits = logits;
    qsort(ids, count, sizeof(*ids), by_logit);
    const double most = (double)logits[ids[0]];
    *close = false;
    if (params->top_k > 0 && params->top_k < count)
        count = params->top_k;
    if (params->top_p > 0.0f && params->top_p < 1.0f) {
        long double total = 0, sum = 0;
        for (uint32_t i = 0; i < count; i++)
            total += expl((long double)logits[ids[i]] - (long double)most);
        uint32_t kept = 0;
        while (kept < count && sum < (long double)params->top_p * total) {
            sum += expl((long double)logits[ids[kept++]] - (long double)most);
            *close = *close || fabsl(sum / total - (long double)params->top_p) < 2e-6L;
        }
        count = kept;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const long double ratio = expl((long double)logits[ids[i]] - (long double)most);
        *close = *close || fabsl(ratio - (long double)params->min_p) < 2e-6L;
        if (i == 0 || ratio >= (long double)params->min_p)
            ids[kept++] = ids[i];
    }
    qsort(ids, kept, sizeof(*ids), by_id);
    return kept;
}

static void agrees_with_sorting_everything(void **state)
{
    (void)state;
    const char *text = getenv("PUMICE_TEST_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20261124;
    printf("seed %llu\n", (unsigned long long)seed);
    enum { VOCAB_MAX = 3000 };
    float *logits = malloc(VOCAB_MAX * sizeof(*logits)), *kept_copy = malloc(VOCAB_MAX * sizeof(*logits));
    int32_t *ids = malloc(VOCAB_MAX * sizeof(*ids));
    uint32_t skipped = 0, runs = 3000;
    for (uint32_t run = 0; run < runs; run++) {
        rng_state = seed + run;
        const uint32_t vocab = 1 + rng(rng(2) ? 40 : VOCAB_MAX);
        const uint32_t levels = rng(3) == 0 ? 4 : 1u << 20; /* few levels: many equals */
        const float spread = 1.0f + 12.0f * rng_float();
        for (uint32_t i = 0; i < vocab; i++)
            logits[i] = rng(50) == 0 ? (rng(2) ? NAN : -INFINITY)
                                     : spread * ((float)rng(levels) / (float)levels - 0.5f);
        logits[rng(vocab)] = 0.25f;
        const pm_sample_params params = {
            .temperature = 0.05f + 2.0f * rng_float(),
            .top_k = rng(2) ? rng(vocab + 3) : 0,
            .top_p = rng(2) ? rng_float() : 0.0f,
            .min_p = rng(2) ? 0.3f * rng_float() : 0.0f,
        };
        bool close;
        const uint32_t kept = naive_keep(&params, logits, vocab, ids, &close);
        long double total = 0, below = 0;
        for (uint32_t i = 0; i < kept; i++)
            total += expl((long double)logits[ids[i]] / (long double)params.temperature);
        const long double u = (long double)pm_rng_uniform(seed, run);
        uint32_t picked = 0;
        for (;; picked++) {
            const long double share = expl((long double)logits[ids[picked]] / (long double)params.temperature) / total;
            close = close || fabsl(below + share - u) < 2e-6L;
            below += share;
            if (below > u || picked + 1 == kept)
                break;
        }
        if (close) {
            skipped++;
            continue;
        }
        pm_sampler *s = create(vocab);
        memcpy(kept_copy, logits, vocab * sizeof(*logits));
        const uint64_t allocations = pm_alloc_count();
        const int32_t got = pm_sample(s, &params, logits, NULL, 0, seed, run);
        assert_true(pm_alloc_count() == allocations);
        assert_memory_equal(logits, kept_copy, vocab * sizeof(*logits));
        if (got != ids[picked])
            fail_msg("run %u: vocab %u, top_k %u, top_p %g, min_p %g, temperature %g: %d, expected %d", run, vocab,
                     params.top_k, (double)params.top_p, (double)params.min_p, (double)params.temperature, got,
                     ids[picked]);
        pm_sampler_destroy(s);
    }
    printf("%u cases, %u too close to call\n", runs, skipped);
    assert_true(skipped < runs / 100);
    free(logits);
    free(kept_copy);
    free(ids);
}

/* --------------------------------------------------------------- randomness */

/* Pearson's statistic; its mean is cells - 1, its deviation sqrt(2 (cells - 1)). */
static double chi_square(const uint32_t *seen, const double *expected, uint32_t cells)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < cells; i++)
        sum += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
    return sum;
}

static void assert_plausible(double statistic, uint32_t cells)
{
    const double freedom = cells - 1, deviations = (statistic - freedom) / sqrt(2.0 * freedom);
    printf("chi-square %.1f for %.0f degrees of freedom\n", statistic, freedom);
    assert_true(fabs(deviations) < 5.0);
}

static void uniform_in_every_direction(void **state)
{
    (void)state;
    enum { CELLS = 256, DRAWS = 256 * 400 };
    static uint32_t by_position[CELLS], by_seed[CELLS], pairs[CELLS];
    double expected[CELLS];
    for (uint32_t i = 0; i < CELLS; i++)
        expected[i] = (double)DRAWS / CELLS;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const double a = pm_rng_uniform(42, i), b = pm_rng_uniform(i, 42);
        const double next = pm_rng_uniform(42, i + 1), diagonal = pm_rng_uniform(i, i);
        assert_true(a >= 0.0 && a < 1.0 && b >= 0.0 && b < 1.0);
        by_position[(uint32_t)(a * CELLS)]++;
        by_seed[(uint32_t)(b * CELLS)]++;
        pairs[(uint32_t)(a * 8) * 32 + (uint32_t)(next * 8) * 4 + (uint32_t)(diagonal * 4)]++;
    }
    assert_plausible(chi_square(by_position, expected, CELLS), CELLS);
    assert_plausible(chi_square(by_seed, expected, CELLS), CELLS);
    assert_plausible(chi_square(pairs, expected, CELLS), CELLS);
}

static void draws_follow_the_distribution(void **state)
{
    (void)state;
    enum { VOCAB = 24, DRAWS = 200000 };
    float logits[VOCAB];
    rng_state = 5;
    for (uint32_t i = 0; i < VOCAB; i++)
        logits[i] = 4.0f * rng_float() - 2.0f;
    pm_sampler *s = create(VOCAB);
    const pm_sample_params params = {.temperature = 0.7f, .top_k = 20};
    int32_t ids[VOCAB];
    bool close;
    const uint32_t kept = naive_keep(&params, logits, VOCAB, ids, &close);
    assert_int_equal(kept, 20);
    double total = 0.0, expected[VOCAB];
    uint32_t seen[VOCAB] = {0}, cells[VOCAB];
    for (uint32_t i = 0; i < kept; i++)
        total += exp((double)logits[ids[i]] / (double)params.temperature);
    for (uint32_t i = 0; i < kept; i++)
        expected[i] = DRAWS * exp((double)logits[ids[i]] / (double)params.temperature) / total;
    for (uint32_t i = 0; i < DRAWS; i++)
        seen[sample(s, params, logits, i)]++;
    for (uint32_t i = 0; i < kept; i++)
        cells[i] = seen[ids[i]];
    assert_plausible(chi_square(cells, expected, kept), kept);
    pm_sampler_destroy(s);
}

/* A row's token depends on its own arguments, not on what was sampled before. */
static void the_past_of_the_sampler_does_not_matter(void **state)
{
    (void)state;
    enum { VOCAB = 500, ROWS = 200 };
    static float logits[ROWS][VOCAB];
    int32_t forward[ROWS];
    rng_state = 9;
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t i = 0; i < VOCAB; i++)
            logits[r][i] = 8.0f * rng_float();
    pm_sampler *s = create(VOCAB);
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < ROWS; i++) {
            const uint32_t r = pass == 0 ? i : ROWS - 1 - i;
            const int32_t history[] = {(int32_t)r, 3};
            const pm_sample_params params = {.temperature = 0.5f + 0.01f * (float)r, .top_k = r % 5 * 20,
                                             .top_p = r % 3 == 0 ? 0.9f : 0.0f, .min_p = r % 7 == 0 ? 0.1f : 0.0f,
                                             .repeat_penalty = r % 2 == 0 ? 1.3f : 0.0f};
            const int32_t token = pm_sample(s, &params, logits[r], history, 2, 100 + r, 2);
            assert_true(token >= 0 && token < VOCAB);
            if (pass == 0)
                forward[r] = token;
            else
                assert_int_equal(token, forward[r]);
        }
    pm_sampler_destroy(s);
}

/* ------------------------------------------------------------------- limits */

/* ------------------------------------------------- rows, as devices have them */

/* The numbers that both sides draw with: recorded, so that texts do not change between versions. */
static void random_bits_are_those_recorded(void **state)
{
    (void)state;
    static const struct { uint64_t seed, position, bits; } cases[] = {
        {UINT64_C(0x0), UINT64_C(0x0), UINT64_C(0xbe9fb7b5de1e23d7)},
        {UINT64_C(0x0), UINT64_C(0x1), UINT64_C(0x16af17a95136265b)},
        {UINT64_C(0x1), UINT64_C(0x0), UINT64_C(0x844fc0e968cafa48)},
        {UINT64_C(0x2a), UINT64_C(0x7), UINT64_C(0xc704442c6291b2ab)},
        {UINT64_C(0x1352904), UINT64_C(0xfff), UINT64_C(0x02f0ba503ca2433c)},
        {UINT64_C(0xffffffffffffffff), UINT64_C(0xffffffffffffffff), UINT64_C(0xf02ee1421e157c24)},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_true(pm_rng_bits(cases[i].seed, cases[i].position) == cases[i].bits);
}

/* Weights against exp() in double, and their edges. */
static void weights_are_those_of_exp(void **state)
{
    (void)state;
    rng_state = 11;
    double worst = 0.0;
    for (uint32_t i = 0; i < 200000; i++) {
        const float most = 40.0f * (rng_float() - 0.5f), below = 12.0f * rng_float(), scale = pm_sample_scale(0.5f + rng_float());
        const float logit = most - below;
        const double want = exp2((double)(logit - most) * (double)scale) * 0x1p45;
        worst = fmax(worst, (fabs((double)pm_sample_weight(logit, most, scale) - want) - 1.0) / want); /* an integer */
    }
    printf("weights: worst relative error %.2g\n", worst);
    assert_true(worst < 4e-6);
    const float plain = pm_sample_scale(1.0f);
    assert_true(pm_sample_weight(3.0f, 3.0f, plain) == UINT64_C(1) << 45);
    assert_true(pm_sample_weight(3.0f, 3.0f, pm_sample_scale(1e-45f)) == UINT64_C(1) << 45);
    assert_true(pm_sample_weight(2.9f, 3.0f, pm_sample_scale(1e-45f)) == 0);
    assert_true(pm_sample_weight(-3e38f, 3e38f, pm_sample_scale(INFINITY)) == UINT64_C(1) << 45);
    assert_true(pm_sample_weight(-3e38f, 3e38f, plain) == 0);
    assert_true(pm_sample_weight(-31.0f, 0.0f, plain) > 0 && pm_sample_weight(-33.0f, 0.0f, plain) == 0);
    for (uint32_t i = 0; i < 1000; i++) /* never more than the greatest's */
        assert_true(pm_sample_weight(-1e-8f * (float)i, 0.0f, plain) <= UINT64_C(1) << 45);
}

static void edits_change_logits_as_they_say(void **state)
{
    (void)state;
    const pm_sample_row row = {.repeat = 2.0f, .repeat_inverse = 0.5f, .presence = 0.25f, .frequency = 0.125f,
                               .edit_start = 1, .edit_count = 4};
    const pm_sample_edit edits[] = {
        {.token = 0, .bias = 100.0f}, /* another row's */
        {.token = 1, .bias = 1.0f}, {.token = 2, .said = PM_SAMPLE_RECENT | 3}, {.token = 3, .bias = -INFINITY}, {.token = 4, .said = 2}};
    const float before[6] = {8, 8, 8, 8, -8, -8};
    float logits[6];
    memcpy(logits, before, sizeof(logits));
    pm_sample_edit_logits(&row, edits, 2, logits, 6);
    assert_memory_equal(logits, ((float[6]){8, 9, 3.375f, -INFINITY, -8.5f, -8}), sizeof(logits));
    pm_sample_row flying = row; /* the token in flight: one of the edited, and one that is not */
    flying.flags = PM_SAMPLE_IN_FLIGHT;
    memcpy(logits, before, sizeof(logits));
    pm_sample_edit_logits(&flying, edits, 4, logits, 6);
    assert_memory_equal(logits, ((float[6]){8, 9, 3.375f, -INFINITY, -16.625f, -8}), sizeof(logits));
    memcpy(logits, before, sizeof(logits));
    pm_sample_edit_logits(&flying, edits, 5, logits, 6);
    assert_memory_equal(logits, ((float[6]){8, 9, 3.375f, -INFINITY, -8.5f, -16.375f}), sizeof(logits));
    assert_true(isnan(pm_sample_edited(&row, NAN, PM_SAMPLE_RECENT | 1, 1.0f)));
    assert_true(pm_sample_edited(&row, INFINITY, PM_SAMPLE_RECENT | 1, 1.0f) == INFINITY);
    assert_true(pm_sample_edited(&row, NAN, 0, -INFINITY) == -INFINITY);
    assert_true(pm_sample_edited(&row, 1e-40f, 0, 0.0f) == 0.0f);
}

/* Penalties, said once as history and once as edits, are the same; masks and flags. */
static void a_row_is_what_its_parameters_say(void **state)
{
    (void)state;
    enum { VOCAB = 100, HISTORY = 90 };
    pm_sampler *s = create(VOCAB);
    float logits[VOCAB];
    int32_t history[HISTORY];
    rng_state = 21;
    for (uint32_t run = 0; run < 300; run++) {
        for (uint32_t i = 0; i < VOCAB; i++)
            logits[i] = 6.0f * rng_float() - 3.0f;
        for (uint32_t i = 0; i < HISTORY; i++)
            history[i] = (int32_t)rng(VOCAB);
        const pm_sample_params params = {.temperature = 0.7f, .top_k = 30, .top_p = 0.9f, .repeat_penalty = 1.4f};
        pm_sample_row row = pm_sample_row_of(&params, run, HISTORY);
        pm_sample_edit edits[PM_PENALTY_TOKENS];
        uint32_t seen[VOCAB] = {0}, flags;
        for (uint32_t i = HISTORY - PM_PENALTY_TOKENS; i < HISTORY; i++)
            if (seen[history[i]]++ == 0)
                edits[row.edit_count++] = (pm_sample_edit){.token = (uint32_t)history[i], .said = PM_SAMPLE_RECENT};
        const int32_t want = pm_sample(s, &params, logits, history, HISTORY, run, HISTORY);
        assert_int_equal(pm_sampler_pick(s, &row, edits, NULL, 0, logits, &flags), want);
        assert_int_equal(flags, 0);
        uint32_t mask[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
        mask[want / 32] &= ~(1u << want % 32);
        assert_true(pm_sampler_pick(s, &row, edits, mask, 0, logits, &flags) != (uint32_t)want);
        memset(mask, 0, sizeof(mask));
        mask[2] = 1u << 7;
        assert_int_equal(pm_sampler_pick(s, &row, edits, mask, 0, logits, &flags), 71);
        mask[2] = 0;
        logits[3] = NAN;
        assert_int_equal(pm_sampler_pick(s, &row, edits, mask, 0, logits, &flags), PM_SAMPLE_NO_TOKEN);
        assert_int_equal(flags, PM_SAMPLE_NAN | PM_SAMPLE_NONE);
    }
    pm_sampler_destroy(s);
}

/* Two rows' edits by the builder against counting by hand, with a token in flight, which the device
 * counts: the same logits as when the host knew it. */
static void edits_are_what_was_said(void **state)
{
    (void)state;
    enum { VOCAB = 50, TOKENS = 120, POOL = 60 };
    pm_edits e;
    pm_sample_edit pool[POOL];
    int32_t tokens[TOKENS];
    rng_state = 31;
    assert_int_equal(pm_edits_init(&e, VOCAB), PM_OK);
    for (uint32_t run = 0; run < 200; run++) {
        for (uint32_t i = 0; i < TOKENS; i++)
            tokens[i] = rng(20) == 0 ? (int32_t)(VOCAB + rng(5)) - 2 : rng(30) == 0 ? -1 : (int32_t)rng(run % 2 ? 8 : 40);
        const uint32_t count = 2 + rng(TOKENS - 2), prompt = rng(count - 1);
        const int32_t newest = tokens[count - 1];
        float known[VOCAB], flying[VOCAB];
        for (uint32_t i = 0; i < VOCAB; i++)
            known[i] = flying[i] = 8.0f * rng_float() - 4.0f;
        pm_sample_row rows[2];
        pm_edits_start(&e, pool, POOL);
        for (uint32_t r = 0; r < 2; r++) { /* all is known; the newest is in flight */
            rows[r] = pm_sample_row_of(&(pm_sample_params){.repeat_penalty = 1.25f}, 0, 0);
            rows[r].presence = 0.5f;
            rows[r].frequency = 0.25f;
            pm_edits_recent(&e, tokens, count - r, r == 1);
            pm_edits_said(&e, tokens + prompt, count - r - prompt);
            pm_edits_bias(&e, 3, 1.5f);
            pm_edits_bias(&e, VOCAB, 1.5f);
            if (!pm_edits_end(&e, &rows[r])) {
                assert_int_equal(rows[r].edit_count, 0);
                pm_edits_start(&e, pool, POOL); /* where the first row is not needed any more */
                pm_edits_recent(&e, tokens, count - r, r == 1);
                pm_edits_said(&e, tokens + prompt, count - r - prompt);
                pm_edits_bias(&e, 3, 1.5f);
                assert_true(pm_edits_end(&e, &rows[r]));
            }
            rows[r].flags |= r == 1 ? PM_SAMPLE_IN_FLIGHT : 0;
            pm_sample_edit_logits(&rows[r], pool, (uint32_t)newest, r == 0 ? known : flying, VOCAB);
        }
        assert_memory_equal(known, flying, sizeof(known));
    }
    pm_edits_start(&e, pool, 1);
    pm_sample_row row = {0};
    pm_edits_said(&e, (int32_t[]){1, 2}, 2);
    assert_false(pm_edits_end(&e, &row));
    pm_edits_said(&e, (int32_t[]){2, 2}, 2);
    assert_true(pm_edits_end(&e, &row));
    assert_true(row.edit_count == 1 && pool[0].token == 2 && pool[0].said == 2);
    pm_edits_finish(&e);
    for (uint64_t n = 1; n <= 2; n++) {
        pm_alloc_fail_at(pm_alloc_count() + n);
        assert_int_equal(pm_edits_init(&e, VOCAB), PM_ERR_NOMEM);
        pm_alloc_fail_at(0);
        assert_null(e.place);
    }
}

static void logprobs_are_those_of_softmax(void **state)
{
    (void)state;
    const float logits[8] = {1, -INFINITY, 3, 2, 3, NAN, -1, 0};
    const pm_sample_row row = {.top_logprobs = 7};
    static const uint32_t order[] = {2, 4, 3, 0, 7, 6};
    double sum = 0.0;
    for (uint32_t i = 0; i < 6; i++)
        sum += exp((double)logits[order[i]]);
    pm_sample_logprobs got;
    pm_sample_logprobs_of(&row, logits, 8, 3, &got);
    assert_true(fabs((double)got.picked - (2.0 - log(sum))) < 1e-6);
    assert_int_equal(got.count, 6); /* no more are numbers */
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(got.id[i], order[i]);
        assert_true(fabs((double)got.logprob[i] - ((double)logits[order[i]] - log(sum))) < 1e-6);
    }
}

static void create_fails_cleanly(void **state)
{
    (void)state;
    pm_sampler *s = NULL;
    assert_int_equal(pm_sampler_create(0, &s), PM_ERR_ARG);
    assert_int_equal(pm_sampler_create(PM_SAMPLE_VOCAB_MAX + 1, &s), PM_ERR_ARG);
    for (uint64_t n = 1; n <= 4; n++) {
        pm_alloc_fail_at(pm_alloc_count() + n);
        assert_int_equal(pm_sampler_create(100, &s), PM_ERR_NOMEM);
        pm_alloc_fail_at(0);
        assert_null(s);
    }
    pm_sampler_destroy(NULL);
}

static void a_big_vocabulary_is_quick(void **state)
{
    (void)state;
    enum { VOCAB = 151936 };
    float *logits = malloc(VOCAB * sizeof(*logits));
    rng_state = 3;
    for (uint32_t i = 0; i < VOCAB; i++) { /* about normal, deviation 2.4 */
        logits[i] = 0.0f;
        for (uint32_t k = 0; k < 8; k++)
            logits[i] += 3.0f * (rng_float() - 0.5f);
    }
    pm_sampler *s = create(VOCAB);
    const struct { const char *name; pm_sample_params params; } cases[] = {
        {"greedy", {.temperature = 0.0f}},
        {"top_k 40", {.temperature = 0.8f, .top_k = 40}},
        {"top_k 40, top_p 0.95, min_p 0.05", {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f}},
        {"top_p 0.95", {.temperature = 0.8f, .top_p = 0.95f}},
        {"min_p 0.05", {.temperature = 0.8f, .min_p = 0.05f}},
        {"temperature alone", {.temperature = 0.8f}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double best = 1e9;
        for (uint64_t run = 0; run < 5; run++) {
            const uint64_t start = pm_clock_ns();
            assert_true(sample(s, cases[i].params, logits, run) >= 0);
            const double us = (double)(pm_clock_ns() - start) * 1e-3;
            best = us < best ? us : best;
        }
        printf("%-34s %8.0f us\n", cases[i].name, best);
        assert_true(best < 1e6);
    }
    pm_sampler_destroy(s);
    free(logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_of_the_greatest),
        cmocka_unit_test(odd_logits_are_never_drawn),
        cmocka_unit_test(temperature_has_no_bad_values),
        cmocka_unit_test(each_stage_keeps_what_it_should),
        cmocka_unit_test(the_penalty_sees_64_tokens_once_each),
        cmocka_unit_test(agrees_with_sorting_everything),
        cmocka_unit_test(uniform_in_every_direction),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(the_past_of_the_sampler_does_not_matter),
        cmocka_unit_test(random_bits_are_those_recorded),
        cmocka_unit_test(weights_are_those_of_exp),
        cmocka_unit_test(edits_change_logits_as_they_say),
        cmocka_unit_test(a_row_is_what_its_parameters_say),
        cmocka_unit_test(edits_are_what_was_said),
        cmocka_unit_test(logprobs_are_those_of_softmax),
        cmocka_unit_test(create_fails_cleanly),
        cmocka_unit_test(a_big_vocabulary_is_quick),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
