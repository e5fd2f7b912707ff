/* op/rmsnorm.h - residual add and RMS norm in one pass. Floor 2. */
#ifndef PM_OP_RMSNORM_H
#define PM_OP_RMSNORM_H

#include "vk/record.h"

/* i = index ? index[r] : r
 * x[i,:] += add[i,:]                                        (when add is given)
 * y[r,:]  = x[i,:] / sqrt(mean(x[i,:]^2) + epsilon) * w     floats dim .. y_stride - 1 get zeros */
typedef struct pm_rmsnorm {
    pm_slice x;                    /* [*, x_stride] f32; updated in place when add is given */
    pm_slice add;                  /* [*, x_stride] f32, or no slice */
    pm_slice w;                    /* [dim] f32 */
    pm_slice y;                    /* [rows_max, y_stride] f32; not x */
    pm_slice index;                /* [rows_max] u32 rows of x, or no slice */
    pm_slice rows;                 /* u32 rows present */
    uint32_t rows_max, dim, x_stride, y_stride;
    float epsilon;
} pm_rmsnorm;

PM_MUST_USE pm_result pm_rmsnorm_record(pm_vk_recorder *recorder, const pm_rmsnorm *n);

#endif /* PM_OP_RMSNORM_H */
