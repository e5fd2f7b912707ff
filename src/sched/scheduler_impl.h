/* sched/scheduler_impl.h - what the parts of the scheduler share. Floor 2.
 *
 *   scheduler.c  create, add, fork, remove, commit, reset
 *   queue.c      the lists a sequence stands in
 *   admission.c  who may start, and on which pages
 *   preempt.c    who gives way
 *   pick.c       the rows of a step
 *   check.c      the invariants
 */
#ifndef PM_SCHED_SCHEDULER_IMPL_H
#define PM_SCHED_SCHEDULER_IMPL_H

#include "sched/scheduler.h"

struct pm_sched {
    pm_sched_params params;
    pm_kv_pages *pages;
    pm_kv_swap swap;
    pm_batch batches[2];           /* step s is in batches[s % 2] */
    uint32_t in_flight;            /* picked with rows and not committed: the last so many steps */
    uint64_t step;                 /* of the last batch with rows */
    pm_batch *batch;               /* being picked; NULL otherwise */
    uint32_t budget_rows, prompt_rows, prompt_depth;
    uint64_t now_ns, serial;
    pm_sequence **running;         /* [max_seqs], in order of rank */
    uint32_t running_count, waiting_count, fork_count;
    pm_sequence *waiting_head, *waiting_tail; /* in order of rank; next, prev */
    pm_sequence *ended_head, *ended_tail;     /* next, prev */
    pm_sequence *deadline_head;    /* soonest first; later, sooner */
    bool gave_way;                 /* in this pick: nobody is admitted, or it would take its pages back at once */
    uint32_t *shares;              /* [max_seqs] rows of prompts in this step, by place in running */
    uint32_t *scratch;             /* [page_count] of pm_sched_check() */
    pm_sched_stats stats;
};

/* What a waiting sequence would start from. */
typedef struct pm_sched_start {
    uint32_t adopt;                /* pages found by name */
    uint32_t cached;               /* tokens that are computed then */
    uint32_t target;               /* tokens it gets pages for */
    uint32_t cost;                 /* pages it takes out of the free ones */
    bool from_parent;
} pm_sched_start;

static inline uint32_t pm_sched_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t pm_sched_pages_of(const pm_sched *sched, uint32_t token_count)
{
    const uint32_t page_tokens = sched->params.page_tokens;
    return token_count / page_tokens + (token_count % page_tokens != 0);
}

/* Whether a goes before b. */
static inline bool pm_sched_before(const pm_sequence *a, const pm_sequence *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->serial < b->serial;
}

/* queue.c */
void pm_sched_wait(pm_sched *sched, pm_sequence *sequence);      /* into the queue; its state is set */
void pm_sched_unwait(pm_sched *sched, pm_sequence *sequence);
void pm_sched_run(pm_sched *sched, pm_sequence *sequence);       /* into the running list */
void pm_sched_unrun(pm_sched *sched, pm_sequence *sequence);
void pm_sched_set_deadline(pm_sched *sched, pm_sequence *sequence);
void pm_sched_clear_deadline(pm_sched *sched, pm_sequence *sequence);
void pm_sched_adopt_child(pm_sched *sched, pm_sequence *parent, pm_sequence *child);
void pm_sched_leave_parent(pm_sched *sched, pm_sequence *child); /* NULL parent is fine; a FORKING one waits now */
void pm_sched_wake_children(pm_sched *sched, pm_sequence *parent); /* those whose tokens are computed there */
void pm_sched_take_out(pm_sched *sched, pm_sequence *sequence);  /* of all lists and batches; releases its pages */
void pm_sched_end(pm_sched *sched, pm_sequence *sequence, pm_seq_state state);

/* admission.c */
void pm_sched_name(const pm_sched *sched, pm_sequence *sequence, uint32_t token_count); /* of full pages */
pm_sched_start pm_sched_plan_start(pm_sched *sched, pm_sequence *sequence);
bool pm_sched_start_fits(const pm_sched *sched, const pm_sched_start *start);
void pm_sched_start_now(pm_sched *sched, pm_sequence *sequence, const pm_sched_start *start);
void pm_sched_admit(pm_sched *sched);
void pm_sched_adopt_late(pm_sched *sched, pm_sequence *sequence); /* pages that others have computed since */

/* preempt.c */
void pm_sched_cut_drafts(pm_sequence *sequence, uint32_t keep);
void pm_sched_recompute(pm_sched *sched, pm_sequence *sequence); /* its pages are gone, its state WAITING */
bool pm_sched_grow(pm_sched *sched, pm_sequence *sequence, uint32_t token_count);
void pm_sched_make_room(pm_sched *sched);
void pm_sched_undo_swaps(pm_sched *sched); /* of a batch that has no rows */

/* check.c: the invariants, only where a debug build asks for it. */
void pm_sched_debug_check(const pm_sched *sched);

static inline bool pm_sched_in_batch(const pm_sched *sched, const pm_sequence *sequence)
{
    return sequence->step == sched->step + 1;
}

#endif /* PM_SCHED_SCHEDULER_IMPL_H */
