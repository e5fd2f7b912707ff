/* push_quantise.h - push constants of quantise.comp. */
#ifndef PM_PUSH_QUANTISE_H
#define PM_PUSH_QUANTISE_H
#include "pm_shared.h"
#include "q8_block.h"

PM_PUSH_BEGIN(pm_push_quantise)
    PM_ADDRESS x;                  /* [rows, x_stride] f32 */
    PM_ADDRESS y;                  /* [ceil(rows / 4), blocks, PM_Q8_WORDS] u32 */
    PM_ADDRESS rows;               /* u32 */
    PM_U32 blocks;                 /* ceil(k / 32) */
    PM_U32 x_stride;               /* floats */
PM_PUSH_END(pm_push_quantise)

#endif /* PM_PUSH_QUANTISE_H */
