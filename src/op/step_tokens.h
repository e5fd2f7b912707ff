/* op/step_tokens.h - tokens that the batch before has picked. Floor 2. */
#ifndef PM_OP_STEP_TOKENS_H
#define PM_OP_STEP_TOKENS_H

#include "vk/record.h"

#define PM_STEP_TOKEN_PICKED UINT32_MAX

/* tokens[r] = picked[from[r]] where tokens[r] is PM_STEP_TOKEN_PICKED; 0 where that is no
 * id below vocab. */
typedef struct pm_step_tokens {
    pm_slice tokens, from;         /* [rows_max] u32 */
    pm_slice picked;               /* u32 */
    pm_slice rows;                 /* u32 rows present */
    uint32_t rows_max, vocab;
} pm_step_tokens;

PM_MUST_USE pm_result pm_step_tokens_record(pm_vk_recorder *recorder, const pm_step_tokens *s);

#endif /* PM_OP_STEP_TOKENS_H */
