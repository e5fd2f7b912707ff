/* plan/pass.h - which recorded passes a batch takes. Floor 4, pure.
 *
 * A pass is one list of dispatches for a bucket of rows (plan/bucket.h): a body, a head, or a copy. */
#ifndef PM_PLAN_PASS_H
#define PM_PLAN_PASS_H

#include "plan/bucket.h"
#include "sched/batch.h"

#include <stdbool.h>

typedef enum pm_pass_kind {
    PM_PASS_PAGES,                 /* ways of pages; one for any number of them */
    PM_PASS_DECODE,                /* body of rows of which each is its sequence's only one */
    PM_PASS_HEAD,                  /* logits, and the greatest of them */
    PM_PASS_COPY,                  /* the logits to the host */
    PM_PASS_MIXED,                 /* body of any rows */
    PM_PASS_SAMPLING,              /* logits, tokens that are drawn, and log-probabilities */
    PM_PASS_KINDS
} pm_pass_kind;

typedef struct pm_pass {
    pm_pass_kind kind;
    uint32_t bucket;               /* index among those of its kind */
    uint32_t rows;                 /* of the bucket */
} pm_pass;

#define PM_BATCH_PASSES 4u         /* of one batch at most */

/* The buckets of each kind. */
typedef struct pm_pass_table {
    uint32_t seqs_max;
    uint32_t count[PM_PASS_KINDS], rows[PM_PASS_KINDS][PM_BUCKETS_MAX]; /* ascending */
} pm_pass_table;

/* sample: passes that draw are wanted. */
void pm_pass_table_init(pm_pass_table *table, uint32_t rows_max, uint32_t seqs_max, uint32_t outs_max, bool sample);

/* The passes of a batch, in the order in which they run; returns how many. drawn: not all tokens are greedy. */
uint32_t pm_passes_of(const pm_pass_table *table, const pm_batch *batch, bool drawn, bool logits,
                      pm_pass passes[PM_BATCH_PASSES]);

/* All that there are; returns how many. */
uint32_t pm_passes_all(const pm_pass_table *table, pm_pass passes[PM_PASS_KINDS * PM_BUCKETS_MAX]);

#endif /* PM_PLAN_PASS_H */
