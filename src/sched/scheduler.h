/* sched/scheduler.h - which sequences run in the next step, and on which pages. Floor 2.
 *
 * Iteration-level scheduling: sequences that decode come first, one row each; what is
 * left of the step's token budget goes to prompts, in order of arrival, in chunks.
 * Admission is by pages: a waiting sequence starts when the pool can hold all its
 * tokens and one more. When a running sequence needs a page and none is free, the
 * youngest running sequence gives up its pages and recomputes later, ahead of those
 * that wait; its tokens are kept, so its output does not change.
 *
 * Invariants: a sequence is in the running list or in the waiting queue, never both; a
 * waiting sequence holds no pages; running sequences are in order of arrival.
 * Source: G.-I. Yu et al., "Orca", OSDI 2022 (iteration-level scheduling); W. Kwon et
 * al., SOSP 2023, arXiv:2309.06180, section 4.5 (preemption by recompute).
 */
#ifndef PM_SCHED_SCHEDULER_H
#define PM_SCHED_SCHEDULER_H

#include "sched/batch.h"

typedef struct pm_sched_params {
    uint32_t max_seqs;             /* sequences running at once */
    uint32_t max_batch_tokens;     /* rows of one step, >= max_seqs */
    uint32_t max_outs;             /* rows of one step whose logits are wanted, >= max_seqs */
    uint32_t page_count, page_tokens;
} pm_sched_params;

typedef struct pm_sched pm_sched;

/* Allocates all it will ever use. Errors: PM_ERR_NOMEM, PM_ERR_ARG. */
PM_MUST_USE pm_result pm_sched_create(const pm_sched_params *params, pm_sched **out);
void pm_sched_destroy(pm_sched *sched);

/* The sequence waits; state, table, computed and token_count are set, and its table
 * has the capacity for token_capacity tokens. Borrowed until pm_sched_remove(). */
void pm_sched_add(pm_sched *sched, pm_sequence *sequence);

/* Releases its pages and forgets it, running or waiting. */
void pm_sched_remove(pm_sched *sched, pm_sequence *sequence);

/* The next step's batch; rows == 0 when nothing can run. Sequences that the pool
 * cannot grow for get state PM_SEQ_FULL and are not in it: the engine removes them.
 * Borrowed until the next call. */
const pm_batch *pm_sched_pick(pm_sched *sched);

/* The batch has run: its rows are computed. */
void pm_sched_commit(pm_sched *sched, const pm_batch *batch);

/* The pool, for statistics. */
const pm_kv_pages *pm_sched_pages(const pm_sched *sched);
uint32_t pm_sched_preemptions(const pm_sched *sched);

/* Running sequences, oldest first; *count of them. */
pm_sequence *const *pm_sched_running(const pm_sched *sched, uint32_t *count);

#endif /* PM_SCHED_SCHEDULER_H */
