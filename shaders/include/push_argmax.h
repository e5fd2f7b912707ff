/* push_argmax.h - push constants of argmax*.comp. */
#ifndef PM_PUSH_ARGMAX_H
#define PM_PUSH_ARGMAX_H
#include "pm_shared.h"

PM_PUSH_BEGIN(pm_push_argmax)
    PM_ADDRESS x;                  /* [rows, x_stride] f32 */
    PM_ADDRESS tokens;             /* [rows] u32 */
    PM_ADDRESS rows;               /* u32 */
    PM_U32 n;
    PM_U32 x_stride;               /* floats */
PM_PUSH_END(pm_push_argmax)

#endif /* PM_PUSH_ARGMAX_H */
