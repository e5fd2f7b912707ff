/* sched/scheduler.c - which sequences run in the next step, and on which pages. */
#include "sched/scheduler.h"

#include "base/alloc.h"

#include <string.h>

struct pm_sched {
    pm_sched_params params;
    pm_kv_pages *pages;
    pm_sequence **running;         /* [max_seqs], oldest first */
    uint32_t running_count;
    pm_sequence *waiting_head, **waiting_tail;
    uint32_t preemptions;
    pm_batch batch;
};

pm_result pm_sched_create(const pm_sched_params *params, pm_sched **out)
{
    if (params->max_seqs == 0 || params->max_batch_tokens < params->max_seqs || params->max_outs < params->max_seqs)
        return pm_fail(PM_ERR_ARG, "scheduler: %u sequences, %u tokens and %u outputs a step; tokens and outputs "
                       "must be at least the sequences", params->max_seqs, params->max_batch_tokens, params->max_outs);
    pm_sched *sched = pm_alloc(1, sizeof(*sched), "scheduler");
    if (sched == NULL)
        return PM_ERR_NOMEM;
    pm_result result = PM_OK;
    sched->params = *params;
    sched->waiting_tail = &sched->waiting_head;
    sched->running = pm_alloc(params->max_seqs, sizeof(*sched->running), "scheduler");
    if (sched->running == NULL)
        result = PM_ERR_NOMEM;
    if (result == PM_OK)
        result = pm_kv_pages_create(params->page_count, params->page_tokens, &sched->pages);
    if (result == PM_OK)
        result = pm_batch_init(&sched->batch, params->max_batch_tokens, params->max_seqs, params->max_outs);
    if (result != PM_OK) {
        pm_sched_destroy(sched);
        return result;
    }
    *out = sched;
    return PM_OK;
}

void pm_sched_destroy(pm_sched *sched)
{
    if (sched == NULL)
        return;
    pm_batch_finish(&sched->batch);
    pm_kv_pages_destroy(sched->pages);
    pm_free(sched->running);
    pm_free(sched);
}

/* ------------------------------------------------------- queue and list */

static void push_waiting_back(pm_sched *sched, pm_sequence *sequence)
{
    sequence->next = NULL;
    *sched->waiting_tail = sequence;
    sched->waiting_tail = &sequence->next;
}

static void push_waiting_front(pm_sched *sched, pm_sequence *sequence)
{
    sequence->next = sched->waiting_head;
    sched->waiting_head = sequence;
    if (sequence->next == NULL)
        sched->waiting_tail = &sequence->next;
}

static bool remove_waiting(pm_sched *sched, pm_sequence *sequence)
{
    for (pm_sequence **link = &sched->waiting_head; *link != NULL; link = &(*link)->next) {
        if (*link != sequence)
            continue;
        *link = sequence->next;
        if (*link == NULL)
            sched->waiting_tail = link;
        return true;
    }
    return false;
}

static void remove_running(pm_sched *sched, pm_sequence *sequence)
{
    for (uint32_t i = 0; i < sched->running_count; i++) {
        if (sched->running[i] != sequence)
            continue;
        sched->running_count--;
        memmove(&sched->running[i], &sched->running[i + 1], (sched->running_count - i) * sizeof(*sched->running));
        return;
    }
}

void pm_sched_add(pm_sched *sched, pm_sequence *sequence)
{
    pm_assert(sequence->token_count > 0 && sequence->table.count == 0);
    sequence->state = PM_SEQ_WAITING;
    sequence->computed = 0;
    push_waiting_back(sched, sequence);
}

void pm_sched_remove(pm_sched *sched, pm_sequence *sequence)
{
    if (!remove_waiting(sched, sequence))
        remove_running(sched, sequence);
    pm_kv_pages_release(sched->pages, &sequence->table);
    sequence->state = PM_SEQ_DONE;
}

/* ------------------------------------------------------------ preemption */

static void preempt(pm_sched *sched, pm_sequence *sequence)
{
    remove_running(sched, sequence);
    pm_kv_pages_release(sched->pages, &sequence->table);
    sequence->computed = 0;
    sequence->state = PM_SEQ_WAITING;
    push_waiting_front(sched, sequence);
    sched->preemptions++;
}

/* Pages for the sequence's first token_count tokens, at the cost of sequences younger
 * than it, youngest first. False: it gave way itself (preempted, or FULL when it is
 * alone and the pool is all its own). */
static bool grow_or_preempt(pm_sched *sched, pm_sequence *sequence, uint32_t token_count)
{
    while (!pm_kv_pages_grow(sched->pages, &sequence->table, token_count)) {
        pm_sequence *youngest = sched->running[sched->running_count - 1];
        if (youngest == sequence && sched->running_count == 1) {
            sequence->state = PM_SEQ_FULL;
            return false;
        }
        preempt(sched, youngest);
        if (youngest == sequence)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ pick */

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Puts the next `rows` tokens of the sequence into the batch; its pages are there. */
static void append_rows(pm_sched *sched, pm_sequence *sequence, uint32_t rows)
{
    pm_batch *batch = &sched->batch;
    const uint32_t index = batch->seqs++;
    const uint32_t logits_from =
        sequence->logits_from == PM_LOGITS_LAST ? sequence->token_count - 1 : sequence->logits_from;
    batch->sequences[index] = sequence;
    for (uint32_t i = 0; i < rows; i++) {
        const uint32_t row = batch->rows++, position = sequence->computed + i;
        batch->tokens[row] = (uint32_t)sequence->tokens[position];
        batch->positions[row] = position;
        batch->slots[row] = pm_kv_slot(&sequence->table, sched->params.page_tokens, position);
        batch->row_seq[row] = index;
        if (position >= logits_from) {
            batch->out_rows[batch->outs] = row;
            batch->out_seq[batch->outs++] = index;
        }
    }
    batch->row_start[index + 1] = batch->rows;
    batch->kv_len[index] = sequence->computed + rows;
    if (rows > batch->rows_per_seq_max)
        batch->rows_per_seq_max = rows;
}

/* Rows that a sequence may have in this step: what it lacks, the token budget, and
 * the outputs that fit. */
static uint32_t rows_that_fit(const pm_sched *sched, const pm_sequence *sequence)
{
    const pm_batch *batch = &sched->batch;
    uint32_t rows = min_u32(sequence->token_count - sequence->computed, batch->rows_max - batch->rows);
    if (sequence->logits_from != PM_LOGITS_LAST) {
        const uint32_t before = sequence->logits_from > sequence->computed ? sequence->logits_from - sequence->computed : 0;
        rows = min_u32(rows, before + (batch->outs_max - batch->outs));
    }
    return rows;
}

static bool is_decoding(const pm_sequence *sequence)
{
    return sequence->token_count - sequence->computed == 1;
}

/* Running sequences that decode (or do not), oldest first. A preemption only ever
 * takes sequences after the one at hand, none of which is in the batch yet when
 * `decoding`; prompts never preempt, since all their pages were there at admission. */
static void pick_running(pm_sched *sched, bool decoding)
{
    for (uint32_t i = 0; i < sched->running_count;) {
        pm_sequence *sequence = sched->running[i];
        if (is_decoding(sequence) != decoding || sequence->state == PM_SEQ_FULL) {
            i++;
            continue;
        }
        const uint32_t rows = rows_that_fit(sched, sequence);
        if (rows == 0)
            return;
        if (!grow_or_preempt(sched, sequence, sequence->computed + rows)) {
            i += sequence->state == PM_SEQ_FULL;
            continue;
        }
        append_rows(sched, sequence, rows);
        i++;
    }
}

/* All the sequence's tokens and one more, so that it does not give way at once; just
 * its tokens when it is alone, since then nobody else can use the page. */
static bool grow_for_admission(pm_sched *sched, pm_sequence *sequence)
{
    const uint32_t count = sequence->token_count;
    return (count < sequence->token_capacity && pm_kv_pages_grow(sched->pages, &sequence->table, count + 1)) ||
           ((count == sequence->token_capacity || sched->running_count == 0) &&
            pm_kv_pages_grow(sched->pages, &sequence->table, count));
}

static void admit(pm_sched *sched)
{
    while (sched->waiting_head != NULL && sched->running_count < sched->params.max_seqs) {
        pm_sequence *sequence = sched->waiting_head;
        const bool fits = grow_for_admission(sched, sequence);
        if (!fits && sched->running_count > 0)
            return;
        sched->waiting_head = sequence->next;
        if (sched->waiting_head == NULL)
            sched->waiting_tail = &sched->waiting_head;
        sequence->next = NULL;
        sequence->state = fits ? PM_SEQ_RUNNING : PM_SEQ_FULL;
        sched->running[sched->running_count++] = sequence;
    }
}

const pm_batch *pm_sched_pick(pm_sched *sched)
{
    pm_batch *batch = &sched->batch;
    batch->rows = batch->seqs = batch->outs = batch->rows_per_seq_max = 0;
    batch->row_start[0] = 0;
    const uint32_t preemptions = sched->preemptions;
    pick_running(sched, true);
    if (sched->preemptions == preemptions) /* else the victim would take its pages back at once */
        admit(sched);
    pick_running(sched, false);
    return batch;
}

void pm_sched_commit(pm_sched *sched, const pm_batch *batch)
{
    (void)sched;
    for (uint32_t s = 0; s < batch->seqs; s++)
        batch->sequences[s]->computed = batch->kv_len[s];
}

const pm_kv_pages *pm_sched_pages(const pm_sched *sched)
{
    return sched->pages;
}

uint32_t pm_sched_preemptions(const pm_sched *sched)
{
    return sched->preemptions;
}

pm_sequence *const *pm_sched_running(const pm_sched *sched, uint32_t *count)
{
    *count = sched->running_count;
    return sched->running;
}
