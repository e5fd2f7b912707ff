/* divergence.c - how far two models' logits of the same text are from each other. */
#include "cuda/divergence.h"

#include "base/error.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

double divergence_term(double log_p, double log_q)
{
    const double p = exp(log_p), d = log_q - log_p;
    return fabs(d) < 1.0 ? p * (expm1(d) - d) : exp(log_q) - p - p * d;
}

double divergence_log_sum(const float *x, uint32_t vocab)
{
    float most = -INFINITY;
    double total = 0.0;
    for (uint32_t i = 0; i < vocab; i++)
        most = fmaxf(most, x[i]);
    for (uint32_t i = 0; i < vocab; i++)
        total += exp((double)x[i] - (double)most);
    return (double)most + log(total);
}

void divergence_top(const float *x, uint32_t vocab, uint32_t top[DIVERGENCE_TOP])
{
    uint32_t have = 0;
    pm_assert(vocab >= DIVERGENCE_TOP);
    for (uint32_t i = 0; i < vocab; i++) {
        uint32_t at = have;
        while (at > 0 && x[i] > x[top[at - 1]])
            at--;
        if (at == DIVERGENCE_TOP)
            continue;
        for (uint32_t j = have < DIVERGENCE_TOP ? have : DIVERGENCE_TOP - 1; j > at; j--)
            top[j] = top[j - 1];
        top[at] = i;
        have += have < DIVERGENCE_TOP;
    }
}

void divergence_tops(const uint32_t *a, const uint32_t *b, divergence_point *point)
{
    point->top1 = a[0] == b[0];
    point->top5 = 0.0;
    for (uint32_t i = 0; i < DIVERGENCE_TOP; i++)
        for (uint32_t j = 0; j < DIVERGENCE_TOP; j++)
            point->top5 += (double)(a[i] == b[j]) / DIVERGENCE_TOP;
}

divergence_point divergence_at(const float *a, const float *b, uint32_t vocab, int32_t next)
{
    divergence_point point = {.nll = NAN, .nll_difference = NAN};
    const double sum_a = divergence_log_sum(a, vocab), sum_b = divergence_log_sum(b, vocab);
    uint32_t top_a[DIVERGENCE_TOP], top_b[DIVERGENCE_TOP];
    for (uint32_t i = 0; i < vocab; i++) {
        point.kl += divergence_term((double)a[i] - sum_a, (double)b[i] - sum_b);
        point.delta_max = fmax(point.delta_max, fabs((double)a[i] - (double)b[i]));
    }
    if (!isfinite(point.kl))
        point.kl = point.delta_max = INFINITY;
    divergence_top(a, vocab, top_a);
    divergence_top(b, vocab, top_b);
    divergence_tops(top_a, top_b, &point);
    if (next >= 0) {
        pm_assert((uint32_t)next < vocab);
        point.nll = sum_a - (double)a[next];
        point.nll_difference = sum_b - (double)b[next] - point.nll;
    }
    return point;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

divergence divergence_sum(const divergence_point *points, uint32_t count)
{
    divergence d = {0};
    double *kl = calloc(count, sizeof(*kl)), nll = 0.0, squares = 0.0, difference = 0.0, n = 0.0;
    pm_assert(kl != NULL && count > 1);
    for (uint32_t i = 0; i < count; i++) {
        const divergence_point *p = &points[i];
        kl[i] = p->kl;
        d.kl_mean += p->kl / count;
        d.delta_max = fmax(d.delta_max, p->delta_max);
        d.top1 += p->top1 / count;
        d.top5 += p->top5 / count;
        if (!isnan(p->nll)) {
            n++;
            nll += p->nll;
            squares += p->nll * p->nll;
            difference += p->nll_difference;
        }
    }
    pm_assert(n > 0.0);
    qsort(kl, count, sizeof(*kl), ascending);
    d.kl_median = kl[count / 2];
    d.kl_p99 = kl[count - 1 - count / 100];
    d.kl_max = kl[count - 1];
    const double mean = nll / n;
    d.ppl = exp(mean);
    d.ppl_difference = d.ppl * expm1(difference / n);
    d.ppl_error = d.ppl * sqrt(fmax(squares / n - mean * mean, 0.0) / n);
    free(kl);
    return d;
}

divergence divergence_of(const float *a, const float *b, const int32_t *tokens, uint32_t count, uint32_t vocab)
{
    divergence_point *points = calloc(count, sizeof(*points));
    pm_assert(points != NULL);
    for (uint32_t p = 0; p < count; p++)
        points[p] = divergence_at(a + (uint64_t)p * vocab, b + (uint64_t)p * vocab, vocab, p + 1 < count ? tokens[p + 1] : -1);
    const divergence d = divergence_sum(points, count);
    free(points);
    return d;
}

/* What is not a number is not. */
static bool within(double mine, double control, double factor)
{
    return isinf(factor) || mine <= factor * control;
}

const char *divergence_misses(const divergence *d, const divergence *control, const divergence_bar *bar)
{
    return !within(d->kl_mean, control->kl_mean, bar->mean)         ? "mean KL"
           : !within(d->kl_median, control->kl_median, bar->median) ? "median KL"
           : !within(d->kl_p99, control->kl_p99, bar->p99)          ? "99th percentile of KL"
           : !within(d->kl_max, control->kl_max, bar->max)          ? "greatest KL"
           : !(fabs(d->ppl_difference) <= d->ppl_error)             ? "perplexity"
           : !(d->top1 >= control->top1 - 0.01)                     ? "first tokens"
           : !(d->top5 >= control->top5 - 0.01)                     ? "first five tokens"
                                                                    : NULL;
}

void divergence_print_head(const char *what)
{
    printf("  %-44s %9s %9s %9s %9s %9s %7s %7s %9s %s\n", what, "max delta", "KL mean", "median", "p99", "max", "top-1", "top-5",
           "ppl", "difference");
}

void divergence_print(const char *what, const divergence *d)
{
    printf("  %-44s %9.1e %9.1e %9.1e %9.1e %9.1e %6.1f%% %6.1f%% %9.4f %+.1e +- %.1e\n", what, d->delta_max, d->kl_mean,
           d->kl_median, d->kl_p99, d->kl_max, 100.0 * d->top1, 100.0 * d->top5, d->ppl, d->ppl_difference, d->ppl_error);
}
