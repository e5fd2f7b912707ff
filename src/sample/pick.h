/* sample/pick.h - from a row of logits to a token, by numbers that any device can have. Floor 1,
 * host only.
 *
 * The definition of what pm_sample_row asks for (sample_row.h). In this order, as users of
 * llama.cpp expect it:
 *
 *   edits      l += bias; for a recent token l = l > 0 ? l * (1 / repeat) : l * repeat; for one
 *              that was generated l -= frequency * times + presence. What is not finite stays,
 *              bias -inf makes -inf, and numbers too small to be normal are 0.
 *   mask       tokens whose bit is not set cannot come
 *   top_k      the k greatest logits
 *   top_p      of these, the fewest likeliest whose probabilities reach top_p
 *   min_p      of these, the ones at least min_p times as likely as the first
 *   draw       p_i ~ exp(l_i / temperature) over what is left
 *
 * top_p and min_p see the probabilities at temperature 1. vLLM divides by the temperature first;
 * who wants its sets gives top_p and min_p of the sharpened distribution.
 *
 * Exact everywhere: a probability is an integer, the weight
 *   w = trunc(2^23 P(frac t)) 2^(22 + floor t),  t = (l - max l) * scale in f32, scale = log2(e) / temperature,
 * P a polynomial for 2^f in [0, 1]; so the greatest weighs 2^45, and what is 2^-46 times as likely nothing.
 * Sums are of 64 bits, so that their order is free, and PM_SAMPLE_VOCAB_MAX tokens cannot overflow them. Devices
 * and the host compute the same t, since each step is one correctly rounded operation, and so
 * the same weights, sets and tokens. A weight errs by less than 4e-6 of itself, and 1.
 *
 * Invariants:
 *   - Logits are ordered by (greater first, then smaller id); +0 and -0 are equal. What is kept
 *     does not depend on how it was found. At least one token is kept.
 *   - The draw is the smallest kept id whose running sum of weights, in the order of ids, is above
 *     floor(random * sum / 2^64).
 *   - NaN and -inf are never picked. +inf is picked whatever the temperature.
 */
#ifndef PM_SAMPLE_PICK_H
#define PM_SAMPLE_PICK_H

#include "base/error.h"
#include "sample_row.h"

#include <stdbool.h>

/* Weight of a logit below the greatest: see above. 0 to 2^45. most: finite; logit <= most. */
uint64_t pm_sample_weight(float logit, float most, float scale);

/* log2(e) / temperature, kept in [0, 2^100]. */
float pm_sample_scale(float temperature);

/* Draws of `params` (its penalties, biases and masks are the caller's to fill in): everything
 * but edits and mask. temperature not above 0, top_k 1: greedy. */
pm_sample_row pm_sample_row_of(const pm_sample_params *params, uint64_t seed, uint64_t position);

/* The logit of an edited token. */
float pm_sample_edited(const pm_sample_row *row, float logit, uint32_t said, float bias);

/* Edits [vocab] logits in place. input_token: of the row, for PM_SAMPLE_IN_FLIGHT.
 * edits: the step's; those of the row are [edit_start, edit_start + edit_count). */
void pm_sample_edit_logits(const pm_sample_row *row, const pm_sample_edit *edits, uint32_t input_token, float *logits,
                           uint32_t vocab);

/* log softmax of the logits at `token`, and at the row's top_logprobs likeliest tokens. */
void pm_sample_logprobs_of(const pm_sample_row *row, const float *logits, uint32_t vocab, uint32_t token,
                           pm_sample_logprobs *out);

#endif /* PM_SAMPLE_PICK_H */
