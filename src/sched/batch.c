/* sched/batch.c - what one step computes. */
#include "sched/batch.h"

#include "base/alloc.h"

pm_result pm_batch_init(pm_batch *batch, uint32_t rows_max, uint32_t seqs_max, uint32_t outs_max)
{
    *batch = (pm_batch){.rows_max = rows_max, .seqs_max = seqs_max, .outs_max = outs_max};
    const struct {
        uint32_t **array;
        uint32_t count;
    } arrays[] = {
        {&batch->tokens, rows_max},      {&batch->positions, rows_max}, {&batch->slots, rows_max},
        {&batch->row_seq, rows_max},     {&batch->row_start, seqs_max + 1}, {&batch->kv_len, seqs_max},
        {&batch->out_rows, outs_max},    {&batch->out_seq, outs_max},
    };
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        *arrays[i].array = pm_alloc(arrays[i].count, sizeof(uint32_t), "batch");
        if (*arrays[i].array == NULL)
            goto fail;
    }
    batch->sequences = pm_alloc(seqs_max, sizeof(*batch->sequences), "batch");
    if (batch->sequences != NULL)
        return PM_OK;
fail:
    pm_batch_finish(batch);
    return PM_ERR_NOMEM;
}

void pm_batch_finish(pm_batch *batch)
{
    pm_free(batch->tokens);
    pm_free(batch->positions);
    pm_free(batch->slots);
    pm_free(batch->row_seq);
    pm_free(batch->row_start);
    pm_free(batch->kv_len);
    pm_free(batch->out_rows);
    pm_free(batch->out_seq);
    pm_free(batch->sequences);
    *batch = (pm_batch){0};
}
