/* sched/queue.c - the lists a sequence stands in. */
#include "sched/scheduler_impl.h"

#include <string.h>

/* ---------------------------------------------------------------- waiting */

/* From the end, where all but those of higher priority and the preempted belong. */
void pm_sched_wait(pm_sched *sched, pm_sequence *sequence)
{
    pm_sequence *before = sched->waiting_tail;
    while (before != NULL && pm_sched_before(sequence, before))
        before = before->prev;
    sequence->prev = before;
    sequence->next = before != NULL ? before->next : sched->waiting_head;
    *(sequence->next != NULL ? &sequence->next->prev : &sched->waiting_tail) = sequence;
    *(before != NULL ? &before->next : &sched->waiting_head) = sequence;
    sched->waiting_count++;
}

void pm_sched_unwait(pm_sched *sched, pm_sequence *sequence)
{
    *(sequence->next != NULL ? &sequence->next->prev : &sched->waiting_tail) = sequence->prev;
    *(sequence->prev != NULL ? &sequence->prev->next : &sched->waiting_head) = sequence->next;
    sequence->next = sequence->prev = NULL;
    sched->waiting_count--;
}

/* ---------------------------------------------------------------- running */

void pm_sched_run(pm_sched *sched, pm_sequence *sequence)
{
    uint32_t i = sched->running_count++;
    for (; i > 0 && pm_sched_before(sequence, sched->running[i - 1]); i--)
        sched->running[i] = sched->running[i - 1];
    sched->running[i] = sequence;
    sequence->state = PM_SEQ_RUNNING;
}

void pm_sched_unrun(pm_sched *sched, pm_sequence *sequence)
{
    uint32_t i = 0;
    while (sched->running[i] != sequence)
        i++;
    sched->running_count--;
    memmove(&sched->running[i], &sched->running[i + 1], (sched->running_count - i) * sizeof(pm_sequence *));
}

/* -------------------------------------------------------------- deadlines */

void pm_sched_set_deadline(pm_sched *sched, pm_sequence *sequence)
{
    if (sequence->deadline_ns == 0)
        return;
    pm_sequence **link = &sched->deadline_head, *sooner = NULL;
    for (; *link != NULL && (*link)->deadline_ns <= sequence->deadline_ns; link = &sooner->later)
        sooner = *link;
    sequence->sooner = sooner;
    sequence->later = *link;
    if (sequence->later != NULL)
        sequence->later->sooner = sequence;
    *link = sequence;
}

void pm_sched_clear_deadline(pm_sched *sched, pm_sequence *sequence)
{
    if (sequence->sooner == NULL && sched->deadline_head != sequence)
        return;
    if (sequence->later != NULL)
        sequence->later->sooner = sequence->sooner;
    *(sequence->sooner != NULL ? &sequence->sooner->later : &sched->deadline_head) = sequence->later;
    sequence->sooner = sequence->later = NULL;
}

/* ------------------------------------------------------------------ forks */

void pm_sched_adopt_child(pm_sched *sched, pm_sequence *parent, pm_sequence *child)
{
    child->parent = parent;
    child->sibling = parent->child;
    parent->child = child;
    child->state = PM_SEQ_FORKING;
    sched->fork_count++;
}

static void wake(pm_sched *sched, pm_sequence *child)
{
    sched->fork_count--;
    child->state = PM_SEQ_WAITING;
    pm_sched_wait(sched, child);
}

void pm_sched_leave_parent(pm_sched *sched, pm_sequence *child)
{
    if (child->parent == NULL)
        return;
    pm_sequence **link = &child->parent->child;
    while (*link != child)
        link = &(*link)->sibling;
    *link = child->sibling;
    child->parent = child->sibling = NULL;
    if (child->state == PM_SEQ_FORKING)
        wake(sched, child);
}

void pm_sched_wake_children(pm_sched *sched, pm_sequence *parent)
{
    for (pm_sequence *child = parent->child; child != NULL; child = child->sibling)
        if (child->state == PM_SEQ_FORKING && child->token_count - 1 <= parent->computed)
            wake(sched, child);
}

/* ------------------------------------------------------------------- ends */

void pm_sched_take_out(pm_sched *sched, pm_sequence *sequence)
{
    while (sequence->child != NULL)
        pm_sched_leave_parent(sched, sequence->child);
    pm_sched_leave_parent(sched, sequence);
    pm_sched_clear_deadline(sched, sequence);
    if (sequence->state == PM_SEQ_RUNNING)
        pm_sched_unrun(sched, sequence);
    else if (sequence->state == PM_SEQ_WAITING || sequence->state == PM_SEQ_SWAPPED)
        pm_sched_unwait(sched, sequence);
    if (sequence->table.swapped)
        pm_kv_swap_release(&sched->swap, &sequence->table);
    pm_kv_pages_release(sched->pages, &sequence->table);
    pm_sched_cut_drafts(sequence, 0);
    for (int i = 0; i < 2; i++) {
        if (sequence->place[i] != UINT32_MAX)
            sched->batches[i].sequences[sequence->place[i]] = NULL;
        sequence->place[i] = UINT32_MAX;
    }
}

void pm_sched_end(pm_sched *sched, pm_sequence *sequence, pm_seq_state state)
{
    pm_sched_take_out(sched, sequence);
    sequence->state = state;
    sequence->next = NULL;
    sequence->prev = sched->ended_tail;
    *(sequence->prev != NULL ? &sequence->prev->next : &sched->ended_head) = sequence;
    sched->ended_tail = sequence;
}
