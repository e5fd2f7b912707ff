/* sched/scheduler.c - sequences come, have run, and go. */
#include "sched/scheduler_impl.h"

#include "base/alloc.h"

#define DEFAULT_AGING_NS UINT64_C(10000000000)
#define DEFAULT_PASS_MAX 32

static pm_result check_params(const pm_sched_params *params)
{
    if (params->max_seqs == 0 || params->max_batch_tokens < params->max_seqs || params->max_outs < params->max_seqs)
        return pm_fail(PM_ERR_ARG, "scheduler: %u sequences, %u tokens and %u outputs a step; tokens and outputs "
                       "must be at least the sequences", params->max_seqs, params->max_batch_tokens, params->max_outs);
    if (params->aging_ns > UINT64_C(1000000000000000))
        return pm_fail(PM_ERR_ARG, "scheduler: a level of priority is worth %llu ns of waiting, expected at most 10^15",
                       (unsigned long long)params->aging_ns);
    return PM_OK;
}

static pm_result create_parts(pm_sched *sched)
{
    const pm_sched_params *p = &sched->params;
    sched->running = pm_alloc(p->max_seqs, sizeof(pm_sequence *), "scheduler");
    sched->shares = pm_alloc(p->max_seqs, sizeof(*sched->shares), "scheduler");
    if (sched->running == NULL || sched->shares == NULL)
        return PM_ERR_NOMEM;
    PM_TRY(pm_kv_pages_create(p->page_count, p->page_tokens, &sched->pages));
    sched->scratch = pm_alloc(p->page_count, sizeof(*sched->scratch), "scheduler");
    if (sched->scratch == NULL)
        return PM_ERR_NOMEM;
    PM_TRY(pm_kv_swap_init(&sched->swap, p->swap_slots));
    for (int i = 0; i < 2; i++)
        PM_TRY(pm_batch_init(&sched->batches[i], p->max_batch_tokens, p->max_seqs, p->max_outs, p->swap_slots));
    return PM_OK;
}

pm_result pm_sched_create(const pm_sched_params *params, pm_sched **out)
{
    PM_TRY(check_params(params));
    pm_sched *sched = pm_alloc(1, sizeof(*sched), "scheduler");
    if (sched == NULL)
        return PM_ERR_NOMEM;
    sched->params = *params;
    if (params->pass_max == 0)
        sched->params.pass_max = DEFAULT_PASS_MAX;
    if (params->aging_ns == 0)
        sched->params.aging_ns = DEFAULT_AGING_NS;
    if (params->key.word[0] == 0 && params->key.word[1] == 0)
        sched->params.key = pm_prefix_key_draw();
    sched->budget_rows = sched->prompt_rows = params->max_batch_tokens;
    sched->prompt_depth = UINT32_MAX;
    const pm_result result = create_parts(sched);
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
    for (int i = 0; i < 2; i++)
        pm_batch_finish(&sched->batches[i]);
    pm_kv_swap_finish(&sched->swap);
    pm_kv_pages_destroy(sched->pages);
    pm_free(sched->scratch);
    pm_free(sched->shares);
    pm_free(sched->running);
    pm_free(sched);
}

bool pm_sched_can_hold(const pm_sched *sched, uint32_t token_count)
{
    return pm_sched_pages_of(sched, token_count) <= sched->params.page_count;
}

pm_prefix_hash pm_sched_root(const pm_sched *sched, uint32_t adapter, const void *salt, size_t bytes)
{
    return pm_prefix_root(sched->params.key, adapter, salt, bytes);
}

void pm_sched_set_now(pm_sched *sched, uint64_t now_ns)
{
    pm_assert(now_ns >= sched->now_ns);
    sched->now_ns = now_ns;
}

void pm_sched_set_budget(pm_sched *sched, uint32_t rows, uint32_t prompt_rows, uint32_t prompt_depth)
{
    pm_assert(prompt_depth > 0);
    const pm_sched_params *p = &sched->params;
    sched->budget_rows = rows < p->max_seqs ? p->max_seqs : pm_sched_min(rows, p->max_batch_tokens);
    sched->prompt_rows = prompt_rows;
    sched->prompt_depth = prompt_depth;
}

/* ------------------------------------------------------------ come and go */

static void enter(pm_sched *sched, pm_sequence *sequence)
{
    pm_assert(sequence->token_count > 0 && sequence->token_count <= sequence->token_capacity);
    pm_assert(sequence->table.count == 0 && pm_sched_can_hold(sched, sequence->token_count));
    pm_assert(sequence->priority >= -PM_PRIORITY_MAX && sequence->priority <= PM_PRIORITY_MAX);
    sequence->computed = sequence->scheduled = sequence->picked = sequence->drafts = 0;
    sequence->serial = ++sched->serial;
    sequence->arrival_ns = sched->now_ns;
    sequence->rank = (int64_t)sched->now_ns - sequence->priority * (int64_t)sched->params.aging_ns;
    sequence->place[0] = sequence->place[1] = UINT32_MAX;
    sequence->step = 0;
    pm_sched_set_deadline(sched, sequence);
}

void pm_sched_add(pm_sched *sched, pm_sequence *sequence)
{
    enter(sched, sequence);
    sequence->state = PM_SEQ_WAITING;
    pm_sched_wait(sched, sequence);
}

void pm_sched_fork(pm_sched *sched, pm_sequence *parent, pm_sequence *child)
{
    pm_assert(child->token_count <= parent->token_count && pm_prefix_equal(parent->root, child->root));
    enter(sched, child);
    pm_sched_adopt_child(sched, parent, child);
    pm_sched_wake_children(sched, parent);
}

static void unlink_ended(pm_sched *sched, pm_sequence *sequence)
{
    *(sequence->next != NULL ? &sequence->next->prev : &sched->ended_tail) = sequence->prev;
    *(sequence->prev != NULL ? &sequence->prev->next : &sched->ended_head) = sequence->next;
}

void pm_sched_remove(pm_sched *sched, pm_sequence *sequence)
{
    if (sequence->state == PM_SEQ_FULL || sequence->state == PM_SEQ_EXPIRED)
        unlink_ended(sched, sequence);
    else
        pm_sched_take_out(sched, sequence);
    sequence->state = PM_SEQ_DONE;
}

pm_sequence *pm_sched_ended(pm_sched *sched)
{
    return sched->ended_head;
}

/* ---------------------------------------------------------------- commit */

static void commit_sequence(pm_sched *sched, const pm_batch *batch, uint32_t s)
{
    pm_sequence *sequence = batch->sequences[s];
    const uint32_t rejected = batch->drafts[s] - batch->accepted[s], kv_len = batch->kv_len[s] - rejected;
    pm_assert(batch->accepted[s] <= batch->drafts[s]);
    sequence->picked -= batch->picks[s];
    if (batch->drafts[s] > 0) {
        sched->stats.draft_rows += batch->drafts[s];
        sched->stats.accepted_drafts += batch->accepted[s];
        sequence->token_count -= rejected;
        sequence->drafts = 0;
    }
    if (sequence->logits_from != PM_LOGITS_LAST && sequence->logits_from < kv_len)
        sequence->logits_from = kv_len;
    if (sequence->epoch != batch->epochs[s])
        return; /* it gave way since: the outputs count, the KV is gone */
    sequence->computed = kv_len;
    if (rejected > 0)
        sequence->scheduled = kv_len;
    if (sequence->state != PM_SEQ_RUNNING)
        return;
    if (!sched->params.no_cache && !sequence->no_cache) {
        pm_sched_name(sched, sequence, kv_len);
        pm_kv_pages_publish(sched->pages, &sequence->table, kv_len);
    }
    pm_sched_wake_children(sched, sequence);
}

void pm_sched_commit(pm_sched *sched, const pm_batch *batch)
{
    pm_assert(sched->in_flight > 0 && batch->step == sched->step + 1 - sched->in_flight);
    sched->in_flight--;
    for (uint32_t s = 0; s < batch->seqs; s++) {
        if (batch->sequences[s] != NULL)
            commit_sequence(sched, batch, s);
        else
            sched->stats.dropped_rows += batch->row_start[s + 1] - batch->row_start[s];
    }
}

/* ----------------------------------------------------------------- reset */

static void forget_flight(const pm_batch *batch)
{
    for (uint32_t s = 0; s < batch->seqs; s++) {
        pm_sequence *sequence = batch->sequences[s];
        if (sequence == NULL)
            continue;
        sequence->picked = 0;
        pm_sched_cut_drafts(sequence, 0);
        sequence->place[batch->step % 2] = UINT32_MAX;
        batch->sequences[s] = NULL;
    }
}

void pm_sched_reset(pm_sched *sched)
{
    for (int i = 0; i < 2; i++)
        forget_flight(&sched->batches[i]);
    sched->in_flight = 0;
    for (pm_sequence *sequence = sched->waiting_head; sequence != NULL; sequence = sequence->next) {
        if (sequence->state != PM_SEQ_SWAPPED)
            continue;
        pm_kv_swap_release(&sched->swap, &sequence->table);
        pm_sched_recompute(sched, sequence);
    }
    while (sched->running_count > 0) {
        pm_sequence *sequence = sched->running[sched->running_count - 1];
        pm_sched_unrun(sched, sequence);
        pm_sched_cut_drafts(sequence, 0);
        pm_sched_recompute(sched, sequence);
        pm_sched_wait(sched, sequence);
    }
    pm_kv_pages_forget(sched->pages);
    pm_sched_debug_check(sched);
}

/* --------------------------------------------------------------- reports */

bool pm_sched_busy(const pm_sched *sched)
{
    return sched->running_count + sched->waiting_count + sched->fork_count > 0;
}

uint32_t pm_sched_in_flight(const pm_sched *sched)
{
    return sched->in_flight;
}

const pm_kv_pages *pm_sched_pages(const pm_sched *sched)
{
    return sched->pages;
}

void pm_sched_get_stats(const pm_sched *sched, pm_sched_stats *out)
{
    *out = sched->stats;
    out->running = sched->running_count;
    out->waiting = sched->waiting_count + sched->fork_count;
}
