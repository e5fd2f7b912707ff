/* sample/sampler.h - from logits to a token. Floor 1, host only.
 *
 * The chain, in the order that users of llama.cpp expect:
 *
 *   repeat_penalty   logits of recent tokens (sample/penalty.h)
 *   top_k            the k greatest logits
 *   top_p            of these, the fewest most likely whose probabilities reach top_p
 *   min_p            of these, the ones at least min_p times as likely as the first
 *   temperature      p_i ~ exp(logit_i / temperature) over what is left, and a draw
 *
 * top_p and min_p see the probabilities at temperature 1.
 *
 * Invariants:
 *   - Logits are ordered by (greater first, then smaller id), so what is kept does not
 *     depend on how it was found. At least one token is always kept.
 *   - The draw is the smallest kept id whose running sum of probabilities, in the order
 *     of ids and in double, exceeds the uniform number of (seed, position).
 *   - NaN and -inf are never picked. +inf is picked whatever the temperature.
 *   - Nothing is allocated after create.
 */
#ifndef PM_SAMPLE_SAMPLER_H
#define PM_SAMPLE_SAMPLER_H

#include "base/error.h"

/* Scratch for one row at a time; one sampler serves all rows in turn. */
typedef struct pm_sampler pm_sampler;

/* vocab: 1 to 2^31 - 1. 20 bytes of scratch a token. Errors: PM_ERR_ARG, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_sampler_create(uint32_t vocab, pm_sampler **out);
void pm_sampler_destroy(pm_sampler *sampler);        /* NULL is fine */

/* The next token of one row, in [0, vocab); -1 when every logit is NaN or -inf.
 *
 * params: in the ranges of pumice.h; its seed is not looked at. Temperature 0 is the
 * greatest logit after the penalty, the smallest id among equals.
 * logits: [vocab], not changed. history: [history_count] the sequence's tokens so far,
 * oldest first. seed, position: choose the draw; position is the number of tokens before
 * this one.
 * O(vocab), and O(log) more per token that top_k or top_p looks at. */
int32_t pm_sample(pm_sampler *sampler, const pm_sample_params *params, const float *logits, const int32_t *history,
                  uint32_t history_count, uint64_t seed, uint64_t position);

#endif /* PM_SAMPLE_SAMPLER_H */
