/* sched/check.c - the invariants of the scheduler. */
#include "sched/scheduler_impl.h"

#include <string.h>

static void check_sequence(const pm_sched *sched, const pm_sequence *sequence)
{
    const pm_block_table *table = &sequence->table;
    pm_assert(sequence->token_count >= 1 && sequence->token_count <= sequence->token_capacity);
    pm_assert(sequence->computed <= sequence->scheduled && sequence->picked <= 2);
    pm_assert(table->count <= table->capacity && table->named <= table->capacity);
    pm_assert(sequence->picked <= sched->in_flight);
    if (sequence->state != PM_SEQ_SWAPPED)
        pm_assert(!table->swapped);
}

static void check_running(const pm_sched *sched)
{
    pm_assert(sched->running_count <= sched->params.max_seqs);
    for (uint32_t i = 0; i < sched->running_count; i++) {
        const pm_sequence *sequence = sched->running[i];
        const pm_block_table *table = &sequence->table;
        check_sequence(sched, sequence);
        pm_assert(sequence->state == PM_SEQ_RUNNING);
        pm_assert(i == 0 || pm_sched_before(sched->running[i - 1], sequence));
        pm_assert(sequence->scheduled <= table->count * sched->params.page_tokens);
        pm_assert(sequence->scheduled <= sequence->token_count + (sequence->picked > 0 ? sequence->picked - 1 : 0));
        for (uint32_t p = 0; p < table->count; p++)
            sched->scratch[table->page_ids[p]]++;
        if (table->copy_from != PM_PAGE_NONE)
            sched->scratch[table->copy_from]++;
    }
    for (uint32_t page = 0; page < sched->params.page_count; page++)
        pm_assert(pm_kv_pages_refs(sched->pages, page) == sched->scratch[page]);
}

static void check_children(const pm_sched *sched, const pm_sequence *parent, uint32_t *forks)
{
    for (const pm_sequence *child = parent->child; child != NULL; child = child->sibling) {
        pm_assert(child->parent == parent);
        if (child->state != PM_SEQ_FORKING)
            continue;
        check_sequence(sched, child);
        pm_assert(child->table.count == 0);
        ++*forks;
        check_children(sched, child, forks);
    }
}

static void check_waiting(const pm_sched *sched)
{
    uint32_t waiting = 0, forks = 0, slots = 0;
    const pm_sequence *before = NULL;
    for (const pm_sequence *sequence = sched->waiting_head; sequence != NULL; sequence = sequence->next, waiting++) {
        check_sequence(sched, sequence);
        pm_assert(sequence->prev == before && (before == NULL || pm_sched_before(before, sequence)));
        pm_assert(sequence->state == PM_SEQ_WAITING || sequence->state == PM_SEQ_SWAPPED);
        pm_assert(sequence->table.swapped == (sequence->state == PM_SEQ_SWAPPED));
        pm_assert(sequence->table.swapped || sequence->table.count == 0);
        slots += sequence->table.count;
        before = sequence;
        check_children(sched, sequence, &forks);
    }
    for (uint32_t i = 0; i < sched->running_count; i++)
        check_children(sched, sched->running[i], &forks);
    pm_assert(before == sched->waiting_tail && waiting == sched->waiting_count && forks == sched->fork_count);
    pm_assert(slots + sched->swap.free_count == sched->params.swap_slots);
}

void pm_sched_check(const pm_sched *sched)
{
    memset(sched->scratch, 0, sched->params.page_count * sizeof(*sched->scratch));
    pm_kv_pages_check(sched->pages);
    check_running(sched);
    check_waiting(sched);
}

void pm_sched_debug_check(const pm_sched *sched)
{
#ifdef NDEBUG
    (void)sched;
#else
    pm_sched_check(sched);
#endif
}
