/* op/argmax.h - the greedy token of each row. Floor 2. */
#ifndef PM_OP_ARGMAX_H
#define PM_OP_ARGMAX_H

#include "vk/record.h"

/* tokens[r] = the smallest i with x[r,i] == max(x[r,0 .. n-1]). A NaN never wins; a
 * row of NaN alone gives PM_ARGMAX_NAN. */
typedef struct pm_argmax {
    pm_slice x;                    /* [rows_max, x_stride] f32 */
    pm_slice tokens;               /* [rows_max] u32 */
    pm_slice rows;                 /* u32 rows present */
    uint32_t rows_max, n, x_stride;
} pm_argmax;

#define PM_ARGMAX_NAN UINT32_MAX

PM_MUST_USE pm_result pm_argmax_record(pm_vk_recorder *recorder, const pm_argmax *a);

#endif /* PM_OP_ARGMAX_H */
