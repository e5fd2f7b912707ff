/* sched/preempt.c - who gives way. */
#include "sched/scheduler_impl.h"

void pm_sched_cut_drafts(pm_sequence *sequence, uint32_t keep)
{
    pm_assert(keep <= sequence->drafts);
    sequence->token_count -= sequence->drafts - keep;
    sequence->drafts = keep;
}

void pm_sched_recompute(pm_sched *sched, pm_sequence *sequence)
{
    pm_kv_pages_release(sched->pages, &sequence->table);
    sched->stats.recomputed_tokens += sequence->scheduled;
    sequence->computed = sequence->scheduled = 0;
    sequence->epoch++;
    sequence->state = PM_SEQ_WAITING;
}

static bool swap_out(pm_sched *sched, pm_sequence *sequence)
{
    pm_batch *batch = sched->batch;
    uint32_t count = 0;
    if (sched->params.swap_slots == 0 || batch->swap_in_count > 0 || /* slots just freed are read after this */
        !pm_kv_swap_out(&sched->swap, sched->pages, &sequence->table, sequence->scheduled,
                        batch->swap_outs + batch->swap_out_count, batch->moves_max - batch->swap_out_count, &count))
        return false;
    batch->swap_out_count += count;
    sched->stats.swapped_out += count;
    sequence->state = PM_SEQ_SWAPPED;
    sequence->step = batch->step;
    return true;
}

/* The sequence has no rows in the batch being picked. */
static void give_way(pm_sched *sched, pm_sequence *sequence)
{
    pm_assert(!pm_sched_in_batch(sched, sequence));
    pm_sched_unrun(sched, sequence);
    if (sequence->picked == 0)
        pm_sched_cut_drafts(sequence, 0);
    if (!swap_out(sched, sequence))
        pm_sched_recompute(sched, sequence);
    pm_sched_wait(sched, sequence);
    sequence->preemptions++;
    sched->stats.preemptions++;
    sched->gave_way = true;
}

void pm_sched_undo_swaps(pm_sched *sched)
{
    for (pm_sequence *sequence = sched->waiting_head; sequence != NULL; sequence = sequence->next) {
        if (sequence->state != PM_SEQ_SWAPPED || sequence->step != sched->batch->step)
            continue;
        sched->stats.swapped_out -= sequence->table.count;
        pm_kv_swap_release(&sched->swap, &sequence->table);
        pm_sched_recompute(sched, sequence);
        sequence->step = 0;
    }
    sched->batch->swap_out_count = 0;
}

/* Pages for the sequence's first token_count tokens, at the cost of those after it in rank,
 * the last first. False: it has no row in this step. It gave way itself; or it is alone and
 * the pool all its own, and FULL, once nothing of it is in flight. */
bool pm_sched_grow(pm_sched *sched, pm_sequence *sequence, uint32_t token_count)
{
    while (!pm_kv_pages_write(sched->pages, &sequence->table, sequence->scheduled, token_count)) {
        pm_sequence *last = sched->running[sched->running_count - 1];
        if (last == sequence && sched->in_flight > 0 && sched->batch->rows == 0)
            return false; /* what is in flight may end somebody */
        if (last == sequence && sched->running_count == 1) {
            pm_sched_end(sched, sequence, PM_SEQ_FULL);
            return false;
        }
        give_way(sched, last);
        if (last == sequence)
            return false;
    }
    return true;
}

/* Running sequences from the last on that one of this rank and priority may replace. */
static uint32_t replaceable(const pm_sched *sched, const pm_sequence *urgent)
{
    uint32_t count = 0;
    while (count < sched->running_count) {
        const pm_sequence *last = sched->running[sched->running_count - 1 - count];
        if (last->priority >= urgent->priority || pm_sched_before(last, urgent))
            break;
        count++;
    }
    return count;
}

/* Pages that nobody else holds of the last `count` running. */
static uint32_t own_pages(const pm_sched *sched, uint32_t count)
{
    uint32_t pages = 0;
    for (uint32_t i = 0; i < count; i++) {
        const pm_block_table *table = &sched->running[sched->running_count - 1 - i]->table;
        for (uint32_t p = 0; p < table->count; p++)
            pages += pm_kv_pages_refs(sched->pages, table->page_ids[p]) == 1;
    }
    return pages;
}

static bool has_place(const pm_sched *sched, const pm_sched_start *start)
{
    return sched->running_count < sched->params.max_seqs && pm_sched_start_fits(sched, start);
}

/* The first that waits takes the place of running ones of lower priority, where that is
 * what it takes, and enough. Its plan is made anew after each, for what they held may be
 * what it would have shared. */
void pm_sched_make_room(pm_sched *sched)
{
    pm_sequence *urgent = sched->waiting_head;
    if (urgent == NULL || urgent->picked > 0 || sched->running_count == 0)
        return;
    const uint32_t victims = replaceable(sched, urgent);
    if (victims == 0)
        return;
    pm_sched_start start = pm_sched_plan_start(sched, urgent);
    if (has_place(sched, &start))
        return;
    const uint64_t most = (uint64_t)pm_kv_pages_free_count(sched->pages) + own_pages(sched, victims);
    if (most < (uint64_t)start.cost + sched->params.reserve_pages)
        return;
    for (uint32_t i = 0; i < victims && !has_place(sched, &start); i++) {
        give_way(sched, sched->running[sched->running_count - 1]);
        start = pm_sched_plan_start(sched, urgent);
    }
    if (has_place(sched, &start))
        pm_sched_start_now(sched, urgent, &start);
}
