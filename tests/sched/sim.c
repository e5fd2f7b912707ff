/* sim.c - a device and a model for the scheduler, simulated. */
#include "sched/sim.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ------------------------------------------------------------------ model */

/* What position `position` adds to all that follow. */
static uint64_t seen(uint64_t kv, uint32_t position)
{
    return pm_mix64(kv + position);
}

static uint64_t kv_of(uint64_t content, int32_t token, uint32_t position, uint64_t before)
{
    return pm_mix64(before ^ pm_mix64((uint64_t)(uint32_t)token << 32 ^ position ^ content));
}

static int32_t pick_token(const sim_request *r, uint64_t kv)
{
    return (int32_t)(pm_mix64(kv ^ r->seed) % SIM_VOCAB);
}

/* All that the request will ever say. */
static void run_alone(sim_request *r)
{
    uint64_t before = 0;
    for (uint32_t p = 0; p < r->sequence.token_capacity; p++) {
        if (p < r->prompt_tokens)
            r->expected[p] = r->sequence.tokens[p];
        else
            r->expected[p] = pick_token(r, r->alone[p - 1]);
        r->alone[p] = kv_of(r->content, r->expected[p], p, before);
        before += seen(r->alone[p], p);
    }
}

/* --------------------------------------------------------------- requests */

static void *make(size_t count, size_t size)
{
    void *block = calloc(count + 1, size);
    assert_non_null(block);
    return block;
}

void sim_request_init(sim *s, sim_request *r, const int32_t *prompt, uint32_t prompt_tokens, uint32_t max_tokens,
                      uint64_t content, uint64_t seed)
{
    memset(r, 0, sizeof(*r));
    const uint32_t capacity = prompt_tokens + max_tokens;
    assert_int_equal(pm_sequence_init(&r->sequence, capacity, s->params.page_tokens), PM_OK);
    memcpy(r->sequence.tokens, prompt, prompt_tokens * sizeof(*prompt));
    r->sequence.token_count = prompt_tokens;
    if (content != 0)
        r->sequence.root = pm_prefix_root(s->key, (uint32_t)(content % 3), &content, content < 3 ? 0 : sizeof(content));
    r->prompt_tokens = prompt_tokens;
    r->max_tokens = max_tokens;
    r->content = content;
    r->seed = seed;
    r->echo_next = UINT32_MAX;
    r->alone = make(capacity, sizeof(*r->alone));
    r->expected = make(capacity, sizeof(*r->expected));
    run_alone(r);
}

void sim_request_finish(sim_request *r)
{
    pm_sequence_finish(&r->sequence);
    free(r->alone);
    free(r->expected);
}

void sim_check_output(const sim_request *r)
{
    const uint32_t said = r->sequence.token_count - r->prompt_tokens;
    assert_memory_equal(r->sequence.tokens, r->expected, r->sequence.token_count * sizeof(int32_t));
    if (r->end != SIM_FINISHED)
        return;
    const bool stopped = r->stop > 0 && r->expected[r->sequence.token_count - 1] % (int32_t)r->stop == 0;
    assert_true(said >= 1 && (said == r->max_tokens || stopped));
}

/* ----------------------------------------------------------------- device */

void sim_init(sim *s, const pm_sched_params *params, sim_request *requests, uint32_t request_count)
{
    *s = (sim){.params = *params, .key = {{1, 2}}, .requests = requests, .request_count = request_count};
    s->params.key = s->key;
    assert_int_equal(pm_sched_create(&s->params, &s->sched), PM_OK);
    const size_t slots = (size_t)params->page_count * params->page_tokens;
    s->slots = make(slots, sizeof(*s->slots));
    s->host = make((size_t)params->swap_slots * params->page_tokens, sizeof(*s->host));
    s->slot_step = make(slots, sizeof(*s->slot_step));
    s->known = make(params->page_count, sizeof(*s->known));
    s->is_known = make(params->page_count, sizeof(*s->is_known));
    for (int i = 0; i < 2; i++) {
        s->out_tokens[i] = make(params->max_outs, sizeof(*s->out_tokens[i]));
        s->out_kv[i] = make(params->max_outs, sizeof(*s->out_kv[i]));
    }
}

void sim_finish(sim *s)
{
    assert_int_equal(s->flights, 0);
    assert_false(pm_sched_busy(s->sched));
    assert_int_equal(pm_kv_pages_used(pm_sched_pages(s->sched)), 0);
    sim_check(s);
    pm_sched_destroy(s->sched);
    free(s->slots);
    free(s->host);
    free(s->slot_step);
    free(s->known);
    free(s->is_known);
    for (int i = 0; i < 2; i++) {
        free(s->out_tokens[i]);
        free(s->out_kv[i]);
    }
}

static sim_slot *page_at(const sim *s, sim_slot *slots, uint32_t page)
{
    return slots + (size_t)page * s->params.page_tokens;
}

static void copy_page(const sim *s, sim_slot *to, const sim_slot *from)
{
    memcpy(to, from, s->params.page_tokens * sizeof(*to));
}

/* Swaps and copies, in the order that the batch states. */
static void run_moves(sim *s, const pm_batch *batch)
{
    for (uint32_t i = 0; i < batch->swap_out_count; i++)
        copy_page(s, page_at(s, s->host, batch->swap_outs[i].slot), page_at(s, s->slots, batch->swap_outs[i].page));
    for (uint32_t i = 0; i < batch->swap_in_count; i++)
        copy_page(s, page_at(s, s->slots, batch->swap_ins[i].page), page_at(s, s->host, batch->swap_ins[i].slot));
    for (uint32_t i = 0; i < batch->copy_count; i++)
        copy_page(s, page_at(s, s->slots, batch->copies[i].to), page_at(s, s->slots, batch->copies[i].from));
}

static uint64_t read_slot(const sim *s, const pm_sequence *sequence, uint32_t position)
{
    return s->slots[pm_kv_slot(&sequence->table, s->params.page_tokens, position)].kv;
}

static void run_rows(sim *s, const pm_batch *batch)
{
    const uint32_t turn = batch->step % 2;
    uint32_t out = 0;
    for (uint32_t q = 0; q < batch->seqs; q++) {
        const pm_sequence *sequence = batch->sequences[q];
        const sim_request *r = (const sim_request *)sequence;
        uint64_t before = 0;
        for (uint32_t p = 0; p < batch->positions[batch->row_start[q]]; p++)
            before += seen(read_slot(s, sequence, p), p);
        for (uint32_t row = batch->row_start[q]; row < batch->row_start[q + 1]; row++) {
            const uint32_t position = batch->positions[row];
            const int32_t token = batch->tokens[row] == PM_TOKEN_PICKED ? s->out_tokens[1 - turn][batch->token_from[row]]
                                                                       : (int32_t)batch->tokens[row];
            sim_slot *slot = &s->slots[batch->slots[row]];
            slot->kv = kv_of(r->content, token, position, before);
            slot->writer = (uint32_t)(r - s->requests) + 1;
            slot->position = position;
            before += seen(slot->kv, position);
            if (out < batch->outs && batch->out_rows[out] == row) {
                s->out_kv[turn][out] = slot->kv;
                s->out_tokens[turn][out] = pick_token(r, slot->kv);
                out++;
            }
        }
    }
    assert_int_equal(out, batch->outs);
}

/* ------------------------------------------------------------------ batch */

/* Nobody else reads what is written: forks that have yet to copy the page read before it. */
static void check_holders(const sim *s, pm_page_id page, uint32_t position)
{
    uint32_t refs = pm_kv_pages_refs(pm_sched_pages(s->sched), page);
    for (uint32_t i = 0; refs > 1 && i < s->request_count; i++) {
        const pm_sequence *sequence = &s->requests[i].sequence;
        refs -= s->requests[i].end == SIM_OPEN && sequence->state == PM_SEQ_RUNNING &&
                sequence->table.copy_from == page && sequence->scheduled <= position;
    }
    assert_int_equal(refs, 1);
}

static void check_moves(const sim *s, const pm_batch *batch)
{
    for (uint32_t i = 0; i < batch->copy_count; i++) {
        check_holders(s, batch->copies[i].to, UINT32_MAX);
        for (uint32_t k = 0; k < batch->copy_count; k++) {
            assert_int_not_equal(batch->copies[i].from, batch->copies[k].to);
            assert_true(i == k || batch->copies[i].to != batch->copies[k].to);
        }
    }
    for (uint32_t i = 0; i < batch->swap_out_count; i++) {
        assert_true(batch->swap_outs[i].slot < s->params.swap_slots);
        for (uint32_t k = 0; k < i; k++)
            assert_int_not_equal(batch->swap_outs[i].slot, batch->swap_outs[k].slot);
        for (uint32_t k = 0; k < batch->swap_in_count; k++) /* a slot is not written before it is read */
            assert_int_not_equal(batch->swap_outs[i].slot, batch->swap_ins[k].slot);
    }
}

static void check_row(sim *s, const pm_batch *batch, uint32_t q, uint32_t row)
{
    const pm_sequence *sequence = batch->sequences[q];
    const uint32_t position = batch->positions[row], page_tokens = s->params.page_tokens;
    const pm_page_id page = batch->slots[row] / page_tokens;
    pm_prefix_hash name;
    assert_int_equal(batch->row_seq[row], q);
    assert_int_equal(position, batch->positions[batch->row_start[q]] + row - batch->row_start[q]);
    assert_int_equal(page, sequence->table.page_ids[position / page_tokens]);
    assert_int_equal(batch->slots[row] % page_tokens, position % page_tokens);
    check_holders(s, page, position);
    assert_false(pm_kv_pages_name(pm_sched_pages(s->sched), page, &name));
    assert_true(s->slot_step[batch->slots[row]] != batch->step);
    s->slot_step[batch->slots[row]] = batch->step;
    if (batch->tokens[row] != PM_TOKEN_PICKED) {
        assert_int_equal(batch->tokens[row], sequence->tokens[position]);
        return;
    }
    assert_false(sequence->no_ahead);
    assert_int_equal(s->flights, 1);
    const pm_batch *before = s->flight[0];
    assert_int_equal(position, sequence->token_count);
    assert_true(before->step + 1 == batch->step && batch->token_from[row] < before->outs);
    assert_ptr_equal(before->sequences[before->out_seq[batch->token_from[row]]], sequence);
    assert_int_equal(before->positions[before->out_rows[batch->token_from[row]]], position - 1);
}

/* Every property that one batch must have. */
static void check_batch(sim *s, const pm_batch *batch)
{
    assert_true(batch->rows <= s->params.max_batch_tokens && batch->seqs <= s->params.max_seqs);
    assert_true(batch->outs <= s->params.max_outs);
    assert_int_equal(batch->row_start[0], 0);
    assert_int_equal(batch->row_start[batch->seqs], batch->rows);
    assert_int_equal(batch->out_start[batch->seqs], batch->outs);
    check_moves(s, batch);
    for (uint32_t q = 0; q < batch->seqs; q++) {
        const pm_sequence *sequence = batch->sequences[q];
        const uint32_t end = batch->row_start[q + 1], rows = end - batch->row_start[q];
        assert_true(rows >= 1 && rows <= batch->rows_per_seq_max);
        for (uint32_t k = 0; k < q; k++)
            assert_ptr_not_equal(batch->sequences[k], sequence);
        for (uint32_t row = batch->row_start[q]; row < end; row++)
            check_row(s, batch, q, row);
        assert_int_equal(batch->kv_len[q], batch->positions[end - 1] + 1);
        for (uint32_t out = batch->out_start[q]; out < batch->out_start[q + 1]; out++) {
            assert_int_equal(batch->out_seq[out], q);
            assert_int_equal(batch->out_rows[out], end - (batch->out_start[q + 1] - out));
        }
        assert_true(batch->picks[q] <= batch->out_start[q + 1] - batch->out_start[q]);
        assert_true(batch->drafts[q] == 0 || (batch->picks[q] && rows >= 1 + batch->drafts[q]));
        assert_int_equal(batch->accepted[q], 0);
    }
}

static void end_request(sim *s, sim_request *r, sim_end end)
{
    pm_sched_remove(s->sched, &r->sequence);
    assert_int_equal(r->sequence.table.count, 0);
    r->ends++;
    r->end = end;
    r->ended_step = s->steps;
}

uint32_t sim_pick(sim *s)
{
    const pm_batch *batch = pm_sched_pick(s->sched);
    if (batch->rows > 0) {
        check_batch(s, batch);
        run_moves(s, batch);
        run_rows(s, batch);
        s->flight[s->flights++] = batch;
        s->steps++;
        s->rows += batch->rows;
    } else {
        assert_int_equal(batch->copy_count + batch->swap_in_count + batch->swap_out_count, 0);
    }
    assert_int_equal(pm_sched_in_flight(s->sched), s->flights);
    bool ended = false;
    for (pm_sequence *sequence; (sequence = pm_sched_ended(s->sched)) != NULL; ended = true) {
        if (sequence->state == PM_SEQ_FULL) /* it is what no pool of this size can hold */
            assert_true(sequence->token_count > s->params.page_count * s->params.page_tokens);
        end_request(s, (sim_request *)sequence, sequence->state == PM_SEQ_FULL ? SIM_FULL : SIM_EXPIRED);
    }
    if (s->flights == 0 && !ended) /* no stall: whatever is known goes on */
        assert_false(pm_sched_busy(s->sched));
    return batch->rows;
}

void sim_cancel(sim *s, sim_request *r)
{
    if (r->end == SIM_OPEN)
        end_request(s, r, SIM_CANCELLED);
}

/* ----------------------------------------------------------------- commit */

/* Guesses that are what the model picks. */
static uint32_t count_right(const sim *s, const pm_batch *batch, uint32_t q)
{
    const uint32_t first = batch->out_start[q + 1] - 1 - batch->drafts[q];
    const uint32_t row = batch->row_start[q + 1] - batch->drafts[q];
    uint32_t right = 0;
    while (right < batch->drafts[q] &&
           (uint32_t)s->out_tokens[batch->step % 2][first + right] == batch->tokens[row + right])
        right++;
    return right;
}

static bool is_over(const sim_request *r)
{
    const uint32_t said = r->sequence.token_count - r->prompt_tokens;
    return said > 0 && (said == r->max_tokens ||
                        (r->stop > 0 && r->sequence.tokens[r->sequence.token_count - 1] % (int32_t)r->stop == 0));
}

/* Logits of the prompt come in order, each once, and are right. */
static void take_echo(const sim *s, const pm_batch *batch, uint32_t q, sim_request *r)
{
    if (r->echo_next == UINT32_MAX)
        return;
    for (uint32_t out = batch->out_start[q]; out < batch->out_start[q + 1]; out++) {
        const uint32_t position = batch->positions[batch->out_rows[out]];
        assert_int_equal(position, r->echo_next);
        assert_true(s->out_kv[batch->step % 2][out] == r->alone[position]);
        r->echo_next++;
    }
}

static void take_tokens(sim *s, const pm_batch *batch, uint32_t q)
{
    sim_request *r = (sim_request *)batch->sequences[q];
    pm_sequence *sequence = &r->sequence;
    if (batch->drafts[q] == 0)
        take_echo(s, batch, q, r);
    else if (r->echo_next != UINT32_MAX)
        r->echo_next = batch->kv_len[q] - batch->drafts[q] + batch->accepted[q];
    if (!batch->picks[q])
        return;
    const uint32_t guessed = batch->accepted[q], last = batch->out_start[q + 1] - 1 - batch->drafts[q] + guessed;
    if (r->first_step == 0)
        r->first_step = batch->step;
    else if (batch->step - r->token_step > r->gap_max)
        r->gap_max = batch->step - r->token_step;
    r->token_step = batch->step;
    const uint32_t end = sequence->token_count;
    for (sequence->token_count = end - guessed; sequence->token_count < end;) { /* a stop may lie among the guesses */
        sequence->token_count++;
        if (is_over(r)) {
            end_request(s, r, SIM_FINISHED);
            return;
        }
    }
    pm_sequence_append(sequence, s->out_tokens[batch->step % 2][last]);
    if (is_over(r))
        end_request(s, r, SIM_FINISHED);
}

void sim_commit(sim *s)
{
    const pm_batch *batch = s->flight[0];
    assert_true(s->flights > 0);
    for (uint32_t q = 0; q < batch->seqs; q++)
        if (batch->sequences[q] != NULL)
            batch->accepted[q] = count_right(s, batch, q);
    pm_sched_commit(s->sched, batch);
    s->flight[0] = s->flight[1];
    s->flights--;
    for (uint32_t q = 0; q < batch->seqs; q++)
        if (batch->sequences[q] != NULL)
            take_tokens(s, batch, q);
}

void sim_drain(sim *s, bool ahead)
{
    while (pm_sched_busy(s->sched) || s->flights > 0) {
        const uint32_t rows = sim_pick(s);
        if (s->flights == 2 || (s->flights == 1 && (!ahead || rows == 0)))
            sim_commit(s);
        sim_check(s);
    }
}

void sim_draft(sim_request *r, uint32_t count, uint32_t right)
{
    int32_t guesses[16];
    const uint32_t from = r->sequence.token_count;
    for (uint32_t i = 0; i < count; i++) {
        const bool known = from + i < r->sequence.token_capacity;
        guesses[i] = known && i < right ? r->expected[from + i] : SIM_VOCAB; /* no token of the model */
    }
    pm_sequence_draft(&r->sequence, guesses, count);
}

void sim_lose(sim *s)
{
    pm_sched_reset(s->sched);
    s->flights = 0;
    for (size_t i = 0; i < (size_t)s->params.page_count * s->params.page_tokens; i++)
        s->slots[i] = (sim_slot){.kv = pm_mix64(i)};
    for (size_t i = 0; i < (size_t)s->params.swap_slots * s->params.page_tokens; i++)
        s->host[i] = (sim_slot){.kv = pm_mix64(~i)};
}

/* ----------------------------------------------------------------- checks */

/* The name is that of the tokens which the page's content was computed from. */
static void check_name(const sim *s, pm_page_id page, pm_prefix_hash name)
{
    const uint32_t page_tokens = s->params.page_tokens;
    const sim_slot *slots = page_at(s, s->slots, page);
    assert_true(slots[0].writer > 0 && slots[0].writer <= s->request_count);
    for (uint32_t i = 0; i < page_tokens; i++) {
        const sim_request *r = &s->requests[slots[i].writer - 1];
        assert_int_equal(slots[i].position, slots[0].position + i);
        assert_true(slots[i].kv == r->alone[slots[i].position]);
    }
    assert_int_equal(slots[0].position % page_tokens, 0);
    const sim_request *r = &s->requests[slots[page_tokens - 1].writer - 1];
    pm_prefix_hash expected = r->sequence.root;
    for (uint32_t p = 0; p <= slots[0].position; p += page_tokens)
        expected = pm_prefix_next(s->key, expected, r->expected + p, page_tokens);
    assert_true(pm_prefix_equal(expected, name));
}

void sim_check(sim *s)
{
    const pm_kv_pages *pages = pm_sched_pages(s->sched);
    pm_sched_check(s->sched);
    for (pm_page_id page = 0; page < s->params.page_count; page++) {
        pm_prefix_hash name;
        const bool named = pm_kv_pages_name(pages, page, &name);
        if (named && !(s->is_known[page] && pm_prefix_equal(s->known[page], name))) {
            check_name(s, page, name);
            s->known[page] = name;
        }
        s->is_known[page] = named;
    }
}
