/* sample/penalty.h - logits changed by what was said before. Floor 1, host only. */
#ifndef PM_SAMPLE_PENALTY_H
#define PM_SAMPLE_PENALTY_H

#include <stdint.h>

#define PM_PENALTY_TOKENS 64u      /* of history that the repetition penalty looks at */

/* Makes the tokens of the last PM_PENALTY_TOKENS of history less likely (penalty > 1) or
 * more (< 1): a positive logit is multiplied by 1 / penalty (a division is not
 * rounded alike on all devices), another by the penalty; once
 * per token, however often it was said. Ids outside the vocabulary are passed over.
 *
 * logits: [vocab]. history: [count], oldest first. penalty > 0.
 * Source: N. S. Keskar et al., "CTRL", 2019, arXiv:1909.05858, section 4.1; the rule for
 * logits below 0 is that of the later implementations, as division would favour them. */
void pm_penalty_repeat(float *logits, uint32_t vocab, float penalty, const int32_t *history, uint32_t count);

#endif /* PM_SAMPLE_PENALTY_H */
