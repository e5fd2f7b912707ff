/* op/swiglu.h - y = silu(gate) * up. Floor 2. */
#ifndef PM_OP_SWIGLU_H
#define PM_OP_SWIGLU_H

#include "vk/record.h"

typedef struct pm_swiglu {
    pm_slice gate_up;              /* [rows_max, x_stride] f32: gate in 0 .. hidden - 1, up in
                                      hidden .. 2 hidden - 1 */
    pm_slice y;                    /* [rows_max, y_stride] f32; floats hidden .. y_stride - 1 get zeros */
    pm_slice rows;                 /* u32 rows present */
    uint32_t rows_max, hidden, x_stride, y_stride;
} pm_swiglu;

PM_MUST_USE pm_result pm_swiglu_record(pm_vk_recorder *recorder, const pm_swiglu *s);

#endif /* PM_OP_SWIGLU_H */
