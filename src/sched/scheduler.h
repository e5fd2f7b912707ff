/* sched/scheduler.h - which sequences run in the next step, and on which pages. Floor 2.
 *
 * Iteration-level scheduling: sequences that decode come first, one row each (and the rows
 * of their drafts where there is room); what is left of the step's token budget goes to
 * prompts, in chunks, in order of rank.
 *
 * Rank is arrival less what priority is worth: one level counts as `aging_ns` of waiting.
 * It never changes, so a request is only ever overtaken by those that arrive soon after it,
 * and waits for a bounded time whatever comes later.
 *
 * Admission is by pages: a waiting sequence starts when the pool can hold all its tokens
 * and one more, and the reserve is left for those that run. Lighter ones may pass one that
 * does not fit, pass_max times; then it is its turn. When a running sequence needs a page
 * and none is free, the one of the last rank gives up its pages: to host slots where there
 * are any, else it recomputes later; its tokens are kept, so its output does not change.
 * A waiting sequence of higher priority takes the place of running ones in the same way.
 *
 * Two batches exist. pm_sched_pick() may be called again before the batch before has been
 * committed, and no more than once; a sequence in it then gets a row whose token is not
 * known yet (PM_TOKEN_PICKED). Batches are committed in the order they were picked.
 *
 *     pick 1 | submit 1 | pick 2 | submit 2 | wait 1, commit 1, append | pick 3 | ...
 *
 * Invariants (pm_sched_check(), on in debug builds before and after each pick, so after every call that
 * came between, and after a reset): a sequence is in the running list, the waiting queue or its
 * parent's list of forks, just one; only running sequences hold pages; running and waiting
 * are in order of rank; each page's references are those of the tables that hold it.
 * Cost: pick and commit are O(running + rows), nothing allocates after create.
 * Source: G.-I. Yu et al., "Orca", OSDI 2022 (iteration-level scheduling); W. Kwon et
 * al., SOSP 2023, arXiv:2309.06180, section 4.5 (preemption); A. Agrawal et al.,
 * "Sarathi-Serve", OSDI 2024, arXiv:2403.02310 (chunked prompts).
 */
#ifndef PM_SCHED_SCHEDULER_H
#define PM_SCHED_SCHEDULER_H

#include "sched/batch.h"

typedef struct pm_sched_params {
    uint32_t max_seqs;             /* sequences running at once */
    uint32_t max_batch_tokens;     /* rows of one step, >= max_seqs */
    uint32_t max_outs;             /* rows of one step whose logits are wanted, >= max_seqs */
    uint32_t page_count, page_tokens;
    uint32_t reserve_pages;        /* stay free at admission, unless nothing runs */
    uint32_t swap_slots;           /* pages of host memory for those that give way; 0 = recompute */
    uint32_t pass_max;             /* see above; 0 = 32 */
    uint64_t aging_ns;             /* waiting that one level of priority is worth; 0 = 10 s */
    pm_prefix_hash key;            /* of the names of pages; zero = drawn */
    bool no_cache;                 /* no prefix cache */
} pm_sched_params;

typedef struct pm_sched_stats {
    uint32_t running, waiting;     /* now; waiting with the swapped and the forks */
    uint64_t steps;                /* batches with rows */
    uint64_t rows, draft_rows, accepted_drafts;
    uint64_t dropped_rows;         /* computed ahead for a sequence that had ended */
    uint64_t preemptions;          /* by recompute and by swap */
    uint64_t swapped_out, swapped_in; /* pages */
    uint64_t copies;               /* pages copied on write */
    uint64_t recomputed_tokens;    /* whose KV was thrown away by preemptions */
    uint64_t prompt_tokens, cached_tokens; /* of admissions, and how many of them came from the cache */
    uint64_t queue_ns, admissions; /* first admissions, and their waiting, summed */
} pm_sched_stats;

typedef struct pm_sched pm_sched;

/* Allocates all it will ever use. Errors: PM_ERR_NOMEM, PM_ERR_ARG. */
PM_MUST_USE pm_result pm_sched_create(const pm_sched_params *params, pm_sched **out);
void pm_sched_destroy(pm_sched *sched);

/* Whether the pool can ever hold so many tokens; at submit, from any thread. */
bool pm_sched_can_hold(const pm_sched *sched, uint32_t token_count);

/* The root of sequences with this adapter (0 = none) and salt (NULL = none); any thread. */
pm_prefix_hash pm_sched_root(const pm_sched *sched, uint32_t adapter, const void *salt, size_t bytes);

/* The clock, for ranks, deadlines and waiting times; it does not go back. 0 at create. */
void pm_sched_set_now(pm_sched *sched, uint64_t now_ns);

/* Rows of one step: `rows` in all (clamped to [max_seqs, max_batch_tokens]), of which those
 * of prompts at most `prompt_rows` while others decode, so that their steps stay short; rows
 * behind more than `prompt_depth` tokens, >= 1, count for more (sched/depth.h), but of the first
 * prompt there is always one. With 0 prompts wait for as long. Until set: max_batch_tokens both,
 * at any depth. */
void pm_sched_set_budget(pm_sched *sched, uint32_t rows, uint32_t prompt_rows, uint32_t prompt_depth);

/* Rows that those that decode have in the batch of a pm_sched_pick() now, guesses included. */
uint32_t pm_sched_decoding(const pm_sched *sched);

/* Whether a pm_sched_pick() now might read prompts: one is running, or somebody waits. */
bool pm_sched_has_prompts(const pm_sched *sched);

/* The sequence waits. Its prompt is in tokens, and pm_sched_can_hold() it. Borrowed until
 * pm_sched_remove(). */
void pm_sched_add(pm_sched *sched, pm_sequence *sequence);

/* Like pm_sched_add(), for a sequence that begins with the same tokens as `parent`, which
 * is known to the scheduler: the next of n samples. It waits until all but the last of its
 * tokens are computed there, then holds the same pages. When the parent ends before, it is
 * a sequence like others. */
void pm_sched_fork(pm_sched *sched, pm_sequence *parent, pm_sequence *child);

/* Releases what it holds and forgets it, in whatever state, at any time; its memory may go.
 * Rows of it in batches in flight are dropped: sequences[] there becomes NULL. */
void pm_sched_remove(pm_sched *sched, pm_sequence *sequence);

/* The next step's batch; rows == 0 when nothing can run (it then needs no commit).
 * Borrowed until the next but one call. At most one other batch is in flight: where all that
 * decode are in it and need the host first, the next is left to them, for a batch of prompts
 * between two of theirs would make them wait for as many rows as a step can have. */
const pm_batch *pm_sched_pick(pm_sched *sched);

/* The batch, the oldest in flight, has run: its rows are computed, and drafts beyond
 * accepted[] are cut off. Then the engine appends to (or removes) each sequence that has
 * outputs. */
void pm_sched_commit(pm_sched *sched, const pm_batch *batch);

/* The next sequence that pm_sched_pick() has ended (PM_SEQ_FULL, PM_SEQ_EXPIRED); NULL =
 * no more. The engine removes it. */
pm_sequence *pm_sched_ended(pm_sched *sched);

/* The device is lost: no batch is in flight, no page holds anything. All sequences wait and
 * compute their tokens again. */
void pm_sched_reset(pm_sched *sched);

/* Whether anything is known that has not ended; whether batches are in flight. */
bool pm_sched_busy(const pm_sched *sched);
uint32_t pm_sched_in_flight(const pm_sched *sched);

/* The pool, for statistics. */
const pm_kv_pages *pm_sched_pages(const pm_sched *sched);
void pm_sched_get_stats(const pm_sched *sched, pm_sched_stats *out);

/* Asserts the invariants. O(everything). */
void pm_sched_check(const pm_sched *sched);

#endif /* PM_SCHED_SCHEDULER_H */
