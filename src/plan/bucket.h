/* plan/bucket.h - the row counts that passes are recorded for. Floor 4, pure.
 *
 * Grids are those of the bucket, and what lies past a batch's rows ends at once, so that
 * what a batch lacks to its bucket costs only where the larger bucket takes kernels that
 * compute in larger tiles. Those change at powers of two (op/matmul.c), and so do the
 * buckets; 12 stands between the chunks of 4 rows and the first matrix of 16. So for every
 * batch the rows that are computed are at most 25 % more than in a pass recorded for just
 * its rows, and the weights are read as often; unit.buckets holds this for each family of
 * kernels. Of a grid less than half ends at once.
 */
#ifndef PM_PLAN_BUCKET_H
#define PM_PLAN_BUCKET_H

#include <stdint.h>

#define PM_BUCKETS_MAX 14u         /* 1, 2, 4, 8, 12, 16, 32 .. 4096 */

/* The bucket after `rows`, itself a bucket, where rows_max is the last; 0 = there is none. */
static inline uint32_t pm_bucket_next(uint32_t rows, uint32_t rows_max)
{
    const uint32_t next = rows == 8 ? 12 : rows == 12 ? 16 : rows * 2;
    return rows >= rows_max ? 0 : next < rows_max ? next : rows_max;
}

#endif /* PM_PLAN_BUCKET_H */
