/* push_swiglu.h - push constants of swiglu*.comp. */
#ifndef PM_PUSH_SWIGLU_H
#define PM_PUSH_SWIGLU_H
#include "pm_shared.h"

PM_PUSH_BEGIN(pm_push_swiglu)
    PM_ADDRESS x;                  /* [rows, x_stride] f32: gate, then up */
    PM_ADDRESS y;                  /* [rows, y_stride] f32 */
    PM_ADDRESS rows;               /* u32 */
    PM_U32 hidden;
    PM_U32 x_stride, y_stride;     /* floats */
PM_PUSH_END(pm_push_swiglu)

#endif /* PM_PUSH_SWIGLU_H */
