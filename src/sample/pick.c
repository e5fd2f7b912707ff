/* sample/pick.c - weights, edits and log-probabilities of a row of logits. */
#include "sample/pick.h"

#include "sample/rng.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define SCALE_MAX 0x1p100f

uint64_t pm_sample_weight(float logit, float most, float scale)
{
    float below = logit - most;
    below = below < -FLT_MAX ? -FLT_MAX : below;
    const float t = below * scale;
    if (!(t > -46.0f))
        return 0;
    const float whole = floorf(t), f = t - whole;
    float v = (float)PM_EXP2_C6;
    v = v * f + (float)PM_EXP2_C5;
    v = v * f + (float)PM_EXP2_C4;
    v = v * f + (float)PM_EXP2_C3;
    v = v * f + (float)PM_EXP2_C2;
    v = v * f + (float)PM_EXP2_C1;
    v = v * f + 1.0f;
    const uint64_t m = (uint64_t)(v * 8388608.0f);
    const int shift = 22 + (int)whole;
    return shift < 0 ? m >> -shift : m << shift;
}

float pm_sample_scale(float temperature)
{
    const double scale = 1.4426950408889634 / (double)temperature;
    return scale < (double)SCALE_MAX ? (float)scale : SCALE_MAX;
}

pm_sample_row pm_sample_row_of(const pm_sample_params *params, uint64_t seed, uint64_t position)
{
    const uint64_t random = pm_rng_bits(seed, position);
    const bool draw = params->temperature > 0.0f && params->top_k != 1;
    const bool repeats = params->repeat_penalty > 0.0f;
    pm_sample_row row = {
        .flags = draw ? PM_SAMPLE_DRAW : 0,
        .random_low = (uint32_t)random,
        .random_high = (uint32_t)(random >> 32),
        .scale = draw ? pm_sample_scale(params->temperature) : 0.0f,
        .top_k = params->top_k,
        .min_log = params->min_p > 0.0f ? (float)log((double)params->min_p) : -FLT_MAX,
        .repeat = repeats ? params->repeat_penalty : 1.0f,
        .repeat_inverse = repeats ? 1.0f / params->repeat_penalty : 1.0f,
    };
    if (params->top_p > 0.0f && params->top_p < 1.0f) {
        const double p = ceil((double)params->top_p * 0x1p32);
        row.top_p = p < 1.0 ? 1 : p > (double)UINT32_MAX ? UINT32_MAX : (uint32_t)p;
    }
    return row;
}

/* Below the smallest normal number devices may take numbers for 0, so all do. */
static float normal(float x)
{
    return fabsf(x) < FLT_MIN ? 0.0f : x;
}

float pm_sample_edited(const pm_sample_row *row, float logit, uint32_t said, float bias)
{
    if (bias == -INFINITY)
        return bias;
    if (!isfinite(logit))
        return logit;
    float l = normal(normal(logit) + normal(bias));
    if (said & PM_SAMPLE_RECENT)
        l = normal(l * (l > 0.0f ? row->repeat_inverse : row->repeat));
    const uint32_t times = said & ~PM_SAMPLE_RECENT;
    if (times > 0)
        l = normal(l - normal(normal(row->frequency * (float)times) + row->presence));
    return l;
}

void pm_sample_edit_logits(const pm_sample_row *row, const pm_sample_edit *edits, uint32_t input_token, float *logits,
                           uint32_t vocab)
{
    const uint32_t newest = row->flags & PM_SAMPLE_IN_FLIGHT ? input_token : PM_SAMPLE_NO_TOKEN;
    bool in_edits = false;
    for (uint32_t i = 0; i < row->edit_count; i++) {
        const pm_sample_edit *e = &edits[row->edit_start + i];
        const bool again = e->token == newest;
        in_edits = in_edits || again;
        if (e->token < vocab)
            logits[e->token] = pm_sample_edited(row, logits[e->token], again ? (e->said | PM_SAMPLE_RECENT) + 1 : e->said,
                                                e->bias);
    }
    if (newest < vocab && !in_edits)
        logits[newest] = pm_sample_edited(row, logits[newest], PM_SAMPLE_RECENT | 1, 0.0f);
}

/* log(sum(exp(logits - *most))) of the numbers among them; *most: the greatest. */
static double log_sum(const float *logits, uint32_t vocab, double *most)
{
    double sum = 0.0;
    *most = -INFINITY;
    for (uint32_t t = 0; t < vocab; t++)
        *most = (double)logits[t] > *most ? (double)logits[t] : *most;
    for (uint32_t t = 0; t < vocab; t++)
        if (logits[t] > -INFINITY)
            sum += exp((double)logits[t] - *most);
    return log(sum);
}

void pm_sample_logprobs_of(const pm_sample_row *row, const float *logits, uint32_t vocab, uint32_t token,
                           pm_sample_logprobs *out)
{
    double most;
    const double total = log_sum(logits, vocab, &most);
    const uint32_t top = row->top_logprobs < PM_SAMPLE_TOP_MAX ? row->top_logprobs : PM_SAMPLE_TOP_MAX;
    memset(out, 0, sizeof(*out));
    if (token < vocab)
        out->picked = (float)((double)logits[token] - most - total);
    for (uint32_t t = 0; t < vocab && top > 0; t++) {
        if (!(logits[t] > -INFINITY) || (out->count == top && logits[t] <= logits[out->id[top - 1]]))
            continue;
        uint32_t at = out->count < top ? out->count++ : top - 1;
        for (; at > 0 && logits[out->id[at - 1]] < logits[t]; at--)
            out->id[at] = out->id[at - 1];
        out->id[at] = t;
    }
    for (uint32_t i = 0; i < out->count; i++)
        out->logprob[i] = (float)((double)logits[out->id[i]] - most - total);
}
