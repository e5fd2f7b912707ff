/* sample/sampler.c - from logits to a token. */
#include "sample/sampler.h"

#include "base/alloc.h"
#include "sample/rng.h"

#include <math.h>
#include <string.h>

typedef struct candidate {
    float logit;
    int32_t token;
} candidate;

struct pm_sampler {
    uint32_t vocab;
    float *logits;                 /* [vocab] after the penalty */
    candidate *candidates;         /* [vocab] */
};

pm_result pm_sampler_create(uint32_t vocab, pm_sampler **out)
{
    pm_sampler *s = pm_alloc(1, sizeof(*s), "sampler");
    if (s == NULL)
        return PM_ERR_NOMEM;
    s->vocab = vocab;
    s->logits = pm_alloc(vocab, sizeof(*s->logits), "sampler");
    s->candidates = pm_alloc(vocab, sizeof(*s->candidates), "sampler");
    if (s->logits == NULL || s->candidates == NULL) {
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
    pm_free(sampler);
}

/* Divides positive and multiplies negative logits of recent tokens, each token once. */
static void penalize(pm_sampler *s, float penalty, const int32_t *history, uint32_t count)
{
    const uint32_t first = count > PM_PENALTY_TOKENS ? count - PM_PENALTY_TOKENS : 0;
    for (uint32_t i = first; i < count; i++) {
        bool seen = history[i] < 0 || (uint32_t)history[i] >= s->vocab;
        for (uint32_t j = first; j < i && !seen; j++)
            seen = history[j] == history[i];
        if (!seen) {
            float *logit = &s->logits[history[i]];
            *logit = *logit > 0.0f ? *logit / penalty : *logit * penalty;
        }
    }
}

static int32_t greedy(const float *logits, uint32_t count)
{
    int32_t best = -1;
    for (uint32_t i = 0; i < count; i++)
        if (logits[i] > -INFINITY && (best < 0 || logits[i] > logits[best]))
            best = (int32_t)i;
    return best;
}

/* Greater logit first, smaller id among equals: a total order, so results do not depend
 * on how the selection runs. */
static bool before(candidate a, candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

static void swap(candidate *a, candidate *b)
{
    const candidate c = *a;
    *a = *b;
    *b = c;
}

/* A heap whose root is the worst. */
static void sift_down(candidate *heap, uint32_t root, uint32_t count)
{
    for (uint32_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && before(heap[child], heap[child + 1]))
            child++;
        if (!before(heap[root], heap[child]))
            return;
        swap(&heap[root], &heap[child]);
    }
}

/* Sorts, best first. */
static void sort(candidate *c, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(c, i, count);
    for (uint32_t n = count; n > 1; n--) {
        swap(&c[0], &c[n - 1]);
        sift_down(c, 0, n - 1);
    }
}

/* Brings the best k to the front, in no order. Hoare's selection; the middle element of
 * three as pivot, and a fixed order of steps. */
static void select_best(candidate *c, uint32_t count, uint32_t k)
{
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (before(c[middle], c[low]))
            swap(&c[middle], &c[low]);
        if (before(c[high], c[low]))
            swap(&c[high], &c[low]);
        if (before(c[high], c[middle]))
            swap(&c[high], &c[middle]);
        const candidate pivot = c[middle];
        uint32_t i = low, j = high;
        while (i <= j) {
            while (before(c[i], pivot))
                i++;
            while (before(pivot, c[j]))
                j--;
            if (i <= j) {
                swap(&c[i], &c[j]);
                i++;
                if (j == 0)
                    break;
                j--;
            }
        }
        if (k <= j + 1 && j >= low && k > 0 && k - 1 <= j)
            high = j;
        else if (k - 1 >= i)
            low = i;
        else
            return;
    }
}

/* How many of the sorted candidates top-p and min-p keep. */
static uint32_t cut(const candidate *c, uint32_t count, const pm_sample_params *params)
{
    const double most = (double)c[0].logit;
    uint32_t kept = count;
    if (params->top_p > 0.0f && params->top_p < 1.0f) {
        double total = 0.0, sum = 0.0;
        for (uint32_t i = 0; i < count; i++)
            total += exp((double)c[i].logit - most);
        for (kept = 0; kept < count && sum < (double)params->top_p * total; kept++)
            sum += exp((double)c[kept].logit - most);
    }
    if (params->min_p > 0.0f)
        while (kept > 1 && exp((double)c[kept - 1].logit - most) < (double)params->min_p)
            kept--;
    return kept > 0 ? kept : 1;
}

static int32_t draw(const candidate *c, uint32_t count, float temperature, double uniform)
{
    const double most = (double)c[0].logit, t = (double)temperature;
    double total = 0.0, sum = 0.0;
    for (uint32_t i = 0; i < count; i++)
        total += exp(((double)c[i].logit - most) / t);
    for (uint32_t i = 0; i < count; i++) {
        sum += exp(((double)c[i].logit - most) / t);
        if (uniform * total < sum)
            return c[i].token;
    }
    return c[count - 1].token;
}

int32_t pm_sample(pm_sampler *s, const pm_sample_params *params, const float *logits, const int32_t *history,
                  uint32_t history_count, uint64_t seed, uint64_t position)
{
    if (params->repeat_penalty > 0.0f && params->repeat_penalty != 1.0f) {
        memcpy(s->logits, logits, s->vocab * sizeof(*logits));
        penalize(s, params->repeat_penalty, history, history_count);
        logits = s->logits;
    }
    if (params->temperature <= 0.0f || params->top_k == 1)
        return greedy(logits, s->vocab);
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->vocab; i++)
        if (logits[i] > -INFINITY)
            s->candidates[count++] = (candidate){logits[i], (int32_t)i};
    if (count == 0)
        return -1;
    if (params->top_k > 0 && params->top_k < count) {
        select_best(s->candidates, count, params->top_k);
        count = params->top_k;
    }
    const bool needs_order = (params->top_p > 0.0f && params->top_p < 1.0f) || params->min_p > 0.0f;
    if (needs_order || count <= 1024) {
        sort(s->candidates, count);
        count = cut(s->candidates, count, params);
    } else {
        for (uint32_t i = 1; i < count; i++) /* draw() wants the greatest first */
            if (before(s->candidates[i], s->candidates[0]))
                swap(&s->candidates[i], &s->candidates[0]);
    }
    if (s->candidates[0].logit == INFINITY)
        return s->candidates[0].token;
    return draw(s->candidates, count, params->temperature, pm_rng_uniform(seed, position));
}
