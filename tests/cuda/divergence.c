/* divergence.c - how far two models' logits of the same text are from each other. */
#include "cuda/divergence.h"

#include "base/error.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define TOP 5u

/* The logarithm of the sum of exp() of a position's logits. */
static double log_sum(const float *x, uint32_t vocab)
{
    double most = -INFINITY, total = 0.0;
    for (uint32_t i = 0; i < vocab; i++)
        most = fmax(most, (double)x[i]);
    for (uint32_t i = 0; i < vocab; i++)
        total += exp((double)x[i] - most);
    return most + log(total);
}

static void top_of(const float *x, uint32_t vocab, uint32_t top[TOP])
{
    uint32_t have = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        uint32_t at = have;
        while (at > 0 && x[i] > x[top[at - 1]])
            at--;
        if (at == TOP)
            continue;
        for (uint32_t j = have < TOP ? have : TOP - 1; j > at; j--)
            top[j] = top[j - 1];
        top[at] = i;
        have += have < TOP;
    }
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

divergence divergence_of(const float *a, const float *b, const int32_t *tokens, uint32_t count, uint32_t vocab)
{
    divergence d = {0};
    double *kl = calloc(count, sizeof(*kl)), nll = 0.0, squares = 0.0, other = 0.0;
    pm_assert(kl != NULL && count > 1 && vocab >= TOP);
    for (uint32_t p = 0; p < count; p++, a += vocab, b += vocab) {
        const double sum_a = log_sum(a, vocab), sum_b = log_sum(b, vocab);
        uint32_t top_a[TOP], top_b[TOP];
        for (uint32_t i = 0; i < vocab; i++) {
            const double x = (double)a[i] - sum_a, y = (double)b[i] - sum_b;
            kl[p] += exp(x) * (x - y);
            d.delta_max = fmax(d.delta_max, fabs((double)a[i] - (double)b[i]));
        }
        kl[p] = fmax(kl[p], 0.0); /* rounding may leave less than nothing */
        d.kl_mean += kl[p] / count;
        top_of(a, vocab, top_a);
        top_of(b, vocab, top_b);
        d.top1 += (double)(top_a[0] == top_b[0]) / count;
        for (uint32_t i = 0; i < TOP; i++)
            for (uint32_t j = 0; j < TOP; j++)
                d.top5 += (double)(top_a[i] == top_b[j]) / TOP / count;
        if (p + 1 < count) {
            const double mine = sum_a - (double)a[tokens[p + 1]];
            nll += mine;
            squares += mine * mine;
            other += sum_b - (double)b[tokens[p + 1]];
        }
    }
    qsort(kl, count, sizeof(*kl), ascending);
    d.kl_median = kl[count / 2];
    d.kl_p99 = kl[(uint32_t)((double)(count - 1) * 0.99)];
    d.kl_max = kl[count - 1];
    const double n = count - 1.0, mean = nll / n;
    d.ppl = exp(mean);
    d.ppl_difference = exp(other / n) - d.ppl;
    d.ppl_error = d.ppl * sqrt(fmax(squares / n - mean * mean, 0.0) / n);
    free(kl);
    return d;
}
