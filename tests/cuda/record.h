/* record.h - what is kept of the logits of one position, and how far others are from it.
 *
 * Values: ids and logits of the greatest `top`, greatest first, of equals the smallest id first; the logarithm of the
 * sum of exp() of all logits, as an f32 and what it lacks; their sum, a checksum. KL from a record is over its
 * tokens and one class of all others, which is at most the KL over all tokens. */
#ifndef PM_TEST_CUDA_RECORD_H
#define PM_TEST_CUDA_RECORD_H

#include "cuda/divergence.h"

#include <stdbool.h>

#define RECORD_VALUES(top) (2 * (top) + 3)

/* logits: [vocab >= top] */
void record_make(const float *logits, uint32_t vocab, uint32_t top, float *values);

/* False unless all are finite, the ids are of the vocabulary, and the logits descend. */
bool record_check(const float *values, uint32_t top, uint32_t vocab);

/* The logarithm of the sum of exp(). */
double record_log_sum(const float *values, uint32_t top);

/* KL(record || logits) and what else can be told, but for the next token; delta_max is of the record's tokens. The
 * record must have passed record_check() and have DIVERGENCE_TOP tokens. */
divergence_point record_against(const float *values, uint32_t top, const float *logits, uint32_t vocab);

/* How far the logits' sum is from the record's, as a share of the sum of their magnitudes. */
double record_sum_error(const float *values, uint32_t top, const float *logits, uint32_t vocab);

#endif /* PM_TEST_CUDA_RECORD_H */
