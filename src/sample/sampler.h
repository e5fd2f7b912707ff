/* sample/sampler.h - from logits to a token. Floor 1, host only.
 *
 * The chain, its order, and the integers that make its results the same on every device
 * are those of sample/pick.h. Nothing is allocated after create.
 */
#ifndef PM_SAMPLE_SAMPLER_H
#define PM_SAMPLE_SAMPLER_H

#include "sample/pick.h"

/* Scratch for one row at a time; one sampler serves all rows in turn. */
typedef struct pm_sampler pm_sampler;

/* vocab: 1 to PM_SAMPLE_VOCAB_MAX. 20 bytes of scratch a token. Errors: PM_ERR_ARG, PM_ERR_NOMEM. */
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

/* The same with all that a row can ask for, as the device does it (op/sample.h): its token, or
 * PM_SAMPLE_NO_TOKEN with PM_SAMPLE_NONE in *flags.
 *
 * edits: the step's, of which the row says its own. mask: [ceil(vocab / 32)], NULL = all may
 * come (row->mask is not looked at). input_token: for PM_SAMPLE_IN_FLIGHT. */
uint32_t pm_sampler_pick(pm_sampler *sampler, const pm_sample_row *row, const pm_sample_edit *edits,
                         const uint32_t *mask, uint32_t input_token, const float *logits, uint32_t *flags);

#endif /* PM_SAMPLE_SAMPLER_H */
