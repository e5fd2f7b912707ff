/* push_step_tokens.h - push constants of step_tokens.comp. */
#ifndef PM_PUSH_STEP_TOKENS_H
#define PM_PUSH_STEP_TOKENS_H
#include "pm_shared.h"

PM_PUSH_BEGIN(pm_push_step_tokens)
    PM_ADDRESS tokens;             /* [rows] u32 */
    PM_ADDRESS from;               /* [rows] u32 */
    PM_ADDRESS picked;             /* [outs] u32 */
    PM_ADDRESS rows;               /* u32 */
    PM_U32 vocab;
PM_PUSH_END(pm_push_step_tokens)

#endif /* PM_PUSH_STEP_TOKENS_H */
