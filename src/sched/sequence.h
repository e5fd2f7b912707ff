/* sched/sequence.h - one sequence of tokens on its way through the engine. Floor 2.
 *
 * A sequence has token_count tokens, of which the KV of the first `computed` is in its
 * pages. Each step computes some of the rest; when none is left, the logits of the last
 * token are there and the engine appends the token it picks. A prompt, a decode step, the
 * recompute after a preemption and the check of drafted tokens are the same thing.
 *
 * With a batch in flight the sequence is ahead of what is known: `scheduled` tokens will
 * have their KV when that batch is done, and `picked` tokens will follow tokens[].
 *
 *   0 ........ computed ........ scheduled ... token_count ... token_count + picked
 *     KV is there      KV is coming        known, no KV     being picked
 *   (scheduled may pass token_count: a row can be computed from a token not known yet)
 *
 * The engine fills the first block, zeroes the rest (pm_sequence_init()) and appends with
 * pm_sequence_append(); all else is the scheduler's.
 */
#ifndef PM_SCHED_SEQUENCE_H
#define PM_SCHED_SEQUENCE_H

#include "kv/pages.h"

typedef enum pm_seq_state {
    PM_SEQ_WAITING,                /* holds no pages */
    PM_SEQ_SWAPPED,                /* waits; its pages are in host slots */
    PM_SEQ_FORKING,                /* waits for its parent's prompt to be computed; holds no pages */
    PM_SEQ_RUNNING,
    PM_SEQ_FULL,                   /* ended: the pool cannot hold one more token, nobody left to preempt */
    PM_SEQ_EXPIRED,                /* ended: its deadline has passed */
    PM_SEQ_DONE,                   /* removed by the engine */
} pm_seq_state;

#define PM_LOGITS_LAST UINT32_MAX

typedef struct pm_sequence {
    int32_t *tokens;               /* [token_capacity], owned by the request */
    uint32_t token_count;          /* known tokens, drafts included */
    uint32_t token_capacity;       /* prompt and answer; the answer's last token needs no KV */
    uint32_t logits_from;          /* first position whose logits are wanted; PM_LOGITS_LAST = the last.
                                    * Moves on with what has been handed out, so nothing comes twice. */
    int32_t priority;              /* in [-PM_PRIORITY_MAX, PM_PRIORITY_MAX], higher goes first */
    uint64_t deadline_ns;          /* on the scheduler's clock; 0 = none */
    pm_prefix_hash root;           /* pm_sched_root(): what the sequence may share pages with */
    bool no_cache;                 /* neither takes cached pages nor leaves any */
    bool no_ahead;                 /* the host must see each token before the next row can be computed */

    pm_seq_state state;
    uint32_t computed, scheduled;  /* see above; computed <= scheduled */
    uint32_t picked;               /* tokens being picked: 0, 1, or 2 between two picks */
    uint32_t drafts;               /* the last tokens are guesses; they are checked in one step */
    uint32_t cached_tokens;        /* of the first admission: taken from cache or parent; what it lost and found again is not */
    uint32_t preemptions;          /* of this sequence */
    uint32_t epoch;                /* of its pages: rows picked in an earlier one have lost their KV */
    uint32_t passed;               /* times that a later one was admitted first */
    uint64_t arrival_ns, admitted_ns; /* of pm_sched_add() and of the first admission */
    uint64_t serial;               /* order of pm_sched_add() */
    int64_t rank;                  /* arrival less what its priority is worth; lower goes first */
    uint64_t step;                 /* the last batch that it has rows in */
    uint32_t place[2];             /* its index in either batch; UINT32_MAX = not there */
    pm_block_table table;
    struct pm_sequence *next, *prev;           /* in the waiting queue, or in the list of the ended */
    struct pm_sequence *later, *sooner;        /* in the list of deadlines */
    struct pm_sequence *parent, *child, *sibling; /* forks: of whom, the first of mine, the next of the same */
} pm_sequence;

#define PM_PRIORITY_MAX 100

/* An empty sequence with room for token_capacity tokens, all memory it will ever need.
 * Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_sequence_init(pm_sequence *sequence, uint32_t token_capacity, uint32_t page_tokens);

/* Frees the memory; the scheduler does not know it any longer. */
void pm_sequence_finish(pm_sequence *sequence);

/* The token that was picked from the logits of the last one. Between pm_sched_commit() and
 * the next pm_sched_pick(). token_count < token_capacity. */
void pm_sequence_append(pm_sequence *sequence, int32_t token);

/* True when one guess, or one more, can be taken: it runs, just the last token before the
 * guesses lacks its KV, nothing is in flight, and there is room for the token that is picked
 * after them. */
bool pm_sequence_may_draft(const pm_sequence *sequence);

/* Guesses what will follow, behind what was guessed before: up to `count` tokens, while
 * pm_sequence_may_draft(). Returns how many were taken; pm_sched_pick() may cut them. */
uint32_t pm_sequence_draft(pm_sequence *sequence, const int32_t *tokens, uint32_t count);

#endif /* PM_SCHED_SEQUENCE_H */
