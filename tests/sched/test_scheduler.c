/* test_scheduler.c - one property of the scheduler at a time. */
#include "sched/sim.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE 8

static const pm_sched_params ROOMY = {.max_seqs = 8, .max_batch_tokens = 64, .max_outs = 8, .page_count = 256,
                                      .page_tokens = PAGE};

/* A prompt that is the same for the same number. */
static void init(sim *s, sim_request *r, uint32_t prompt_tokens, uint32_t max_tokens, uint64_t number)
{
    int32_t *prompt = calloc(prompt_tokens, sizeof(*prompt));
    assert_non_null(prompt);
    for (uint32_t p = 0; p < prompt_tokens; p++)
        prompt[p] = (int32_t)(pm_mix64(number << 32 | p) % SIM_VOCAB);
    sim_request_init(s, r, prompt, prompt_tokens, max_tokens, 0, number);
    free(prompt);
}

static void add(sim *s, sim_request *r, uint32_t prompt_tokens, uint32_t max_tokens, uint64_t number)
{
    init(s, r, prompt_tokens, max_tokens, number);
    pm_sched_add(s->sched, &r->sequence);
}

static void step(sim *s)
{
    if (sim_pick(s) > 0)
        sim_commit(s);
    sim_check(s);
}

static pm_sched_stats stats_of(const sim *s)
{
    pm_sched_stats stats;
    pm_sched_get_stats(s->sched, &stats);
    return stats;
}

static void finish(sim *s, sim_request *requests, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(requests[i].ends, 1);
        sim_check_output(&requests[i]);
    }
    sim_finish(s);
    for (uint32_t i = 0; i < count; i++)
        sim_request_finish(&requests[i]);
}

/* ------------------------------------------------------------------ create */

static void refuses_what_cannot_work(void **state)
{
    (void)state;
    pm_sched *sched = NULL;
    pm_sched_params p = ROOMY;
    p.max_seqs = 0;
    assert_int_equal(pm_sched_create(&p, &sched), PM_ERR_ARG);
    p = ROOMY;
    p.max_batch_tokens = p.max_seqs - 1;
    assert_int_equal(pm_sched_create(&p, &sched), PM_ERR_ARG);
    p = ROOMY;
    p.max_outs = p.max_seqs - 1;
    assert_int_equal(pm_sched_create(&p, &sched), PM_ERR_ARG);
    p = ROOMY;
    p.page_tokens = 12;
    assert_int_equal(pm_sched_create(&p, &sched), PM_ERR_ARG);
    p = ROOMY;
    p.aging_ns = UINT64_MAX;
    assert_int_equal(pm_sched_create(&p, &sched), PM_ERR_ARG);
    assert_null(sched);
    assert_int_equal(pm_sched_create(&ROOMY, &sched), PM_OK);
    assert_true(pm_sched_can_hold(sched, 256 * PAGE));
    assert_false(pm_sched_can_hold(sched, 256 * PAGE + 1));
    assert_false(pm_sched_can_hold(sched, UINT32_MAX));
    pm_sched_destroy(sched);
    pm_sched_destroy(NULL);
}

static void no_memory_is_an_error_not_a_crash(void **state)
{
    (void)state;
    uint32_t failures = 0;
    for (uint64_t n = 1;; n++, failures++) {
        pm_sched *sched = NULL;
        pm_sequence sequence;
        pm_alloc_fail_at(pm_alloc_count() + n);
        pm_result result = pm_sched_create(&ROOMY, &sched);
        if (result == PM_OK && (result = pm_sequence_init(&sequence, 100, PAGE)) == PM_OK)
            pm_sequence_finish(&sequence);
        pm_alloc_fail_at(0);
        pm_sched_destroy(sched);
        if (result == PM_OK)
            break;
        assert_int_equal(result, PM_ERR_NOMEM);
    }
    assert_true(failures >= 40);
}

/* -------------------------------------------------------------- preemption */

/* Two sequences that together outgrow the pool: the younger gives way. */
static void preempt(uint32_t swap_slots, bool no_cache)
{
    const pm_sched_params params = {.max_seqs = 2, .max_batch_tokens = 64, .max_outs = 2, .page_count = 4,
                                    .page_tokens = PAGE, .swap_slots = swap_slots, .no_cache = no_cache};
    sim_request r[2] = {0};
    sim s;
    sim_init(&s, &params, r, 2);
    add(&s, &r[0], 8, 24, 1);
    add(&s, &r[1], 8, 24, 2);
    while (r[0].ends == 0 || r[1].ends == 0) {
        step(&s);
        assert_true(r[0].ends > 0 || r[1].ends == 0); /* the older one ends first */
    }
    const pm_sched_stats stats = stats_of(&s);
    assert_true(stats.preemptions > 0);
    const uint64_t needed = 2 * (8 + 24 - 1); /* the last token has no row */
    if (swap_slots > 0) {
        assert_int_equal(stats.rows, needed);
        assert_true(stats.swapped_out > 0 && stats.swapped_out == stats.swapped_in);
        assert_int_equal(stats.recomputed_tokens, 0);
    } else {
        assert_int_equal(stats.rows, needed + stats.recomputed_tokens - stats.cached_tokens);
        assert_true(no_cache ? stats.cached_tokens == 0 && stats.rows > needed : stats.recomputed_tokens > 0);
    }
    finish(&s, r, 2);
}

static void youngest_gives_way_and_says_the_same(void **state)
{
    (void)state;
    preempt(0, true);
    preempt(0, false);
}

static void swapped_pages_are_not_computed_again(void **state)
{
    (void)state;
    preempt(8, true);
}

/* What a sequence had computed itself is not told as found in the cache, when it gave way in its prompt and came back
 * by swap or by name. */
static void what_came_back_was_not_cached(void **state)
{
    (void)state;
    pm_sched_params params = {.max_seqs = 2, .max_batch_tokens = 16, .max_outs = 2, .page_count = 10,
                              .page_tokens = PAGE};
    for (; params.swap_slots <= 10; params.swap_slots += 10) {
        sim_request r[2] = {0};
        sim s;
        sim_init(&s, &params, r, 2);
        add(&s, &r[0], 8 * PAGE, 4, 1);
        step(&s);
        step(&s);
        assert_int_equal(r[0].sequence.computed, 32);
        init(&s, &r[1], 8 * PAGE, 2, 2);
        r[1].sequence.priority = 5;
        pm_sched_add(s.sched, &r[1].sequence); /* takes its place */
        sim_drain(&s, false);
        assert_int_equal(r[0].sequence.preemptions, 1);
        assert_true((stats_of(&s).swapped_in > 0) == (params.swap_slots > 0));
        assert_int_equal(r[0].sequence.cached_tokens, 0);
        finish(&s, r, 2);
    }
}

static void one_that_outgrows_the_pool_ends_alone(void **state)
{
    (void)state;
    const pm_sched_params params = {.max_seqs = 2, .max_batch_tokens = 64, .max_outs = 2, .page_count = 4,
                                    .page_tokens = PAGE};
    for (int ahead = 0; ahead < 2; ahead++) {
        sim_request r[2] = {0};
        sim s;
        sim_init(&s, &params, r, 2);
        add(&s, &r[0], 8, 40, 1);
        add(&s, &r[1], 8, 10, 2);
        sim_drain(&s, ahead);
        assert_int_equal(r[0].end, SIM_FULL);
        assert_int_equal(r[0].sequence.token_count, 4 * PAGE + 1); /* the last has no KV */
        assert_int_equal(r[1].end, SIM_FINISHED);
        finish(&s, r, 2);
    }
}

/* ------------------------------------------------------------------ prefix */

static void a_known_prefix_is_not_computed_again(void **state)
{
    (void)state;
    enum { N = 32, SHARED = 1024, OWN = 20, SAID = 4 };
    const pm_sched_params params = {.max_seqs = N, .max_batch_tokens = 256, .max_outs = N, .page_count = 1024,
                                    .page_tokens = 16};
    sim_request r[N] = {0};
    sim s;
    sim_init(&s, &params, r, N);
    int32_t prompt[SHARED + OWN];
    for (uint32_t p = 0; p < SHARED; p++)
        prompt[p] = (int32_t)(pm_mix64(p) % SIM_VOCAB);
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t p = SHARED; p < SHARED + OWN; p++)
            prompt[p] = (int32_t)(pm_mix64(p + 10000 * i) % SIM_VOCAB);
        sim_request_init(&s, &r[i], prompt, SHARED + OWN, SAID, 0, i);
        pm_sched_add(s.sched, &r[i].sequence);
        if (i == 0)
            sim_drain(&s, false); /* the first alone, the others all at once */
    }
    const uint64_t first_rows = s.rows;
    sim_drain(&s, true);
    assert_int_equal(first_rows, SHARED + OWN + SAID - 1);
    assert_int_equal(s.rows - first_rows, (N - 1) * (OWN + SAID - 1));
    for (uint32_t i = 1; i < N; i++)
        assert_int_equal(r[i].sequence.cached_tokens, SHARED);
    assert_int_equal(stats_of(&s).cached_tokens, (N - 1) * SHARED);
    assert_true(pm_kv_pages_used_max(pm_sched_pages(s.sched)) <= SHARED / 16 + N * 2);
    finish(&s, r, N);
}

/* The last token is computed though its page is known; then the page gets its name back. */
static void the_same_prompt_again_costs_one_row(void **state)
{
    (void)state;
    sim_request r[3] = {0};
    sim s;
    sim_init(&s, &ROOMY, r, 3);
    for (uint32_t i = 0; i < 3; i++) {
        add(&s, &r[i], 4 * PAGE, 1, 7);
        const uint64_t before = s.rows;
        sim_drain(&s, false);
        assert_int_equal(s.rows - before, i == 0 ? 4 * PAGE : 1);
    }
    assert_int_equal(stats_of(&s).copies, 0); /* nobody else held it */
    finish(&s, r, 3);
}

/* Two at once: the second takes what the first has computed meanwhile. */
static void a_prefix_that_is_being_computed_is_shared_late(void **state)
{
    (void)state;
    sim_request r[2] = {0};
    sim s;
    sim_init(&s, &ROOMY, r, 2);
    add(&s, &r[0], 40 * PAGE, 4, 7);
    add(&s, &r[1], 40 * PAGE, 4, 7);
    sim_drain(&s, false);
    assert_true(s.rows < 40 * PAGE * 3 / 2);
    assert_true(r[1].sequence.cached_tokens > 20 * PAGE);
    finish(&s, r, 2);
}

static void adapters_and_salts_share_nothing(void **state)
{
    (void)state;
    enum { N = 6 };
    sim_request r[2 * N] = {0};
    sim s;
    sim_init(&s, &ROOMY, r, 2 * N);
    int32_t prompt[64];
    for (uint32_t p = 0; p < 64; p++)
        prompt[p] = (int32_t)p;
    for (uint32_t i = 0; i < 2 * N; i++) {
        sim_request_init(&s, &r[i], prompt, 64, 3, i % N, 5);
        pm_sched_add(s.sched, &r[i].sequence);
        sim_drain(&s, false);
        assert_int_equal(r[i].sequence.cached_tokens, i < N ? 0 : 63); /* its own kind's only */
    }
    finish(&s, r, 2 * N);
}

static void the_least_recently_freed_goes_first(void **state)
{
    (void)state;
    const pm_sched_params params = {.max_seqs = 1, .max_batch_tokens = 64, .max_outs = 1, .page_count = 8,
                                    .page_tokens = PAGE};
    sim_request r[5] = {0};
    sim s;
    sim_init(&s, &params, r, 5);
    const uint64_t numbers[] = {1, 2, 3, 2, 1}; /* 3 pages each: the third takes those of the first */
    const uint32_t cached[] = {0, 0, 0, 2 * PAGE, 0};
    for (uint32_t i = 0; i < 5; i++) {
        add(&s, &r[i], 2 * PAGE + 4, 1, numbers[i]);
        if (i == 2) { /* needs five */
            sim_cancel(&s, &r[i]);
            sim_request_finish(&r[i]);
            add(&s, &r[i], 4 * PAGE + 4, 1, 3);
        }
        sim_drain(&s, false);
        if (i != 4)
            assert_int_equal(r[i].sequence.cached_tokens, cached[i]);
        else
            assert_true(r[i].sequence.cached_tokens < 2 * PAGE);
    }
    r[2].ends = 1;
    finish(&s, r, 5);
}

/* ------------------------------------------------------------------- forks */

static void samples_of_a_prompt_share_its_pages(void **state)
{
    (void)state;
    enum { N = 8, PROMPT = 10 * PAGE + 3, SAID = 4 };
    for (int no_cache = 0; no_cache < 2; no_cache++) {
        pm_sched_params params = ROOMY;
        params.no_cache = no_cache;
        sim_request r[N] = {0};
        sim s;
        sim_init(&s, &params, r, N);
        add(&s, &r[0], PROMPT, SAID, 1);
        for (uint32_t i = 1; i < N; i++) {
            sim_request_init(&s, &r[i], r[0].sequence.tokens, PROMPT, SAID, 0, 100 + i);
            pm_sched_fork(s.sched, &r[0].sequence, &r[i].sequence);
            assert_int_equal(r[i].sequence.state, PM_SEQ_FORKING);
        }
        sim_drain(&s, no_cache);
        assert_int_equal(s.rows, PROMPT + (N - 1) + N * (SAID - 1)); /* the last row of the prompt for each */
        assert_true(stats_of(&s).copies >= N - 1 && stats_of(&s).copies <= N);
        assert_true(pm_kv_pages_used_max(pm_sched_pages(s.sched)) <= 11 + N);
        for (uint32_t i = 2; i < N; i++)
            assert_memory_not_equal(r[i].sequence.tokens + PROMPT, r[1].sequence.tokens + PROMPT, SAID * 4);
        finish(&s, r, N);
    }
}

static void a_fork_survives_its_parent(void **state)
{
    (void)state;
    for (uint32_t steps = 0; steps < 6; steps++) { /* cancelled while queued, in its prompt, decoding */
        sim_request r[3] = {0};
        sim s;
        sim_init(&s, &ROOMY, r, 3);
        add(&s, &r[0], 150, 20, 1);
        for (uint32_t i = 1; i < 3; i++) {
            sim_request_init(&s, &r[i], r[0].sequence.tokens, 150, 5, 0, i);
            pm_sched_fork(s.sched, &r[0].sequence, &r[i].sequence);
        }
        for (uint32_t k = 0; k < steps; k++)
            step(&s);
        sim_cancel(&s, &r[0]);
        sim_check(&s);
        sim_drain(&s, false);
        assert_int_equal(r[1].end, SIM_FINISHED);
        assert_int_equal(r[2].end, SIM_FINISHED);
        finish(&s, r, 3);
    }
}

/* ------------------------------------------------------------------- ahead */

static void a_batch_picked_ahead_has_every_decoding_row(void **state)
{
    (void)state;
    enum { N = 4, SAID = 30 };
    sim_request r[N] = {0};
    sim s;
    sim_init(&s, &ROOMY, r, N);
    for (uint32_t i = 0; i < N; i++)
        add(&s, &r[i], 8, SAID, i);
    sim_drain(&s, true);
    assert_int_equal(s.steps, SAID);                     /* none was lost to waiting */
    assert_int_equal(s.rows, N * (8 + SAID - 1));        /* none was computed for a request at its limit */
    assert_int_equal(stats_of(&s).dropped_rows, 0);
    finish(&s, r, N);
}

static void a_stop_drops_the_row_computed_ahead(void **state)
{
    (void)state;
    sim_request r[1] = {0};
    sim s;
    sim_init(&s, &ROOMY, r, 1);
    init(&s, &r[0], 8, 200, 1);
    r[0].stop = 10;
    pm_sched_add(s.sched, &r[0].sequence);
    sim_drain(&s, true);
    const uint32_t said = r[0].sequence.token_count - 8;
    assert_true(said < 200);
    assert_int_equal(s.rows, 8 + said);
    assert_int_equal(stats_of(&s).dropped_rows, 1);
    finish(&s, r, 1);
}

static void one_that_needs_the_host_is_not_picked_ahead(void **state)
{
    (void)state;
    sim_request r[2] = {0};
    sim s;
    sim_init(&s, &ROOMY, r, 2);
    init(&s, &r[0], 8, 10, 1);
    r[0].sequence.no_ahead = true;
    pm_sched_add(s.sched, &r[0].sequence);
    add(&s, &r[1], 8, 20, 2);
    sim_drain(&s, true);
    assert_int_equal(s.steps, 20); /* every other step has a row of it */
    finish(&s, r, 2);
}

static void cancelled_in_every_state(void **state)
{
    (void)state;
    for (uint32_t steps = 0; steps < 40; steps++)
        for (uint32_t who = 0; who < 4; who++) {
            const pm_sched_params params = {.max_seqs = 2, .max_batch_tokens = 16, .max_outs = 2, .page_count = 5,
                                            .page_tokens = PAGE, .swap_slots = who % 2 ? 6 : 0};
            sim_request r[4] = {0};
            sim s;
            sim_init(&s, &params, r, 4);
            for (uint32_t i = 0; i < 3; i++)
                add(&s, &r[i], 12, 20, i);
            sim_request_init(&s, &r[3], r[1].sequence.tokens, 12, 9, 0, 3);
            pm_sched_fork(s.sched, &r[1].sequence, &r[3].sequence);
            for (uint32_t k = 0; k < steps; k++) {
                const uint32_t rows = sim_pick(&s);
                if (s.flights == 2 || (s.flights == 1 && (rows == 0 || k % 5 == 0)))
                    sim_commit(&s);
            }
            sim_cancel(&s, &r[who]);
            sim_check(&s);
            sim_drain(&s, true);
            finish(&s, r, 4);
        }
}

static void a_lost_device_repeats_nothing(void **state)
{
    (void)state;
    for (uint32_t steps = 0; steps < 30; steps++) {
        pm_sched_params params = ROOMY;
        params.page_count = 9;
        params.swap_slots = 6;
        sim_request r[4] = {0};
        sim s;
        sim_init(&s, &params, r, 4);
        for (uint32_t i = 0; i < 4; i++)
            add(&s, &r[i], 12, 14, i);
        for (uint32_t k = 0; k < steps; k++) {
            const uint32_t rows = sim_pick(&s);
            if (s.flights == 2 || (s.flights == 1 && rows == 0))
                sim_commit(&s);
        }
        sim_lose(&s);
        sim_check(&s);
        assert_int_equal(pm_kv_pages_used(pm_sched_pages(s.sched)), 0);
        assert_int_equal(pm_kv_pages_named_count(pm_sched_pages(s.sched)), 0);
        sim_drain(&s, true);
        finish(&s, r, 4);
    }
}

/* ------------------------------------------------------------------ drafts */

static void right_guesses_save_steps_and_wrong_ones_change_nothing(void **state)
{
    (void)state;
    enum { SAID = 41 };
    for (uint32_t right = 0; right <= 4; right++) {
        sim_request r[1] = {0};
        sim s;
        sim_init(&s, &(pm_sched_params){.max_seqs = 8, .max_batch_tokens = 64, .max_outs = 16, .page_count = 64,
                                        .page_tokens = PAGE}, r, 1);
        add(&s, &r[0], 8, SAID, 1);
        step(&s); /* the prompt */
        while (r[0].end == SIM_OPEN) {
            sim_draft(&r[0], 4, right);
            step(&s);
        }
        assert_int_equal(s.steps, 1 + (SAID - 1 + right) / (right + 1));
        finish(&s, r, 1);
    }
}

static void guesses_take_nothing_from_others(void **state)
{
    (void)state;
    enum { N = 4 };
    const pm_sched_params params = {.max_seqs = N, .max_batch_tokens = N + 2, .max_outs = N, .page_count = 8,
                                    .page_tokens = PAGE};
    sim_request r[N] = {0};
    sim s;
    sim_init(&s, &params, r, N);
    for (uint32_t i = 0; i < N; i++)
        add(&s, &r[i], 3, 12, i);
    while (pm_sched_busy(s.sched)) {
        for (uint32_t i = 0; i < N; i++)
            if (r[i].end == SIM_OPEN)
                sim_draft(&r[i], 8, 0);
        step(&s);
    }
    assert_int_equal(stats_of(&s).preemptions, 0); /* all of it fits exactly, without the guesses */
    assert_true(s.steps <= 12 + 3);
    finish(&s, r, N);
}

/* ----------------------------------------------------------------- latency */

/* A prompt of 4,096 tokens: who decodes has a token in every step, and steps stay short. */
static void a_long_prompt_stalls_nobody(void **state)
{
    (void)state;
    enum { N = 6 };
    const pm_sched_params params = {.max_seqs = 8, .max_batch_tokens = 512, .max_outs = 8, .page_count = 700,
                                    .page_tokens = PAGE};
    for (int ahead = 0; ahead < 2; ahead++) {
        sim_request r[N + 2] = {0};
        sim s;
        sim_init(&s, &params, r, N + 2);
        pm_sched_set_budget(s.sched, 512, 32, UINT32_MAX);
        for (uint32_t i = 0; i < N; i++)
            add(&s, &r[i], 16, 100, i);
        for (uint32_t k = 0; k < 5; k++)
            step(&s);
        add(&s, &r[N], 4096, 4, 100);
        const uint64_t start = s.steps;
        while (r[0].end == SIM_OPEN) {
            const uint32_t rows = sim_pick(&s);
            const bool decodes = r[0].sequence.token_count + 2 < r[0].sequence.token_capacity;
            assert_true(rows > 0 && (rows <= N + 32 + 1 || !decodes));
            if (s.flights == 2 || !ahead)
                sim_commit(&s);
            if (s.steps == start + 20) /* a short one need not wait for the long one */
                add(&s, &r[N + 1], 16, 4, 101);
        }
        sim_drain(&s, ahead);
        for (uint32_t i = 0; i < N; i++)
            assert_int_equal(r[i].gap_max, 1);
        assert_true(r[N + 1].first_step <= start + 20 + 4);
        assert_true(r[N].first_step > r[N + 1].ended_step);
        finish(&s, r, N + 2);
    }
}

/* One that decodes and needs the host is never made to wait for a batch that has prompts alone: each batch has its
 * row, and of the prompt no more rows than are good beside it. Alone the prompt has the whole budget. */
static void prompts_leave_the_host_its_turn(void **state)
{
    (void)state;
    const pm_sched_params params = {.max_seqs = 4, .max_batch_tokens = 64, .max_outs = 4, .page_count = 100,
                                    .page_tokens = PAGE, .swap_slots = 8};
    for (uint32_t others = 0; others < 2; others++) { /* with one that is picked ahead, and without */
        sim_request r[3] = {0};
        sim s;
        sim_init(&s, &params, r, 2 + others);
        pm_sched_set_budget(s.sched, 64, 4, UINT32_MAX);
        init(&s, &r[0], 8, 30, 1);
        r[0].sequence.no_ahead = true;
        pm_sched_add(s.sched, &r[0].sequence);
        if (others)
            add(&s, &r[2], 8, 30, 2);
        step(&s);
        add(&s, &r[1], 300, 4, 3);
        while (r[0].end == SIM_OPEN) {
            const bool last = r[0].sequence.token_count + 2 >= r[0].sequence.token_capacity;
            const uint32_t rows = sim_pick(&s);
            assert_true(rows <= 1 + others + 4 || last);
            if (s.flights == 2 || rows == 0)
                sim_commit(&s);
        }
        assert_int_equal(r[0].gap_max, others ? 2 : 1);
        assert_true(r[1].sequence.computed > 4 * 25);
        sim_drain(&s, true);
        finish(&s, r, 2 + others);
    }
}

/* Nothing of prompts where that is asked for, for as long as others decode. */
static void prompts_can_be_left_out(void **state)
{
    (void)state;
    sim_request r[3] = {0};
    sim s;
    sim_init(&s, &ROOMY, r, 3);
    add(&s, &r[0], 8, 20, 1);
    add(&s, &r[1], 8, 10, 2);
    step(&s);
    assert_int_equal(pm_sched_decoding(s.sched), 2);
    add(&s, &r[2], 40, 2, 3);
    pm_sched_set_budget(s.sched, 64, 0, UINT32_MAX);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(sim_pick(&s), 2);
        sim_commit(&s);
    }
    sim_drain(&s, false);
    assert_true(r[2].first_step > r[0].ended_step);
    finish(&s, r, 3);
}

/* Rows behind pages that were found in the cache count for more beside one that decodes: so many as the whole budget,
 * or one; with a short prompt, whose rows count for one, each has its part. Alone the depth counts for nothing. */
static void rows_of_a_deep_prompt_count_for_more(void **state)
{
    (void)state;
    enum { DEEP = 32 * PAGE, KNOWN = 4 * PAGE };
    const pm_sched_params params = {.max_seqs = 4, .max_batch_tokens = 64, .max_outs = 4, .page_count = 200,
                                    .page_tokens = PAGE};
    static const struct { uint32_t budget, rows; } cases[] = {{32, 4}, {16, 2}, {7, 1}, {1, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sim_request r[4] = {0};
        sim s;
        sim_init(&s, &params, r, 4);
        add(&s, &r[0], DEEP + 4, 1, 5);    /* leaves its pages */
        sim_drain(&s, false);
        add(&s, &r[1], 8, 60, 1);
        step(&s);
        pm_sched_set_budget(s.sched, 64, cases[i].budget, KNOWN);
        add(&s, &r[2], DEEP + 40, 1, 5);   /* begins like the first */
        assert_int_equal(sim_pick(&s), 1 + cases[i].rows);
        sim_commit(&s);
        assert_int_equal(r[2].sequence.cached_tokens, DEEP);
        add(&s, &r[3], 64, 1, 6);
        const uint32_t both = sim_pick(&s) - 1, shallow = r[3].sequence.scheduled;
        sim_commit(&s);
        assert_true(both > shallow && (both - shallow - 1) * 8 + shallow <= cases[i].budget);
        assert_true(shallow > 0 || cases[i].budget <= 8);
        sim_cancel(&s, &r[1]);             /* nobody decodes any more */
        pm_sched_set_budget(s.sched, 64, 1, 1);
        assert_int_equal(sim_pick(&s), pm_sched_decoding(s.sched) + 64);
        sim_commit(&s);
        sim_drain(&s, false);
        finish(&s, r, 4);
    }
}

/* ---------------------------------------------------------------- fairness */

static void a_higher_priority_goes_first(void **state)
{
    (void)state;
    const pm_sched_params params = {.max_seqs = 2, .max_batch_tokens = 64, .max_outs = 2, .page_count = 8,
                                    .page_tokens = PAGE, .aging_ns = 1000};
    sim_request r[5] = {0};
    sim s;
    sim_init(&s, &params, r, 5);
    for (uint32_t i = 0; i < 5; i++) {
        init(&s, &r[i], 16, 16, i);
        r[i].sequence.priority = i == 4 ? 5 : 0;
        if (i == 4)
            for (uint32_t k = 0; k < 4; k++)
                step(&s);
        pm_sched_set_now(s.sched, 100 * (i + 1));
        pm_sched_add(s.sched, &r[i].sequence);
    }
    step(&s); /* at once, in the place of the second */
    assert_int_equal(r[4].sequence.state, PM_SEQ_RUNNING);
    assert_int_equal(r[0].sequence.state, PM_SEQ_RUNNING);
    assert_int_equal(r[1].sequence.state, PM_SEQ_WAITING);
    assert_int_equal(r[1].sequence.preemptions, 1);
    sim_drain(&s, false);
    assert_true(r[4].ended_step < r[1].ended_step && r[1].ended_step < r[3].ended_step);
    finish(&s, r, 5);
}

/* An endless stream of urgent requests, more than can be served: one of low priority waits
 * for those that arrived before its age outweighed their priority, and no longer. */
static void age_outweighs_priority(void **state)
{
    (void)state;
    enum { N = 400, LEVELS = 8, AGING = 1000, EVERY = 400, SERVICE = 8 };
    const pm_sched_params params = {.max_seqs = 2, .max_batch_tokens = 64, .max_outs = 2, .page_count = 8,
                                    .page_tokens = PAGE, .aging_ns = AGING};
    static sim_request r[N];
    memset(r, 0, sizeof(r));
    sim s;
    sim_init(&s, &params, r, N);
    uint64_t now = 0;
    uint32_t ended_before = 0;
    for (uint32_t i = 0; i < N; i++) {
        init(&s, &r[i], 8, SERVICE, i);
        r[i].sequence.priority = i == 20 ? -LEVELS / 2 : LEVELS / 2;
        pm_sched_set_now(s.sched, now += EVERY);
        pm_sched_add(s.sched, &r[i].sequence);
        for (uint32_t k = 0; k < 2; k++) /* four are served in the time in which eight come */
            step(&s);
    }
    sim_drain(&s, false);
    for (uint32_t i = 0; i < N; i++)
        ended_before += r[i].ended_step < r[20].ended_step;
    const uint32_t earlier = 20 + LEVELS * AGING / EVERY; /* those of lower rank */
    assert_true(ended_before >= earlier / 2 && ended_before <= earlier + params.max_seqs);
    finish(&s, r, N);
}

/* One that wants the whole pool among many that want a page: they pass it, pass_max times. */
static void light_ones_pass_a_heavy_one_but_not_for_ever(void **state)
{
    (void)state;
    enum { N = 200, PASS = 10 };
    const pm_sched_params params = {.max_seqs = 8, .max_batch_tokens = 64, .max_outs = 8, .page_count = 16,
                                    .page_tokens = PAGE, .pass_max = PASS};
    static sim_request r[N];
    memset(r, 0, sizeof(r));
    sim s;
    sim_init(&s, &params, r, N);
    uint32_t passed = 0;
    for (uint32_t i = 0; i < N; i++) {
        const bool heavy = i == 10;
        add(&s, &r[i], heavy ? 15 * PAGE : 4, heavy ? 4 : 12, i);
        step(&s);
        step(&s);
    }
    sim_drain(&s, false);
    for (uint32_t i = 11; i < N; i++)
        passed += r[i].first_step < r[10].first_step;
    assert_int_equal(passed, PASS);
    assert_int_equal(r[10].sequence.passed, PASS);
    finish(&s, r, N);
}

static void a_deadline_ends_a_request_wherever_it_is(void **state)
{
    (void)state;
    for (uint64_t when = 0; when < 60; when += 3) {
        const pm_sched_params params = {.max_seqs = 2, .max_batch_tokens = 16, .max_outs = 2, .page_count = 8,
                                        .page_tokens = PAGE, .swap_slots = 4};
        sim_request r[4] = {0};
        sim s;
        sim_init(&s, &params, r, 4);
        for (uint32_t i = 0; i < 4; i++) {
            init(&s, &r[i], 20, 20, i);
            r[i].sequence.deadline_ns = i % 2 ? 1 + when : 0;
            pm_sched_add(s.sched, &r[i].sequence);
        }
        for (uint64_t now = 0; pm_sched_busy(s.sched) || s.flights > 0; now++) {
            pm_sched_set_now(s.sched, now);
            const uint32_t rows = sim_pick(&s);
            if (s.flights == 2 || (s.flights == 1 && rows == 0))
                sim_commit(&s);
            sim_check(&s);
            for (uint32_t i = 0; i < 4; i++)
                assert_true(r[i].end != SIM_OPEN || r[i].sequence.deadline_ns == 0 ||
                            now < r[i].sequence.deadline_ns);
        }
        assert_true(r[0].end == SIM_FINISHED && r[2].end == SIM_FINISHED);
        assert_true(r[1].end == SIM_EXPIRED || when > 20);
        finish(&s, r, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_cannot_work),
        cmocka_unit_test(no_memory_is_an_error_not_a_crash),
        cmocka_unit_test(youngest_gives_way_and_says_the_same),
        cmocka_unit_test(swapped_pages_are_not_computed_again),
        cmocka_unit_test(what_came_back_was_not_cached),
        cmocka_unit_test(one_that_outgrows_the_pool_ends_alone),
        cmocka_unit_test(a_known_prefix_is_not_computed_again),
        cmocka_unit_test(the_same_prompt_again_costs_one_row),
        cmocka_unit_test(a_prefix_that_is_being_computed_is_shared_late),
        cmocka_unit_test(adapters_and_salts_share_nothing),
        cmocka_unit_test(the_least_recently_freed_goes_first),
        cmocka_unit_test(samples_of_a_prompt_share_its_pages),
        cmocka_unit_test(a_fork_survives_its_parent),
        cmocka_unit_test(a_batch_picked_ahead_has_every_decoding_row),
        cmocka_unit_test(a_stop_drops_the_row_computed_ahead),
        cmocka_unit_test(one_that_needs_the_host_is_not_picked_ahead),
        cmocka_unit_test(cancelled_in_every_state),
        cmocka_unit_test(a_lost_device_repeats_nothing),
        cmocka_unit_test(right_guesses_save_steps_and_wrong_ones_change_nothing),
        cmocka_unit_test(guesses_take_nothing_from_others),
        cmocka_unit_test(a_long_prompt_stalls_nobody),
        cmocka_unit_test(prompts_leave_the_host_its_turn),
        cmocka_unit_test(prompts_can_be_left_out),
        cmocka_unit_test(rows_of_a_deep_prompt_count_for_more),
        cmocka_unit_test(a_higher_priority_goes_first),
        cmocka_unit_test(age_outweighs_priority),
        cmocka_unit_test(light_ones_pass_a_heavy_one_but_not_for_ever),
        cmocka_unit_test(a_deadline_ends_a_request_wherever_it_is),
    };
    return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
