/* record.c - what is kept of the logits of one position. */
#include "cuda/record.h"

#include "base/error.h"

#include <math.h>

#define REST_LEAST 1e-10           /* a share of all other tokens below this is the rounding of the others' */

void record_make(const float *logits, uint32_t vocab, uint32_t top, float *values)
{
    const double log_sum = divergence_log_sum(logits, vocab);
    double sum = 0.0;
    for (uint32_t i = 0; i < vocab; i++)
        sum += (double)logits[i];
    for (uint32_t j = 0, last = UINT32_MAX; j < top; j++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < vocab; i++) {
            const bool after = last == UINT32_MAX || logits[i] < logits[last] || (logits[i] == logits[last] && i > last);
            if (after && (best == UINT32_MAX || logits[i] > logits[best]))
                best = i;
        }
        pm_assert(best != UINT32_MAX);
        values[j] = (float)best;
        values[top + j] = logits[best];
        last = best;
    }
    values[2 * top] = (float)log_sum;
    values[2 * top + 1] = (float)(log_sum - (double)values[2 * top]);
    values[2 * top + 2] = (float)sum;
}

bool record_check(const float *values, uint32_t top, uint32_t vocab)
{
    for (uint32_t i = 0; i < RECORD_VALUES(top); i++)
        if (!isfinite(values[i]))
            return false;
    for (uint32_t j = 0; j < top; j++)
        if (values[j] < 0.0f || values[j] >= (float)vocab || values[j] != floorf(values[j]) ||
            (j > 0 && (values[top + j] > values[top + j - 1] || values[j] == values[j - 1])))
            return false;
    return (double)values[top] < record_log_sum(values, top) + 1e-6;
}

double record_log_sum(const float *values, uint32_t top)
{
    return (double)values[2 * top] + (double)values[2 * top + 1];
}

/* The term of all tokens that are not in the record. */
static double rest_term(double a, double b)
{
    if (a >= REST_LEAST)
        return divergence_term(log(a), log(fmax(b, 1e-15)));
    return b > 10.0 * REST_LEAST ? b : 0.0;
}

divergence_point record_against(const float *values, uint32_t top, const float *logits, uint32_t vocab)
{
    divergence_point point = {.nll = NAN, .nll_difference = NAN};
    const double sum_a = record_log_sum(values, top), sum_b = divergence_log_sum(logits, vocab);
    double rest_a = 1.0, rest_b = 1.0;
    uint32_t top_a[DIVERGENCE_TOP], top_b[DIVERGENCE_TOP];
    pm_assert(top >= DIVERGENCE_TOP && top <= vocab);
    for (uint32_t j = 0; j < top; j++) {
        const uint32_t id = (uint32_t)values[j];
        const double a = (double)values[top + j] - sum_a, b = (double)logits[id] - sum_b;
        point.kl += divergence_term(a, b);
        point.delta_max = fmax(point.delta_max, fabs((double)values[top + j] - (double)logits[id]));
        rest_a -= exp(a);
        rest_b -= exp(b);
        if (j < DIVERGENCE_TOP)
            top_a[j] = id;
    }
    point.kl += rest_term(rest_a, rest_b);
    if (!isfinite(point.kl) || !isfinite(sum_b))
        point.kl = point.delta_max = INFINITY;
    divergence_top(logits, vocab, top_b);
    divergence_tops(top_a, top_b, &point);
    return point;
}

double record_sum_error(const float *values, uint32_t top, const float *logits, uint32_t vocab)
{
    double sum = 0.0, size = 0.0;
    for (uint32_t i = 0; i < vocab; i++) {
        sum += (double)logits[i];
        size += fabs((double)logits[i]);
    }
    return fabs(sum - (double)values[2 * top + 2]) / size;
}
