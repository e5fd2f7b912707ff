/* sched/batch.h - what one step computes: rows of tokens from many sequences. Floor 2.
 *
 * Row r is one token of sequence row_seq[r]; a sequence's rows are consecutive and in
 * order of position. All arrays are allocated once, at their maximum.
 */
#ifndef PM_SCHED_BATCH_H
#define PM_SCHED_BATCH_H

#include "sched/sequence.h"

typedef struct pm_batch {
    uint32_t rows, seqs, outs;     /* in use */
    uint32_t rows_max, seqs_max, outs_max;
    uint32_t rows_per_seq_max;     /* of this batch; 1 = all decoding */
    uint32_t *tokens;              /* [rows] */
    uint32_t *positions;           /* [rows] */
    uint32_t *slots;               /* [rows] page * page_tokens + index */
    uint32_t *row_seq;             /* [rows] index into sequences */
    uint32_t *row_start;           /* [seqs + 1] */
    uint32_t *kv_len;              /* [seqs] tokens in KV after this step */
    uint32_t *out_rows;            /* [outs] rows whose logits are wanted */
    uint32_t *out_seq;             /* [outs] index into sequences */
    pm_sequence **sequences;       /* [seqs] borrowed */
} pm_batch;

/* Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_batch_init(pm_batch *batch, uint32_t rows_max, uint32_t seqs_max, uint32_t outs_max);
void pm_batch_finish(pm_batch *batch);

#endif /* PM_SCHED_BATCH_H */
