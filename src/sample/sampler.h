/* sample/sampler.h - from logits to a token. Floor 1, host only.
 *
 * The chain, in this order: repetition penalty, top-k, top-p, min-p, temperature, draw.
 * top-p and min-p see the probabilities at temperature 1, as llama.cpp's default chain.
 */
#ifndef PM_SAMPLE_SAMPLER_H
#define PM_SAMPLE_SAMPLER_H

#include "base/error.h"

#define PM_PENALTY_TOKENS 64u      /* of history that the repetition penalty looks at */

typedef struct pm_sampler pm_sampler;

/* Allocates the scratch of one row of `vocab` logits. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_sampler_create(uint32_t vocab, pm_sampler **out);
void pm_sampler_destroy(pm_sampler *sampler);        /* NULL is fine */

/* logits: [vocab] f32, unchanged. history: the sequence's tokens so far. seed and
 * position (tokens so far) choose the draw. Temperature 0 takes the greatest logit, the
 * smallest id among equals. A NaN is never picked; -1 when all are NaN or -inf.
 * Source of the penalty: N. S. Keskar et al., "CTRL", 2019, arXiv:1909.05858, section 4.1.
 * O(vocab) expected. Allocates nothing. */
int32_t pm_sample(pm_sampler *sampler, const pm_sample_params *params, const float *logits, const int32_t *history,
                  uint32_t history_count, uint64_t seed, uint64_t position);

#endif /* PM_SAMPLE_SAMPLER_H */
