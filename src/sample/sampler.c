/* sample/sampler.c - from logits to a token. */
#include "sample/sampler.h"

#include "base/alloc.h"
#include "sample/penalty.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define PLAIN_SCALE 1.44269504f    /* log2(e): temperature 1 */

typedef struct candidate {
    float logit;                   /* neither NaN nor -inf */
    int32_t token;
} candidate;

struct pm_sampler {
    uint32_t vocab;
    float *logits;                 /* [vocab] after the penalty */
    candidate *candidates;         /* [vocab] */
    uint64_t *weights;             /* [vocab] of the draw */
};

pm_result pm_sampler_create(uint32_t vocab, pm_sampler **out)
{
    if (vocab == 0 || vocab > PM_SAMPLE_VOCAB_MAX)
        return pm_fail(PM_ERR_ARG, "sampler for %u tokens, expected 1 to %u", vocab, PM_SAMPLE_VOCAB_MAX);
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

/* The last of the `count` candidates that top_p keeps. part: in 2^-32. most: the greatest logit. */
static candidate top_p(candidate *heap, uint32_t count, uint32_t part, float most)
{
    uint64_t total = 0, sum = 0;
    for (uint32_t i = 0; i < count; i++)
        total += pm_sample_weight(heap[i].logit, most, PLAIN_SCALE);
    uint64_t need = (total >> 32) * part + ((total & UINT32_MAX) * part >> 32);
    need = need > 0 ? need : 1;
    make_heap(heap, count, better);
    for (;;) {
        const candidate last = heap[0];
        sum += pm_sample_weight(last.logit, most, PLAIN_SCALE);
        if (sum >= need || count == 1)
            return last;
        heap[0] = heap[--count];
        sift_down(heap, count, 0, better);
    }
}

/* floor(a b / 2^64) */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    const uint64_t a0 = a & UINT32_MAX, a1 = a >> 32, b0 = b & UINT32_MAX, b1 = b >> 32;
    const uint64_t middle = (a0 * b0 >> 32) + (a0 * b1 & UINT32_MAX) + (a1 * b0 & UINT32_MAX);
    return a1 * b1 + (a0 * b1 >> 32) + (a1 * b0 >> 32) + (middle >> 32);
}

/* Draws among the tokens that are not worse than `last` and have at least min_p of the
 * best one's probability. */
static int32_t draw(pm_sampler *s, const pm_sample_row *row, const float *logits, candidate last, float most)
{
    uint32_t count = 0;
    uint64_t total = 0, sum = 0;
    for (uint32_t i = 0; i < s->vocab; i++) {
        const candidate c = {logits[i], (int32_t)i};
        if (!(c.logit >= last.logit) || better(last, c) || c.logit - most < row->min_log)
            continue;
        s->weights[count] = pm_sample_weight(c.logit, most, row->scale);
        total += s->weights[count];
        s->candidates[count++] = c;
    }
    const uint64_t limit = multiply_high(total, (uint64_t)row->random_high << 32 | row->random_low);
    for (uint32_t i = 0; i < count; i++) {
        sum += s->weights[i];
        if (sum > limit)
            return s->candidates[i].token;
    }
    pm_assert(false && "the best token has a weight");
    return -1;
}

static int32_t pick(pm_sampler *s, const pm_sample_row *row, const float *logits)
{
    const int32_t best = greedy(logits, s->vocab);
    if (best < 0 || !(row->flags & PM_SAMPLE_DRAW) || logits[best] == INFINITY)
        return best;
    const float most = logits[best];
    candidate last = {-FLT_MAX, INT32_MAX};
    if (row->top_p != 0 || (row->top_k > 0 && row->top_k < s->vocab)) {
        const uint32_t count = top_k(s, logits, row->top_k > 0 ? row->top_k : s->vocab);
        last = row->top_p != 0 ? top_p(s->candidates, count, row->top_p, most) : s->candidates[0];
    }
    return draw(s, row, logits, last, most);
}

uint32_t pm_sampler_pick(pm_sampler *s, const pm_sample_row *row, const pm_sample_edit *edits, const uint32_t *mask,
                         uint32_t input_token, const float *logits, uint32_t *flags)
{
    *flags = 0;
    for (uint32_t i = 0; i < s->vocab; i++)
        if (isnan(logits[i]))
            *flags = PM_SAMPLE_NAN;
    if (row->edit_count > 0 || (row->flags & PM_SAMPLE_IN_FLIGHT) || mask != NULL) {
        memcpy(s->logits, logits, s->vocab * sizeof(*logits));
        pm_sample_edit_logits(row, edits, input_token, s->logits, s->vocab);
        for (uint32_t i = 0; mask != NULL && i < s->vocab; i++)
            if (!(mask[i / 32] >> i % 32 & 1))
                s->logits[i] = -INFINITY;
        logits = s->logits;
    }
    const int32_t token = pick(s, row, logits);
    *flags |= token < 0 ? PM_SAMPLE_NONE : 0;
    return (uint32_t)token;
}

int32_t pm_sample(pm_sampler *s, const pm_sample_params *params, const float *logits, const int32_t *history,
                  uint32_t history_count, uint64_t seed, uint64_t position)
{
    if (params->repeat_penalty > 0.0f && params->repeat_penalty != 1.0f) {
        memcpy(s->logits, logits, s->vocab * sizeof(*logits));
        pm_penalty_repeat(s->logits, s->vocab, params->repeat_penalty, history, history_count);
        logits = s->logits;
    }
    const pm_sample_row row = pm_sample_row_of(params, seed, position);
    return pick(s, &row, logits);
}
