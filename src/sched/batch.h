/* sched/batch.h - what one step computes: rows of tokens from many sequences. Floor 2.
 *
 * Row r is one token of sequence row_seq[r]; a sequence's rows are consecutive and in
 * order of position. All arrays are allocated once, at their maximum.
 *
 * The device does, in this order, each after all of the one before:
 *   swap_outs   page -> host slot
 *   swap_ins    host slot -> page
 *   copies      page -> page              (no page is both source and destination)
 *   rows
 * and batches in the order in which they were picked. Pages are handed on at once when
 * their sequence ends or gives way, trusting in that order.
 */
#ifndef PM_SCHED_BATCH_H
#define PM_SCHED_BATCH_H

#include "kv/swap.h"
#include "sched/sequence.h"

/* tokens[row]: the token is being picked by the batch before, as its output token_from[row]. */
#define PM_TOKEN_PICKED UINT32_MAX

typedef struct pm_page_copy {
    pm_page_id from, to;
} pm_page_copy;

typedef struct pm_batch {
    uint64_t step;                 /* of pm_sched_pick(), from 1 */
    uint32_t rows, seqs, outs;     /* in use */
    uint32_t rows_max, seqs_max, outs_max;
    uint32_t rows_per_seq_max;     /* of this batch; 1 = all decoding */
    uint32_t picked_rows;          /* rows whose token is PM_TOKEN_PICKED */
    uint32_t *tokens;              /* [rows] a token, or PM_TOKEN_PICKED */
    uint32_t *token_from;          /* [rows] out index of the batch before; valid with PM_TOKEN_PICKED, else 0 */
    uint32_t *positions;           /* [rows] */
    uint32_t *slots;               /* [rows] page * page_tokens + index */
    uint32_t *row_seq;             /* [rows] index into sequences */
    uint32_t *row_start;           /* [seqs + 1] */
    uint32_t *kv_len;              /* [seqs] tokens in KV after this step */
    uint32_t *drafts;              /* [seqs] the last rows whose tokens are guesses; each row from the one before
                                    * them on has an output */
    uint32_t *accepted;            /* [seqs] written by the engine before commit: how many of them were right; 0 */
    uint32_t *picks;               /* [seqs] 1: the last output is of the sequence's last token, a token follows it */
    uint32_t *epochs;              /* [seqs] the sequence's, when it was picked */
    uint32_t *out_start;           /* [seqs + 1] a sequence's outputs are consecutive, in order of position */
    uint32_t *out_rows;            /* [outs] rows whose logits are wanted */
    uint32_t *out_seq;             /* [outs] index into sequences */
    pm_sequence **sequences;       /* [seqs] borrowed; NULL = removed since: its outputs are to be dropped */
    const pm_block_table **tables; /* [seqs] the pages of each */
    pm_page_copy *copies;          /* [copy_count] */
    pm_kv_move *swap_outs, *swap_ins;
    uint32_t copy_count, copies_max, swap_out_count, swap_in_count, moves_max;
} pm_batch;

/* moves_max: of pages swapped in one step. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_batch_init(pm_batch *batch, uint32_t rows_max, uint32_t seqs_max, uint32_t outs_max,
                                    uint32_t moves_max);
void pm_batch_finish(pm_batch *batch);

#endif /* PM_SCHED_BATCH_H */
