/* test_scheduler.c - seeded simulation of arrivals, lengths and tiny pools: every
 * request finishes exactly once, tokens are computed in order, no page is lost. */
#include "sched/scheduler.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct sim_request {
    pm_sequence sequence;          /* first */
    uint32_t prompt_tokens, max_tokens;
    uint32_t finishes;
} sim_request;

static uint64_t rng_state;

static uint32_t rng(uint32_t limit)
{
    rng_state = pm_mix64(rng_state);
    return (uint32_t)(rng_state >> 33) % limit;
}

static uint64_t seed_from_env(void)
{
    const char *text = getenv("PUMICE_TEST_SEED");
    return text != NULL ? strtoull(text, NULL, 0) : 20261124;
}

/* The token that "the model" gives after the sequence's tokens: what it is depends on
 * all of them, so that a lost or repeated token shows. */
static int32_t next_token(const pm_sequence *sequence)
{
    return (int32_t)(pm_hash64(sequence->tokens, sequence->token_count * sizeof(int32_t), PM_HASH_SEED) % 1000);
}

static void create(sim_request *r, uint32_t prompt_tokens, uint32_t max_tokens, uint32_t page_tokens)
{
    memset(r, 0, sizeof(*r));
    r->prompt_tokens = prompt_tokens;
    r->max_tokens = max_tokens;
    const uint32_t capacity = r->prompt_tokens + r->max_tokens;
    r->sequence.tokens = calloc(capacity, sizeof(int32_t));
    assert_non_null(r->sequence.tokens);
    for (uint32_t i = 0; i < r->prompt_tokens; i++)
        r->sequence.tokens[i] = (int32_t)rng(1000);
    r->sequence.token_count = r->prompt_tokens;
    r->sequence.token_capacity = capacity;
    r->sequence.logits_from = PM_LOGITS_LAST;
    assert_int_equal(pm_block_table_init(&r->sequence.table, (capacity + page_tokens - 1) / page_tokens), PM_OK);
}

static void destroy(sim_request *r)
{
    free(r->sequence.tokens);
    pm_block_table_finish(&r->sequence.table);
}

static void finish(pm_sched *sched, sim_request *r)
{
    pm_sched_remove(sched, &r->sequence);
    assert_int_equal(r->sequence.table.count, 0);
    r->finishes++;
}

/* Every property that one batch must have. */
static void check_batch(const pm_batch *batch, const pm_sched_params *params)
{
    assert_true(batch->rows <= params->max_batch_tokens);
    assert_true(batch->seqs <= params->max_seqs);
    assert_int_equal(batch->row_start[0], 0);
    for (uint32_t s = 0; s < batch->seqs; s++) {
        const pm_sequence *sequence = batch->sequences[s];
        const uint32_t rows = batch->row_start[s + 1] - batch->row_start[s];
        assert_true(rows >= 1 && rows <= batch->rows_per_seq_max);
        assert_int_equal(batch->kv_len[s], sequence->computed + rows);
        for (uint32_t i = 0; i < rows; i++) {
            const uint32_t row = batch->row_start[s] + i, position = sequence->computed + i;
            assert_int_equal(batch->row_seq[row], s);
            assert_int_equal(batch->positions[row], position);
            assert_int_equal(batch->tokens[row], sequence->tokens[position]);
            assert_int_equal(batch->slots[row] / params->page_tokens,
                             sequence->table.page_ids[position / params->page_tokens]);
            assert_int_equal(batch->slots[row] % params->page_tokens, position % params->page_tokens);
        }
    }
    /* No two rows of a batch write the same slot, so no two sequences share a page. */
    for (uint32_t a = 0; a < batch->rows; a++)
        for (uint32_t b = 0; b < a; b++)
            assert_int_not_equal(batch->slots[a], batch->slots[b]);
}

static void end_full(pm_sched *sched)
{
    uint32_t count;
    pm_sequence *const *running = pm_sched_running(sched, &count);
    for (uint32_t i = count; i-- > 0;)
        if (running[i]->state == PM_SEQ_FULL)
            finish(sched, (sim_request *)running[i]);
}

static void commit(pm_sched *sched, const pm_batch *batch)
{
    pm_sched_commit(sched, batch);
    for (uint32_t out = 0; out < batch->outs; out++) {
        sim_request *r = (sim_request *)batch->sequences[batch->out_seq[out]];
        assert_int_equal(r->sequence.computed, r->sequence.token_count);
        const int32_t token = next_token(&r->sequence);
        r->sequence.tokens[r->sequence.token_count++] = token;
        if (r->sequence.token_count == r->prompt_tokens + r->max_tokens)
            finish(sched, r);
    }
}

/* The tokens after the prompt are those that the request gives alone. */
static void check_output(sim_request *r)
{
    pm_sequence alone = r->sequence;
    for (uint32_t n = r->prompt_tokens; n < r->sequence.token_count; n++) {
        alone.token_count = n;
        assert_int_equal(r->sequence.tokens[n], next_token(&alone));
    }
}

static uint32_t simulate(uint64_t seed)
{
    rng_state = seed;
    const uint32_t max_seqs = 1 + rng(8);
    const pm_sched_params params = {.max_seqs = max_seqs,
                                    .max_batch_tokens = max_seqs + rng(32),
                                    .max_outs = max_seqs,
                                    .page_count = 8 + rng(24),
                                    .page_tokens = 8};
    const uint32_t context = params.page_count * params.page_tokens; /* one alone just fits */
    pm_sched *sched = NULL;
    assert_int_equal(pm_sched_create(&params, &sched), PM_OK);
    enum { REQUESTS = 24 };
    static sim_request requests[REQUESTS];
    uint32_t added = 0, steps = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        const uint32_t prompt_tokens = 1 + rng(context - 1);
        create(&requests[i], prompt_tokens, 1 + rng(context - prompt_tokens), params.page_tokens);
    }
    for (;;) {
        while (added < REQUESTS && rng(3) == 0)
            pm_sched_add(sched, &requests[added++].sequence);
        if (added > 0 && rng(50) == 0) { /* a client leaves, at any moment */
            sim_request *r = &requests[rng(added)];
            if (r->finishes == 0)
                finish(sched, r);
        }
        const pm_batch *batch = pm_sched_pick(sched);
        check_batch(batch, &params);
        end_full(sched);
        pm_kv_pages_check(pm_sched_pages(sched));
        commit(sched, batch);
        steps++;
        uint32_t finished = 0;
        for (uint32_t i = 0; i < REQUESTS; i++)
            finished += requests[i].finishes;
        if (finished == REQUESTS)
            break;
        assert_true(steps < 1000000);
    }
    assert_int_equal(pm_kv_pages_used(pm_sched_pages(sched)), 0);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        assert_int_equal(requests[i].finishes, 1);
        check_output(&requests[i]);
        destroy(&requests[i]);
    }
    pm_sched_destroy(sched);
    return steps;
}

static void every_request_finishes_once(void **state)
{
    (void)state;
    const uint64_t seed = seed_from_env();
    uint32_t steps = 0, runs = 0;
    for (; steps < 100000; runs++)
        steps += simulate(seed + runs);
    print_message("seed %llu: %u runs, %u steps\n", (unsigned long long)seed, runs, steps);
}

/* Two sequences that together outgrow the pool: the younger gives way and recomputes. */
static void youngest_is_preempted_and_recomputes(void **state)
{
    (void)state;
    const pm_sched_params params = {.max_seqs = 2, .max_batch_tokens = 64, .max_outs = 2, .page_count = 4,
                                    .page_tokens = 8};
    pm_sched *sched = NULL;
    assert_int_equal(pm_sched_create(&params, &sched), PM_OK);
    sim_request a, b;
    rng_state = 1;
    create(&a, 8, 24, params.page_tokens);
    create(&b, 8, 24, params.page_tokens);
    pm_sched_add(sched, &a.sequence);
    pm_sched_add(sched, &b.sequence);
    while (a.finishes == 0 || b.finishes == 0) {
        const pm_batch *batch = pm_sched_pick(sched);
        assert_true(batch->rows > 0);
        check_batch(batch, &params);
        commit(sched, batch);
        assert_true(a.finishes > 0 || b.finishes == 0); /* the older one ends first */
    }
    assert_true(pm_sched_preemptions(sched) > 0);
    check_output(&a);
    check_output(&b);
    destroy(&a);
    destroy(&b);
    pm_sched_destroy(sched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_finishes_once),
        cmocka_unit_test(youngest_is_preempted_and_recomputes),
    };
    return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
