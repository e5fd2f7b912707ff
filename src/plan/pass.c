/* plan/pass.c - which recorded passes a batch takes. */
#include "plan/pass.h"

#include "base/error.h"

#define MIXED_FIRST 2u             /* rows of the least body that is not all decoding */

static void add_buckets(pm_pass_table *table, pm_pass_kind kind, uint32_t first, uint32_t last)
{
    for (uint32_t rows = first; rows != 0; rows = pm_bucket_next(rows, last)) {
        pm_assert(table->count[kind] < PM_BUCKETS_MAX);
        table->rows[kind][table->count[kind]++] = rows;
    }
}

void pm_pass_table_init(pm_pass_table *table, uint32_t rows_max, uint32_t seqs_max, uint32_t outs_max, bool sample)
{
    *table = (pm_pass_table){.seqs_max = seqs_max};
    add_buckets(table, PM_PASS_PAGES, seqs_max, seqs_max);
    add_buckets(table, PM_PASS_DECODE, 1, seqs_max);
    add_buckets(table, PM_PASS_HEAD, 1, outs_max);
    add_buckets(table, PM_PASS_COPY, 1, outs_max);
    if (rows_max > 1) /* a row alone always decodes */
        add_buckets(table, PM_PASS_MIXED, MIXED_FIRST, rows_max);
    if (sample)
        add_buckets(table, PM_PASS_SAMPLING, 1, outs_max);
}

/* The smallest bucket that holds the rows. */
static pm_pass smallest(const pm_pass_table *table, pm_pass_kind kind, uint32_t rows)
{
    uint32_t bucket = 0;
    while (bucket < table->count[kind] && table->rows[kind][bucket] < rows)
        bucket++;
    pm_assert(bucket < table->count[kind] && "a pass for every batch that the scheduler can make");
    return (pm_pass){kind, bucket, table->rows[kind][bucket]};
}

uint32_t pm_passes_of(const pm_pass_table *table, const pm_batch *batch, bool drawn, bool logits,
                      pm_pass passes[PM_BATCH_PASSES])
{
    const bool decode = batch->rows_per_seq_max == 1 && batch->rows <= table->seqs_max;
    uint32_t count = 0;
    if (batch->copy_count + batch->swap_out_count + batch->swap_in_count > 0)
        passes[count++] = smallest(table, PM_PASS_PAGES, 1);
    passes[count++] = smallest(table, decode ? PM_PASS_DECODE : PM_PASS_MIXED, batch->rows);
    if (batch->outs > 0)
        passes[count++] = smallest(table, drawn ? PM_PASS_SAMPLING : PM_PASS_HEAD, batch->outs);
    if (batch->outs > 0 && logits)
        passes[count++] = smallest(table, PM_PASS_COPY, batch->outs);
    return count;
}

uint32_t pm_passes_all(const pm_pass_table *table, pm_pass passes[PM_PASS_KINDS * PM_BUCKETS_MAX])
{
    uint32_t count = 0;
    for (uint32_t kind = 0; kind < PM_PASS_KINDS; kind++)
        for (uint32_t bucket = 0; bucket < table->count[kind]; bucket++)
            passes[count++] = (pm_pass){(pm_pass_kind)kind, bucket, table->rows[kind][bucket]};
    return count;
}
