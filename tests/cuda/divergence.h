/* divergence.h - how far two models' logits of the same text are from each other.
 *
 * KL(a || b) of a position is the sum of p ln(p / q) - p + q over the tokens, which is the usual sum, since
 * the rest adds up to nothing, and has no term below nothing: what is far smaller than an f32's rounding of the logits
 * still comes out right. A logit that is not finite makes it infinite. */
#ifndef PM_TEST_CUDA_DIVERGENCE_H
#define PM_TEST_CUDA_DIVERGENCE_H

#include <stdint.h>

/* Tokens whose order is looked at. */
#define DIVERGENCE_TOP 5u

/* Of one position. */
typedef struct divergence_point {
    double kl;                     /* nats */
    double delta_max;              /* greatest |a - b| of a logit */
    double top1, top5;             /* 1: the same greatest logit; share of the five greatest in common */
    double nll, nll_difference;    /* -ln p of the next token by a; b's less a's; NaN: there is no next */
} divergence_point;

/* Of a text. */
typedef struct divergence {
    double delta_max;
    double kl_mean, kl_median, kl_p99, kl_max;
    double top1, top5;             /* shares of positions, of tokens */
    double ppl, ppl_difference, ppl_error; /* of a; b's less a's; standard error of a's */
} divergence;

/* What may be between something and its control: factors of the control's KL; INFINITY = any. */
typedef struct divergence_bar {
    double mean, median, p99, max;
} divergence_bar;

/* One term of KL. */
double divergence_term(double log_p, double log_q);

/* ln of the sum of exp() of [vocab] logits. */
double divergence_log_sum(const float *x, uint32_t vocab);

/* Ids of the five greatest of [vocab >= 5], greatest first, of equals the smallest first. */
void divergence_top(const float *x, uint32_t vocab, uint32_t top[DIVERGENCE_TOP]);

/* Of the five ids of a, and of b: the fields top1 and top5. */
void divergence_tops(const uint32_t *a, const uint32_t *b, divergence_point *point);

/* a, b: [vocab] logits after one token; next: the token that follows, or -1. */
divergence_point divergence_at(const float *a, const float *b, uint32_t vocab, int32_t next);

/* Of count > 1 points, of which some have a next token. The median is the upper one; the 99th percentile has a
 * hundredth of the points, rounded up, at or past it. */
divergence divergence_sum(const divergence_point *points, uint32_t count);

/* a, b: [count, vocab] logits after each token; perplexity is over tokens 1 .. count - 1. */
divergence divergence_of(const float *a, const float *b, const int32_t *tokens, uint32_t count, uint32_t vocab);

/* What d does not meet, in words; NULL = it passes: its KL by the bar; perplexities that differ by no more than their
 * standard error; the first token, and the first five, the same as often as the control's less a hundredth. */
const char *divergence_misses(const divergence *d, const divergence *control, const divergence_bar *bar);

/* A table of divergences on stdout: its head, and a line. */
void divergence_print_head(const char *what);
void divergence_print(const char *what, const divergence *d);

#endif /* PM_TEST_CUDA_DIVERGENCE_H */
