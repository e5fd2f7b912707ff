/* push_sample.h - push constants of sample.comp, sample_edit.comp and sample_logprobs.comp. */
#ifndef PM_PUSH_SAMPLE_H
#define PM_PUSH_SAMPLE_H
#include "pm_shared.h"

PM_PUSH_BEGIN(pm_push_sample)
    PM_ADDRESS logits;             /* [rows, stride] f32 */
    PM_ADDRESS params;             /* [rows] pm_sample_row */
    PM_ADDRESS masks;              /* [masks, ceil(n / 32)] u32 */
    PM_ADDRESS rows;               /* u32 */
    PM_ADDRESS tokens;             /* [rows] u32 */
    PM_ADDRESS flags;              /* [rows] u32 */
    PM_ADDRESS logprobs;           /* [rows] pm_sample_logprobs */
    PM_ADDRESS edits;              /* pm_sample_edit */
    PM_ADDRESS saved;              /* [edits_max + rows] f32 */
    PM_ADDRESS inputs;             /* u32 tokens of the step's rows */
    PM_ADDRESS input_rows;         /* [rows] u32 */
    PM_U32 n;
    PM_U32 stride;                 /* floats */
    PM_U32 edits_max;
PM_PUSH_END(pm_push_sample)

#endif /* PM_PUSH_SAMPLE_H */
