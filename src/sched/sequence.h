/* sched/sequence.h - one sequence of tokens on its way through the engine. Floor 2.
 *
 * A sequence has token_count tokens, of which the KV of the first `computed` is in
 * its pages. Each step computes some of the rest; when none is left, the logits of
 * the last token are there and the engine appends the token it picks. A prompt, a
 * decode step and the recompute after a preemption are the same thing.
 */
#ifndef PM_SCHED_SEQUENCE_H
#define PM_SCHED_SEQUENCE_H

#include "kv/pages.h"

typedef enum pm_seq_state {
    PM_SEQ_WAITING,                /* holds no pages */
    PM_SEQ_RUNNING,
    PM_SEQ_FULL,                   /* the pool cannot hold one more token, nobody left to preempt */
    PM_SEQ_DONE,                   /* removed by the engine */
} pm_seq_state;

typedef struct pm_sequence {
    int32_t *tokens;               /* [token_capacity], owned by the request */
    uint32_t token_count, token_capacity;
    uint32_t computed;             /* tokens whose KV is in pages; <= token_count */
    uint32_t logits_from;          /* first position whose logits are wanted; PM_LOGITS_LAST = the last */
    pm_seq_state state;
    pm_block_table table;
    struct pm_sequence *next;      /* in the waiting queue */
} pm_sequence;

#define PM_LOGITS_LAST UINT32_MAX

#endif /* PM_SCHED_SEQUENCE_H */
