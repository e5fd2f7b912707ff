/* plan/step.h - what changes from step to step, in one mapped buffer. Floor 4.
 *
 * Recorded plans read it on the device; the host rewrites it before each run.
 */
#ifndef PM_PLAN_STEP_H
#define PM_PLAN_STEP_H

#include "sample_row.h"
#include "sched/batch.h"
#include "vk/buffer.h"

/* How the tokens of a batch's outputs are picked, where not all are greedy. */
typedef struct pm_step_samples {
    const pm_sample_row *rows;     /* [outs] */
    const pm_sample_edit *edits;   /* [edit_count], of which the rows have parts */
    uint32_t edit_count;
    const uint32_t *const *masks;  /* [mask_count] of mask_words each; row->mask - 1 is one of them */
    uint32_t mask_count;
} pm_step_samples;

/* Edits of one step: so many a sequence. */
#define PM_STEP_EDITS 1024u

typedef struct pm_step {
    pm_vk_buffer *buffer;          /* owned; PM_VK_UPLOAD */
    uint32_t rows_max, seqs_max, outs_max;
    uint32_t table_stride;         /* page ids of one block table */
    pm_slice rows, outs, copy_count, swap_out_count, swap_in_count; /* u32 in use */
    pm_slice tokens, token_from, positions, slots, row_seq; /* [rows_max] u32 */
    pm_slice row_start;            /* [seqs_max + 1] u32 */
    pm_slice kv_len;               /* [seqs_max] u32 */
    pm_slice out_rows;             /* [outs_max] u32 */
    pm_slice block_tables;         /* [seqs_max, table_stride] u32 */
    pm_slice copies;               /* [seqs_max, 2] u32 pages, from and to */
    pm_slice samples;              /* [outs_max] pm_sample_row */
    pm_slice edits;                /* [edits_max] pm_sample_edit */
    pm_slice masks;                /* [seqs_max, mask_words] u32 */
    uint32_t edits_max, mask_words;
    pm_slice swap_outs, swap_ins;  /* [moves_max, 2] u32 page and slot, slot and page; moves_max may be 0 */
} pm_step;

/* Errors: PM_ERR_DEVMEM, PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_step_init(pm_step *step, pm_vk_device *device, uint32_t rows_max, uint32_t seqs_max,
                                   uint32_t outs_max, uint32_t moves_max, uint32_t table_stride, uint32_t vocab);
void pm_step_finish(pm_step *step);

/* Copies the batch and its sequences' block tables. Allocates nothing. */
void pm_step_write(const pm_step *step, const pm_batch *batch);

/* Copies what its outputs are picked by. Allocates nothing. */
void pm_step_write_samples(const pm_step *step, const pm_batch *batch, const pm_step_samples *samples);

#endif /* PM_PLAN_STEP_H */
