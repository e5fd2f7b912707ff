/* test_simulation.c - seeded simulation of all that can happen to a scheduler: arrivals,
 * lengths, cancels, forks, priorities, deadlines, adapters and salts, echoes, drafts, tiny
 * pools, swaps, batches picked ahead, lost devices. Every request ends exactly once and says
 * what it says alone; all invariants hold after each step; no page is left. */
#include "sched/sim.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { REQUESTS = 40, PREFIX = 400 };

static uint64_t rng_state;

static uint32_t rng(uint32_t limit)
{
    rng_state = pm_mix64(rng_state);
    return (uint32_t)(rng_state >> 33) % limit;
}

static bool chance(uint32_t in)
{
    return rng(in) == 0;
}

/* What a run is like. */
typedef struct scene {
    bool ahead, forks, cancels, drafts, budgets, losses, deadlines, contents, priorities;
    int32_t prefix[2][PREFIX];     /* prompts begin with a part of either */
} scene;

typedef struct totals {
    uint64_t runs, steps, rows, ends[5], requests;
    pm_sched_stats stats;
    uint64_t evictions;
} totals;

static pm_sched_params draw_params(void)
{
    const uint32_t max_seqs = 1 + rng(8), pages = 4 + rng(28);
    return (pm_sched_params){
        .max_seqs = max_seqs,
        .max_batch_tokens = max_seqs + rng(32),
        .max_outs = max_seqs + rng(8),
        .page_count = pages,
        .page_tokens = 8,
        .reserve_pages = chance(2) ? rng(4) : 0,
        .swap_slots = chance(2) ? rng(2 * pages) : 0,
        .pass_max = 1 + rng(40),
        .aging_ns = 1 + rng(100),
        .no_cache = chance(6),
    };
}

static void draw_scene(scene *c)
{
    *c = (scene){.ahead = !chance(3), .forks = chance(2), .cancels = chance(2), .drafts = chance(2),
                 .budgets = chance(2), .losses = chance(8), .deadlines = chance(4), .contents = chance(2),
                 .priorities = chance(2)};
    for (int i = 0; i < 2; i++)
        for (uint32_t p = 0; p < PREFIX; p++)
            c->prefix[i][p] = (int32_t)rng(SIM_VOCAB);
}

static void draw_request(sim *s, const scene *c, sim_request *r)
{
    const uint32_t pool = s->params.page_count * s->params.page_tokens;
    const uint32_t prompt_tokens = 1 + rng(chance(3) ? pool : pool / 3);
    const uint32_t room = chance(8) ? pool : pool - prompt_tokens + 1; /* some outgrow the pool */
    int32_t prompt[PREFIX];
    const uint32_t shared = chance(3) ? 0 : rng(prompt_tokens + 1);
    memcpy(prompt, c->prefix[rng(2)], shared * sizeof(*prompt));
    for (uint32_t p = shared; p < prompt_tokens; p++)
        prompt[p] = (int32_t)rng(SIM_VOCAB);
    sim_request_init(s, r, prompt, prompt_tokens, 1 + rng(chance(3) ? room : 8 + room / 8),
                     c->contents ? rng(6) : 0, rng(1000));
    r->stop = chance(4) ? 7 + rng(30) : 0;
    r->sequence.no_ahead = chance(6);
    r->sequence.no_cache = chance(8);
    r->sequence.priority = c->priorities ? (int32_t)rng(5) - 2 : 0;
    if (chance(6))
        r->sequence.logits_from = r->echo_next = rng(prompt_tokens);
}

/* Another sample of the same prompt, or of its beginning. */
static void draw_fork(sim *s, const sim_request *parent, sim_request *r)
{
    const uint32_t prompt_tokens = chance(2) ? parent->prompt_tokens : 1 + rng(parent->prompt_tokens);
    sim_request_init(s, r, parent->sequence.tokens, prompt_tokens, 1 + rng(30), parent->content, rng(1000));
    r->sequence.root = parent->sequence.root;
    r->sequence.priority = parent->sequence.priority;
    r->sequence.no_ahead = chance(6);
}

static sim_request *draw_open(sim_request *requests, uint32_t added)
{
    sim_request *r = added > 0 ? &requests[rng(added)] : NULL;
    return r != NULL && r->end == SIM_OPEN ? r : NULL;
}

static void arrive(sim *s, const scene *c, sim_request *requests, uint32_t *added, uint64_t now)
{
    sim_request *r = &requests[*added];
    sim_request *parent = c->forks && !chance(4) ? draw_open(requests, *added) : NULL;
    if (parent != NULL)
        draw_fork(s, parent, r);
    else
        draw_request(s, c, r);
    if (c->deadlines && chance(3))
        r->sequence.deadline_ns = now + 1 + rng(3000);
    ++*added;
    if (parent != NULL)
        pm_sched_fork(s->sched, &parent->sequence, &r->sequence);
    else
        pm_sched_add(s->sched, &r->sequence);
}

static void disturb(sim *s, const scene *c, sim_request *requests, uint32_t added)
{
    sim_request *r = draw_open(requests, added);
    if (c->cancels && r != NULL && chance(40))
        sim_cancel(s, r);
    if (c->budgets && chance(10))
        pm_sched_set_budget(s->sched, rng(64), rng(32), 1 + rng(64));
    if (c->losses && chance(60))
        sim_lose(s);
    for (uint32_t i = 0; c->drafts && i < added; i++)
        if (requests[i].end == SIM_OPEN && chance(2))
            sim_draft(&requests[i], 1 + rng(5), rng(6));
}

static void check_run(const sim *s, const scene *c, sim_request *requests)
{
    for (uint32_t i = 0; i < REQUESTS; i++) {
        const sim_request *r = &requests[i];
        assert_int_equal(r->ends, 1);
        assert_true(r->end != SIM_EXPIRED || c->deadlines);
        assert_true(r->end != SIM_CANCELLED || c->cancels);
        sim_check_output(r);
    }
    (void)s;
}

static void add_totals(totals *t, const sim *s, const sim_request *requests)
{
    pm_sched_stats stats;
    pm_sched_get_stats(s->sched, &stats);
    t->runs++;
    t->steps += s->steps;
    t->rows += s->rows;
    t->requests += REQUESTS;
    for (uint32_t i = 0; i < REQUESTS; i++)
        t->ends[requests[i].end]++;
    t->stats.preemptions += stats.preemptions;
    t->stats.swapped_in += stats.swapped_in;
    t->stats.copies += stats.copies;
    t->stats.cached_tokens += stats.cached_tokens;
    t->stats.dropped_rows += stats.dropped_rows;
    t->stats.draft_rows += stats.draft_rows;
    t->stats.accepted_drafts += stats.accepted_drafts;
    t->evictions += pm_kv_pages_evictions(pm_sched_pages(s->sched));
}

static void simulate(uint64_t seed, totals *t)
{
    static sim_request requests[REQUESTS];
    scene c;
    sim s;
    rng_state = seed;
    const pm_sched_params params = draw_params();
    draw_scene(&c);
    memset(requests, 0, sizeof(requests));
    sim_init(&s, &params, requests, REQUESTS);
    uint64_t now = 0, limit = 0;
    uint32_t added = 0;
    while (added < REQUESTS || pm_sched_busy(s.sched) || s.flights > 0) {
        while (added < REQUESTS && chance(3))
            arrive(&s, &c, requests, &added, now);
        const uint64_t allocations = pm_alloc_count();
        disturb(&s, &c, requests, added);
        now += rng(20);
        pm_sched_set_now(s.sched, now);
        const uint32_t rows = sim_pick(&s);
        sim_check(&s);
        if (c.cancels && chance(60) && draw_open(requests, added) != NULL) /* its rows are in flight */
            sim_cancel(&s, &requests[rng(added)]);
        if (s.flights == 2 || (s.flights == 1 && (!c.ahead || rows == 0 || chance(4))))
            sim_commit(&s);
        sim_check(&s);
        assert_true(pm_alloc_count() == allocations);
        assert_true(++limit < 1000000);
    }
    check_run(&s, &c, requests);
    add_totals(t, &s, requests);
    sim_finish(&s);
    for (uint32_t i = 0; i < REQUESTS; i++)
        sim_request_finish(&requests[i]);
}

static void every_request_ends_once_and_says_what_it_says_alone(void **state)
{
    (void)state;
    const char *text = getenv("PUMICE_TEST_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20261124;
    totals t = {0};
    while (t.steps < 120000) {
        if (getenv("PUMICE_TEST_VERBOSE") != NULL)
            fprintf(stderr, "seed %llu\n", (unsigned long long)(seed + t.runs));
        simulate(seed + t.runs, &t);
    }
    print_message("seed %llu: %llu runs, %llu steps, %llu rows, %llu requests: %llu finished, %llu cancelled, "
                  "%llu outgrew the pool, %llu expired\n",
                  (unsigned long long)seed, (unsigned long long)t.runs, (unsigned long long)t.steps,
                  (unsigned long long)t.rows, (unsigned long long)t.requests, (unsigned long long)t.ends[SIM_FINISHED],
                  (unsigned long long)t.ends[SIM_CANCELLED], (unsigned long long)t.ends[SIM_FULL],
                  (unsigned long long)t.ends[SIM_EXPIRED]);
    print_message("%llu preemptions, %llu pages swapped in, %llu copied, %llu evicted, %llu tokens cached, "
                  "%llu rows dropped, %llu of %llu drafts accepted\n",
                  (unsigned long long)t.stats.preemptions, (unsigned long long)t.stats.swapped_in,
                  (unsigned long long)t.stats.copies, (unsigned long long)t.evictions,
                  (unsigned long long)t.stats.cached_tokens, (unsigned long long)t.stats.dropped_rows,
                  (unsigned long long)t.stats.accepted_drafts, (unsigned long long)t.stats.draft_rows);
    /* The run has been to all the places it is meant to see. */
    for (sim_end end = SIM_FINISHED; end <= SIM_EXPIRED; end++)
        assert_true(t.ends[end] > 50);
    assert_true(t.stats.preemptions > 500 && t.stats.swapped_in > 500 && t.stats.copies > 200 && t.evictions > 500);
    assert_true(t.stats.cached_tokens > 5000 && t.stats.dropped_rows > 500);
    assert_true(t.stats.accepted_drafts > 1000 && t.stats.draft_rows > t.stats.accepted_drafts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_request_ends_once_and_says_what_it_says_alone)};
    return cmocka_run_group_tests_name("sched.simulation", tests, NULL, NULL);
}
