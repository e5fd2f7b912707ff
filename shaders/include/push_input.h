/* push_input.h - push constants of input.comp. */
#ifndef PM_PUSH_INPUT_H
#define PM_PUSH_INPUT_H
#include "pm_shared.h"

#define PM_INPUT_ROW_SHIFT 20      /* element (r, c) of a matrix is element r * 2^20 + c of the stream */

PM_PUSH_BEGIN(pm_push_input)
    PM_ADDRESS y;                  /* [rows, stride] f32 as bits */
    PM_U32 seed_low, seed_high;
    PM_U32 kind;                   /* PM_INPUT_... */
    PM_U32 columns, stride;        /* floats; elements columns .. stride - 1 get zeros */
PM_PUSH_END(pm_push_input)

#endif /* PM_PUSH_INPUT_H */
