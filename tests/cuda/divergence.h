/* divergence.h - how far two models' logits of the same text are from each other. */
#ifndef PM_TEST_CUDA_DIVERGENCE_H
#define PM_TEST_CUDA_DIVERGENCE_H

#include <stdint.h>

typedef struct divergence {
    double delta_max;              /* greatest |a - b| of a logit */
    double kl_mean, kl_median, kl_p99, kl_max; /* KL(a || b) of a position, nats */
    double top1, top5;             /* shares: of positions with the same greatest logit; of the five greatest in common */
    double ppl, ppl_difference, ppl_error; /* of a; b's less a's; standard error of a's */
} divergence;

/* a, b: [count, vocab] logits after each token; perplexity is over tokens 1 .. count - 1. */
divergence divergence_of(const float *a, const float *b, const int32_t *tokens, uint32_t count, uint32_t vocab);

#endif /* PM_TEST_CUDA_DIVERGENCE_H */
