/* sample/sampler.c - from logits to a token. */
#include "sample/sampler.h"

#include "base/alloc.h"
#include "sample/penalty.h"
#include "sample/rng.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct candidate {
    float logit;                   /* neither NaN nor -inf */
    int32_t token;
} candidate;

struct pm_sampler {
    uint32_t vocab;
    float *logits;                 /* [vocab] after the penalty */
    candidate *candidates;         /* [vocab] */
    double *weights;               /* [vocab] of the draw */
};

pm_result pm_sampler_create(uint32_t vocab, pm_sampler **out)
{
    if (vocab == 0 || vocab > INT32_MAX)
        return pm_fail(PM_ERR_ARG, "sampler for %u tokens, expected 1 to %d", vocab, INT32_MAX);
    pm_sampler *s = pm_alloc(1, sizeof(*s), "sampler");
    if (s == NULL)
        return PM_ERR_NOMEM;
    s->vocab = vocab;
    s->logits = pm_alloc(vocab, sizeof(*s->logits), "sampler");
    s->candidates = pm_alloc(vocab, sizeof(*s->candidates), "sampler");
    s->weights = pm_alloc(vocab, sizeof(*s->weights), "sampler");
    if (s->logits == NULL || s->candidates == NULL || s->weights == NULL) {
        pm_sampler_destroy(s);
        return PM_ERR_NOMEM;
    }
    *out = s;
    return PM_OK;
}

void pm_sampler_destroy(pm_sampler *sampler)
{
    if (sampler == NULL)
        return;
    pm_free(sampler->logits);
    pm_free(sampler->candidates);
    pm_free(sampler->weights);
    pm_free(sampler);
}

/* ------------------------------------------------------------------ order */

/* A total order over candidates. */
static inline bool better(candidate a, candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

static inline bool worse(candidate a, candidate b)
{
    return better(b, a);
}

/* Moves the root down until no child comes `before` its parent. */
static inline void sift_down(candidate *heap, uint32_t count, uint32_t root, bool (*before)(candidate, candidate))
{
    const candidate moved = heap[root];
    for (uint64_t child; (child = 2 * (uint64_t)root + 1) < count; root = (uint32_t)child) {
        if (child + 1 < count && before(heap[child + 1], heap[child]))
            child++;
        if (!before(heap[child], moved))
            break;
        heap[root] = heap[child];
    }
    heap[root] = moved;
}

static inline void make_heap(candidate *heap, uint32_t count, bool (*before)(candidate, candidate))
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(heap, count, i, before);
}

/* -------------------------------------------------------------- the chain */

/* The best token; -1 when there is none. */
static int32_t greedy(const float *logits, uint32_t vocab)
{
    int32_t best = -1;
    float most = -INFINITY;
    for (uint32_t i = 0; i < vocab; i++)
        if (logits[i] > most) {
            most = logits[i];
            best = (int32_t)i;
        }
    return best;
}

/* Puts the best k into s->candidates, the worst of them first; returns how many there
 * are. A heap of the best so far, whose root a newcomer must beat. */
static uint32_t top_k(pm_sampler *s, const float *logits, uint32_t k)
{
    uint32_t count = 0, i = 0;
    for (; i < s->vocab && count < k; i++)
        if (logits[i] > -INFINITY)
            s->candidates[count++] = (candidate){logits[i], (int32_t)i};
    make_heap(s->candidates, count, worse);
    for (; i < s->vocab; i++)
        if (logits[i] > s->candidates[0].logit) { /* an equal one has a smaller id */
            s->candidates[0] = (candidate){logits[i], (int32_t)i};
            sift_down(s->candidates, count, 0, worse);
        }
    return count;
}

/* The last of the `count` candidates that top_p keeps. most: the greatest logit. */
static candidate top_p(candidate *heap, uint32_t count, float p, double most)
{
    double total = 0.0, sum = 0.0;
    for (uint32_t i = 0; i < count; i++)
        total += exp((double)heap[i].logit - most);
    make_heap(heap, count, better);
    candidate last = heap[0];
    for (;;) {
        last = heap[0];
        sum += exp((double)last.logit - most);
        if (sum >= (double)p * total || count == 1)
            return last;
        heap[0] = heap[--count];
        sift_down(heap, count, 0, better);
    }
}

/* Draws among the tokens that are not worse than `last` and have at least min_p of the
 * best one's probability. */
static int32_t draw(pm_sampler *s, const pm_sample_params *params, const float *logits, candidate last, double most,
                    double uniform)
{
    uint32_t count = 0;
    double total = 0.0, sum = 0.0;
    for (uint32_t i = 0; i < s->vocab; i++) {
        const candidate c = {logits[i], (int32_t)i};
        if (!(c.logit >= last.logit) || better(last, c))
            continue;
        const double below = (double)c.logit - most;
        if (params->min_p > 0.0f && exp(below) < (double)params->min_p)
            continue;
        s->weights[count] = exp(below / (double)params->temperature);
        total += s->weights[count];
        s->candidates[count++] = c;
    }
    uint32_t picked = 0; /* the last one with a weight, should rounding leave the sum short */
    for (uint32_t i = 0; i < count; i++) {
        picked = s->weights[i] > 0.0 ? i : picked;
        sum += s->weights[i];
        if (sum > uniform * total)
            break;
    }
    return s->candidates[picked].token;
}

int32_t pm_sample(pm_sampler *s, const pm_sample_params *params, const float *logits, const int32_t *history,
                  uint32_t history_count, uint64_t seed, uint64_t position)
{
    if (params->repeat_penalty > 0.0f && params->repeat_penalty != 1.0f) {
        memcpy(s->logits, logits, s->vocab * sizeof(*logits));
        pm_penalty_repeat(s->logits, s->vocab, params->repeat_penalty, history, history_count);
        logits = s->logits;
    }
    const int32_t best = greedy(logits, s->vocab);
    if (best < 0 || !(params->temperature > 0.0f) || params->top_k == 1 || logits[best] == INFINITY)
        return best;
    const double most = (double)logits[best];
    const bool cut_p = params->top_p > 0.0f && params->top_p < 1.0f;
    candidate last = {-FLT_MAX, INT32_MAX};
    if (cut_p || (params->top_k > 0 && params->top_k < s->vocab)) {
        const uint32_t count = top_k(s, logits, params->top_k > 0 ? params->top_k : s->vocab);
        last = cut_p ? top_p(s->candidates, count, params->top_p, most) : s->candidates[0];
    }
    return draw(s, params, logits, last, most, pm_rng_uniform(seed, position));
}
