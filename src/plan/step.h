/* plan/step.h - what changes from step to step, in one mapped buffer. Floor 4.
 *
 * Recorded plans read it on the device; the host rewrites it before each run.
 */
#ifndef PM_PLAN_STEP_H
#define PM_PLAN_STEP_H

#include "sched/batch.h"
#include "vk/buffer.h"

typedef struct pm_step {
    pm_vk_buffer *buffer;          /* owned; PM_VK_UPLOAD */
    uint32_t rows_max, seqs_max, outs_max;
    uint32_t table_stride;         /* page ids of one block table */
    pm_slice rows, outs;           /* u32 in use */
    pm_slice tokens, positions, slots, row_seq; /* [rows_max] u32 */
    pm_slice row_start;            /* [seqs_max + 1] u32 */
    pm_slice kv_len;               /* [seqs_max] u32 */
    pm_slice out_rows;             /* [outs_max] u32 */
    pm_slice block_tables;         /* [seqs_max, table_stride] u32 */
} pm_step;

/* Errors: PM_ERR_DEVMEM, PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_step_init(pm_step *step, pm_vk_device *device, uint32_t rows_max, uint32_t seqs_max,
                                   uint32_t outs_max, uint32_t table_stride);
void pm_step_finish(pm_step *step);

/* Copies the batch and its sequences' block tables. Allocates nothing. */
void pm_step_write(const pm_step *step, const pm_batch *batch);

#endif /* PM_PLAN_STEP_H */
