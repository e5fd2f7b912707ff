/* sched/batch.c - what one step computes. */
#include "sched/batch.h"

#include "base/alloc.h"

pm_result pm_batch_init(pm_batch *batch, uint32_t rows_max, uint32_t seqs_max, uint32_t outs_max, uint32_t moves_max)
{
    *batch = (pm_batch){.rows_max = rows_max, .seqs_max = seqs_max, .outs_max = outs_max, .copies_max = seqs_max,
                        .moves_max = moves_max};
    const struct {
        uint32_t **array;
        uint32_t count;
    } arrays[] = {
        {&batch->tokens, rows_max},    {&batch->token_from, rows_max},    {&batch->positions, rows_max},
        {&batch->slots, rows_max},     {&batch->row_seq, rows_max},       {&batch->row_start, seqs_max + 1},
        {&batch->kv_len, seqs_max},    {&batch->drafts, seqs_max},        {&batch->accepted, seqs_max},
        {&batch->picks, seqs_max},     {&batch->epochs, seqs_max},        {&batch->out_start, seqs_max + 1},
        {&batch->out_rows, outs_max},  {&batch->out_seq, outs_max},
    };
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        *arrays[i].array = pm_alloc(arrays[i].count, sizeof(uint32_t), "batch");
        if (*arrays[i].array == NULL)
            goto fail;
    }
    batch->sequences = pm_alloc(seqs_max, sizeof(pm_sequence *), "batch");
    batch->tables = pm_alloc(seqs_max, sizeof(pm_block_table *), "batch");
    batch->copies = pm_alloc(seqs_max, sizeof(*batch->copies), "batch");
    batch->swap_outs = pm_alloc(moves_max, sizeof(*batch->swap_outs), "batch");
    batch->swap_ins = pm_alloc(moves_max, sizeof(*batch->swap_ins), "batch");
    if (batch->sequences != NULL && batch->tables != NULL && batch->copies != NULL && batch->swap_outs != NULL &&
        batch->swap_ins != NULL)
        return PM_OK;
fail:
    pm_batch_finish(batch);
    return PM_ERR_NOMEM;
}

void pm_batch_finish(pm_batch *batch)
{
    uint32_t *const arrays[] = {batch->tokens,   batch->token_from, batch->positions, batch->slots,     batch->row_seq,
                                batch->row_start, batch->kv_len,    batch->drafts,    batch->accepted,  batch->picks,
                                batch->epochs,   batch->out_start,  batch->out_rows,  batch->out_seq};
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
        pm_free(arrays[i]);
    pm_free(batch->sequences);
    pm_free(batch->tables);
    pm_free(batch->copies);
    pm_free(batch->swap_outs);
    pm_free(batch->swap_ins);
    *batch = (pm_batch){0};
}
