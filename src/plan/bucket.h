/* plan/bucket.h - the row counts that passes are recorded for. Floor 4, pure.
 *
 * Grids are those of the bucket, and what lies past a batch's rows ends at once, so that
 * what a batch lacks to its bucket costs only where the larger bucket takes kernels that
 * compute in larger tiles. Buckets are close, since a CPU driver computes all rows that its kernel
 * was made for (op/matmul.c): all counts up to 6, even ones and 9 up to 16, 4 apart up to 64, and
 * above four to an octave: what a batch lacks is a fourth at most. So for every batch the rows that are computed are at most 25 % more
 * than in a pass recorded for just its rows, and the weights are read as often; unit.buckets
 * holds this for each family of kernels.
 */
#ifndef PM_PLAN_BUCKET_H
#define PM_PLAN_BUCKET_H

#include <stdint.h>

#define PM_BUCKETS_MAX 48u         /* 1, 2 .. 6, 8, 9, 10, 12 .. 16, 20, 24 .. 64, 80, 96, 112, 128, 160 .. 4096 */

/* The bucket after `rows`, itself a bucket, where rows_max is the last; 0 = there is none. */
static inline uint32_t pm_bucket_next(uint32_t rows, uint32_t rows_max)
{
    uint32_t step = rows < 6 || rows == 8 || rows == 9 ? 1 : rows < 16 ? 2 : 4;
    while (rows >= 64 && rows >= step * 8)
        step *= 2;
    return rows >= rows_max ? 0 : rows_max - rows < step ? rows_max : rows + step;
}

#endif /* PM_PLAN_BUCKET_H */
