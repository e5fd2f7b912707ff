/* test_trace.c - the scheduler under the load of Azure's traces, at their own pace on a made-up
 * clock: every request ends once, with the tokens that it gives alone, and nothing is left.
 *
 * A step takes STEP_NS and ROW_NS for each row; the pool is about what the load wants, so that
 * bursts wait and some sequences give way. Slots have contents: that of position p is a hash of
 * its token and of the content of position p - 1, which is found through the block table, and
 * the token behind it follows from it. In each step the end of each page that a row reads is
 * compared with what stands there when the request runs alone.
 *
 * The first requests of each trace; all of them with PUMICE_TEST_FULL=1.
 * Source: Azure/AzurePublicDataset, AzureLLMInferenceTrace_{code,conv}.csv (CC BY 4.0).
 */
#include "sched/scheduler.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLE = 3000, SEQS = 64, PAGE_TOKENS = 16, SWAP_SLOTS = 256, STEP_TOKENS = 2048, VOCAB = 32000,
       STEP_NS = 10000000, ROW_NS = 20000 };

typedef struct request {
    pm_sequence sequence;          /* first */
    uint64_t at_ns, first_ns, end_ns, wait_ns;
    uint32_t prompt_tokens, max_tokens; /* it ends so, although it might say more */
    uint64_t content;              /* of adapter and salt */
    uint64_t *alone;               /* [token_capacity] content of each position; while the scheduler has it */
    uint32_t ends;
} request;

typedef struct replay {
    pm_sched *sched;
    pm_prefix_hash key;
    request *requests;
    uint32_t count, added, ended;
    uint64_t *slots, *host;        /* [pages * PAGE_TOKENS], [SWAP_SLOTS * PAGE_TOKENS] */
    int32_t out_tokens[2][SEQS];
    const pm_batch *flight[2];     /* oldest first */
    uint64_t done_ns[2], now_ns;
    uint32_t flights;
} replay;

static void *make(size_t count, size_t size)
{
    void *block = calloc(count, size);
    assert_non_null(block);
    return block;
}

/* ---------------------------------------------------------------- requests */

static FILE *open_trace(const char *name)
{
    char path[512];
    const char *assets = getenv("PUMICE_TEST_ASSETS");
    snprintf(path, sizeof(path), "%s/traces/azure-llm-2023/AzureLLMInferenceTrace_%s.csv", assets != NULL ? assets : "", name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        printf("skipped: %s is not there\n", path);
    return file;
}

static void read_trace(const char *name, uint32_t most, request **out, uint32_t *count)
{
    char line[128];
    FILE *file = open_trace(name);
    assert_non_null(file);
    *out = make(most, sizeof(**out));
    assert_non_null(fgets(line, sizeof(line), file)); /* the header */
    for (*count = 0; *count < most && fgets(line, sizeof(line), file) != NULL; ++*count) {
        request *r = &(*out)[*count];
        unsigned day, hour, minute, prompt, generated;
        double second;
        assert_int_equal(sscanf(line, "2023-11-%u %u:%u:%lf,%u,%u", &day, &hour, &minute, &second, &prompt, &generated), 6);
        r->at_ns = (uint64_t)((((day * 24.0 + hour) * 60.0 + minute) * 60.0 + second) * 1e9);
        r->prompt_tokens = prompt > 0 ? prompt : 1;
        r->max_tokens = generated > 0 ? generated : 1;
    }
    fclose(file);
    for (uint32_t i = *count; i-- > 0;)
        (*out)[i].at_ns -= (*out)[0].at_ns;
    assert_true(*count > 0);
}

static uint64_t content_of(uint64_t before, int32_t token)
{
    return pm_mix64(before ^ pm_mix64((uint64_t)token + 1));
}

static int32_t token_after(uint64_t content)
{
    return (int32_t)(pm_mix64(~content) % VOCAB);
}

/* One in two begins with one of four texts of up to 512 tokens, some under another adapter. */
static void add(replay *p, uint32_t i)
{
    request *r = &p->requests[i];
    const uint32_t shared = i % 2 == 0 ? 512 : 0, all = r->prompt_tokens + r->max_tokens + i % 2 * 64;
    assert_int_equal(pm_sequence_init(&r->sequence, all, PAGE_TOKENS), PM_OK);
    r->content = pm_mix64(i % 8 == 6 ? 2 : 1);
    r->sequence.root = pm_prefix_root(p->key, i % 8 == 6 ? 1 : 0, NULL, 0);
    r->sequence.token_count = r->prompt_tokens;
    r->alone = make(all, sizeof(*r->alone));
    for (uint32_t t = 0; t < all; t++) {
        const int32_t token = t >= r->prompt_tokens ? token_after(r->alone[t - 1])
                              : (int32_t)(pm_mix64((t < shared ? i / 2 % 4 : i + 4) * UINT64_C(1000003) + t) % VOCAB);
        if (t < r->prompt_tokens)
            r->sequence.tokens[t] = token;
        r->alone[t] = content_of(t == 0 ? r->content : r->alone[t - 1], token);
    }
    assert_true(pm_sched_can_hold(p->sched, all));
    pm_sched_add(p->sched, &r->sequence);
}

static void end(replay *p, request *r)
{
    r->wait_ns = r->sequence.admitted_ns - r->at_ns;
    r->end_ns = p->now_ns;
    r->ends++;
    p->ended++;
    pm_sched_remove(p->sched, &r->sequence);
    assert_int_equal(r->sequence.table.count, 0);
    pm_sequence_finish(&r->sequence);
    free(r->alone);
    r->alone = NULL;
}

/* ------------------------------------------------------------------ device */

static void copy_page(uint64_t *to, uint32_t to_page, const uint64_t *from, uint32_t from_page)
{
    memcpy(to + (size_t)to_page * PAGE_TOKENS, from + (size_t)from_page * PAGE_TOKENS, PAGE_TOKENS * sizeof(*to));
}

static void run_moves(replay *p, const pm_batch *batch)
{
    for (uint32_t i = 0; i < batch->swap_out_count; i++)
        copy_page(p->host, batch->swap_outs[i].slot, p->slots, batch->swap_outs[i].page);
    for (uint32_t i = 0; i < batch->swap_in_count; i++)
        copy_page(p->slots, batch->swap_ins[i].page, p->host, batch->swap_ins[i].slot);
    for (uint32_t i = 0; i < batch->copy_count; i++)
        copy_page(p->slots, batch->copies[i].to, p->slots, batch->copies[i].from);
}

static uint64_t *slot_at(replay *p, const request *r, uint32_t position)
{
    return &p->slots[pm_kv_slot(&r->sequence.table, PAGE_TOKENS, position)];
}

static void run_sequence(replay *p, const pm_batch *batch, uint32_t q)
{
    const request *r = (const request *)batch->sequences[q];
    const uint32_t first = batch->positions[batch->row_start[q]];
    for (uint32_t end_of = PAGE_TOKENS; end_of < first; end_of += PAGE_TOKENS)
        assert_true(*slot_at(p, r, end_of - 1) == r->alone[end_of - 1]);
    for (uint32_t row = batch->row_start[q]; row < batch->row_start[q + 1]; row++) {
        const uint32_t position = batch->positions[row];
        const int32_t token = batch->tokens[row] == PM_TOKEN_PICKED
                                  ? p->out_tokens[1 - batch->step % 2][batch->token_from[row]] : (int32_t)batch->tokens[row];
        const uint64_t before = position == 0 ? r->content : *slot_at(p, r, position - 1);
        assert_int_equal(position, first + row - batch->row_start[q]);
        assert_int_equal(batch->slots[row], slot_at(p, r, position) - p->slots);
        p->slots[batch->slots[row]] = content_of(before, token);
        assert_true(p->slots[batch->slots[row]] == r->alone[position]);
    }
    for (uint32_t out = batch->out_start[q]; out < batch->out_start[q + 1]; out++)
        p->out_tokens[batch->step % 2][out] = token_after(p->slots[batch->slots[batch->out_rows[out]]]);
}

/* -------------------------------------------------------------------- run */

static uint32_t pick(replay *p)
{
    pm_sched_set_now(p->sched, p->now_ns);
    const pm_batch *batch = pm_sched_pick(p->sched);
    assert_null(pm_sched_ended(p->sched)); /* each fits, and has time */
    if (batch->rows == 0)
        return 0;
    assert_true(batch->rows <= STEP_TOKENS && batch->seqs <= SEQS);
    run_moves(p, batch);
    for (uint32_t q = 0; q < batch->seqs; q++)
        run_sequence(p, batch, q);
    const uint64_t start_ns = p->flights > 0 ? p->done_ns[0] : p->now_ns;
    p->done_ns[p->flights] = start_ns + STEP_NS + (uint64_t)batch->rows * ROW_NS;
    p->flight[p->flights++] = batch;
    return batch->rows;
}

static void commit(replay *p)
{
    const pm_batch *batch = p->flight[0];
    p->now_ns = p->done_ns[0] > p->now_ns ? p->done_ns[0] : p->now_ns;
    pm_sched_commit(p->sched, batch);
    p->flight[0] = p->flight[1];
    p->done_ns[0] = p->done_ns[1];
    p->flights--;
    for (uint32_t q = 0; q < batch->seqs; q++) {
        request *r = (request *)batch->sequences[q];
        if (r == NULL || !batch->picks[q])
            continue;
        pm_sequence_append(&r->sequence, p->out_tokens[batch->step % 2][batch->out_start[q + 1] - 1]);
        r->first_ns = r->first_ns > 0 ? r->first_ns : p->now_ns;
        if (r->sequence.token_count == r->prompt_tokens + r->max_tokens)
            end(p, r);
    }
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print_quantiles(const char *what, uint64_t *ns, uint32_t count)
{
    qsort(ns, count, sizeof(*ns), by_value);
    print_message("  %s: p50 %.3f s, p99 %.3f s, most %.3f s\n", what, (double)ns[count / 2] * 1e-9,
                  (double)ns[(uint64_t)count * 99 / 100] * 1e-9, (double)ns[count - 1] * 1e-9);
}

static void report(const replay *p, const char *name, bool gives_way)
{
    pm_sched_stats stats;
    uint64_t *ns = make(p->count, sizeof(*ns));
    pm_sched_get_stats(p->sched, &stats);
    print_message("%s: %u requests in %.0f s, %llu steps, %llu rows, %llu preemptions (%llu tokens read again, %llu pages "
                  "swapped), %llu pages copied, %llu of %llu prompt tokens cached, %llu rows dropped\n", name, p->count,
                  (double)p->now_ns * 1e-9, (unsigned long long)stats.steps, (unsigned long long)stats.rows,
                  (unsigned long long)stats.preemptions, (unsigned long long)stats.recomputed_tokens,
                  (unsigned long long)stats.swapped_out, (unsigned long long)stats.copies,
                  (unsigned long long)stats.cached_tokens, (unsigned long long)stats.prompt_tokens,
                  (unsigned long long)stats.dropped_rows);
    for (uint32_t i = 0; i < p->count; i++)
        ns[i] = p->requests[i].wait_ns;
    print_quantiles("wait for admission", ns, p->count);
    for (uint32_t i = 0; i < p->count; i++)
        ns[i] = p->requests[i].first_ns - p->requests[i].at_ns;
    print_quantiles("first token", ns, p->count);
    free(ns);
    /* The run has been to the places it is meant to see. */
    assert_true(stats.cached_tokens > 0 && stats.dropped_rows > 0 && stats.copies > 0);
    assert_true(!gives_way || (stats.preemptions > 100 && stats.swapped_in > 0 && stats.recomputed_tokens > 0));
}

/* gives_way: answers are long enough that some outgrow the pool together. */
static void run_trace(const char *name, uint32_t pages, bool gives_way)
{
    replay p = {.key = {{1, 2}}};
    const bool full = getenv("PUMICE_TEST_FULL") != NULL;
    read_trace(name, full ? 1u << 20 : SAMPLE, &p.requests, &p.count);
    const pm_sched_params params = {.max_seqs = SEQS, .max_batch_tokens = STEP_TOKENS, .max_outs = SEQS, .page_count = pages,
                                    .page_tokens = PAGE_TOKENS, .reserve_pages = 8, .swap_slots = SWAP_SLOTS, .key = p.key};
    assert_int_equal(pm_sched_create(&params, &p.sched), PM_OK);
    p.slots = make((size_t)pages * PAGE_TOKENS, sizeof(*p.slots));
    p.host = make((size_t)SWAP_SLOTS * PAGE_TOKENS, sizeof(*p.host));
    while (p.ended < p.count) {
        for (; p.added < p.count && p.requests[p.added].at_ns <= p.now_ns; p.added++) {
            pm_sched_set_now(p.sched, p.now_ns);
            add(&p, p.added);
        }
        const uint32_t rows = pick(&p);
        pm_sched_check(p.sched);
        if (p.flights == 2 || (p.flights == 1 && rows == 0))
            commit(&p);
        else if (p.flights == 0) {
            assert_false(pm_sched_busy(p.sched)); /* no stall: what is there goes on */
            assert_true(p.added < p.count);
            p.now_ns = p.requests[p.added].at_ns;
        }
        pm_sched_check(p.sched);
    }
    while (p.flights > 0)
        commit(&p);
    assert_false(pm_sched_busy(p.sched));
    assert_int_equal(pm_kv_pages_used(pm_sched_pages(p.sched)), 0);
    for (uint32_t i = 0; i < p.count; i++)
        assert_int_equal(p.requests[i].ends, 1);
    report(&p, name, gives_way);
    pm_sched_destroy(p.sched);
    free(p.slots);
    free(p.host);
    free(p.requests);
}

static void every_request_of_the_code_trace_ends_once(void **state)
{
    (void)state;
    run_trace("code", 640, false);
}

static void every_request_of_the_conversation_trace_ends_once(void **state)
{
    (void)state;
    run_trace("conv", 1280, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_request_of_the_code_trace_ends_once),
                                       cmocka_unit_test(every_request_of_the_conversation_trace_ends_once)};
    for (int i = 0; i < 2; i++) {
        FILE *file = open_trace(i == 0 ? "code" : "conv");
        if (file == NULL)
            return 77;
        fclose(file);
    }
    return cmocka_run_group_tests_name("sched.trace", tests, NULL, NULL);
}
