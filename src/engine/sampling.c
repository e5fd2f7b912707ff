/* engine/sampling.c - how the tokens of a batch's outputs are picked. */
#include "engine/sampling.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "op/sample.h"
#include "sample/penalty.h"
#include "sample/pick.h"

#include <math.h>
#include <string.h>

static pm_result find_ends(pm_sampling *s, const pm_tokenizer *tokenizer)
{
    const uint32_t tokens = pm_tokenizer_size(tokenizer);
    for (uint32_t t = 0; t < tokens; t++)
        s->end_count += pm_tokenizer_is_end(tokenizer, (int32_t)t);
    s->ends = pm_alloc(s->end_count, sizeof(*s->ends), "sampling");
    if (s->ends == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t t = 0, n = 0; t < tokens; t++)
        if (pm_tokenizer_is_end(tokenizer, (int32_t)t))
            s->ends[n++] = (int32_t)t;
    return PM_OK;
}

pm_result pm_sampling_init(pm_sampling *s, const pm_tokenizer *tokenizer, uint32_t vocab, uint32_t outs_max,
                           uint32_t seqs_max)
{
    s->vocab = vocab;
    s->pool_max = seqs_max * PM_STEP_EDITS;
    PM_TRY(find_ends(s, tokenizer));
    PM_TRY(pm_sampler_create(vocab, &s->sampler));
    PM_TRY(pm_edits_init(&s->edits, vocab));
    s->rows = pm_alloc(outs_max, sizeof(*s->rows), "sampling");
    s->pool = pm_alloc(s->pool_max, sizeof(*s->pool), "sampling");
    s->masks = pm_alloc(seqs_max, sizeof(*s->masks), "sampling");
    s->logits = pm_alloc(vocab, sizeof(*s->logits), "sampling");
    return s->rows == NULL || s->pool == NULL || s->masks == NULL || s->logits == NULL
               ? PM_ERR_NOMEM : PM_OK;
}

void pm_sampling_finish(pm_sampling *s)
{
    pm_sampler_destroy(s->sampler);
    pm_free(s->ends);
    pm_free(s->rows);
    pm_free(s->pool);
    pm_edits_finish(&s->edits);
    pm_free(s->masks);
    pm_free(s->logits);
    *s = (pm_sampling){0};
}

/* ------------------------------------------------------------- what is asked */

static bool repeats(const pm_sample_params *p)
{
    return p->repeat_penalty > 0.0f && p->repeat_penalty != 1.0f;
}

static bool counts(const pm_sample_params *p)
{
    return p->presence_penalty != 0.0f || p->frequency_penalty != 0.0f;
}

static bool is_greedy(const pm_ask *ask)
{
    const pm_sample_params *p = &ask->sample;
    return !(p->temperature > 0.0f) && !repeats(p) && !counts(p) && p->logit_bias_count == 0 && p->token_mask == NULL &&
           !p->logprobs && ask->min_tokens == 0;
}

/* Edits of one step at most. */
static uint64_t edits_of(const pm_sampling *s, const pm_ask *ask)
{
    const pm_sample_params *p = &ask->sample;
    const uint64_t rows = ask->speculate != PM_SPECULATE_NONE ? 1 + ask->draft_tokens : 1;
    return rows * ((uint64_t)p->logit_bias_count + (repeats(p) ? PM_PENALTY_TOKENS : 0) + (counts(p) ? ask->max_tokens : 0) +
                   (ask->min_tokens > 0 ? s->end_count + ask->stop_token_count : 0));
}

bool pm_sampling_on_host(const pm_sampling *s, const pm_ask *ask)
{
    return !is_greedy(ask) && (s->host_only || s->vocab > PM_SAMPLE_VOCAB_MAX || edits_of(s, ask) > PM_STEP_EDITS);
}

/* ------------------------------------------------------------------ rows */

/* Biases, bans and what was said, of the first `known` tokens of the sequence. */
static void add_edits(pm_sampling *s, pm_sample_row *row, const pm_ask *ask, const int32_t *tokens, uint32_t known,
                      uint32_t before)
{
    const pm_sample_params *p = &ask->sample;
    for (uint32_t i = 0; i < p->logit_bias_count; i++)
        pm_edits_bias(&s->edits, ask->bias[i].token, ask->bias[i].bias);
    const bool banned = before - ask->prompt_tokens < ask->min_tokens;
    for (uint32_t i = 0; banned && !ask->ignore_end && i < s->end_count; i++)
        pm_edits_bias(&s->edits, s->ends[i], -INFINITY);
    for (uint32_t i = 0; banned && i < ask->stop_token_count; i++)
        pm_edits_bias(&s->edits, ask->stop_tokens[i], -INFINITY);
    if (repeats(p))
        pm_edits_recent(&s->edits, tokens, known, known < before);
    if (counts(p))
        pm_edits_said(&s->edits, tokens + ask->prompt_tokens, known - ask->prompt_tokens);
    pm_assert(pm_edits_end(&s->edits, row)); /* pm_sampling_on_host() saw that there is room */
}

/* Answers of one request draw apart. */
static uint64_t seed_of(const pm_request *request)
{
    const pm_ask *ask = request->ask;
    return (ask->sample.seed != 0 ? ask->sample.seed : pm_mix64(ask->id)) + request->index;
}

/* How output `out` is picked. mask: what it is called, where there is one. */
static void make_row(pm_sampling *s, pm_sample_row *row, const pm_request *request, uint32_t before, uint32_t mask)
{
    const pm_ask *ask = request->ask;
    const pm_sequence *sequence = &request->sequence;
    const uint32_t known = before < sequence->token_count ? before : sequence->token_count;
    *row = pm_sample_row_of(&ask->sample, seed_of(request), before);
    row->repeat = repeats(&ask->sample) ? ask->sample.repeat_penalty : 1.0f;
    row->repeat_inverse = 1.0f / row->repeat;
    row->presence = ask->sample.presence_penalty;
    row->frequency = ask->sample.frequency_penalty;
    row->flags |= known < before && (repeats(&ask->sample) || counts(&ask->sample)) ? PM_SAMPLE_IN_FLIGHT : 0;
    row->flags |= ask->sample.logprobs ? PM_SAMPLE_LOGPROBS : 0;
    row->top_logprobs = ask->sample.logprobs ? ask->sample.top_logprobs : 0;
    row->mask = ask->mask != NULL ? mask : 0;
    add_edits(s, row, ask, sequence->tokens, known, before);
}

static pm_request *request_at(const pm_batch *batch, uint32_t out)
{
    return pm_request_of(batch->sequences[batch->out_seq[out]]);
}

/* Tokens that stand before the one that output `out` picks. */
static uint32_t before_of(const pm_batch *batch, uint32_t out)
{
    return batch->positions[batch->out_rows[out]] + 1;
}

const pm_step_samples *pm_sampling_prepare(pm_sampling *s, pm_flight *flight, pm_step_samples *samples)
{
    const pm_batch *batch = flight->batch;
    pm_edits_start(&s->edits, s->pool, s->pool_max);
    s->mask_count = 0;
    for (uint32_t out = 0; out < batch->outs; out++) {
        const pm_request *request = request_at(batch, out);
        const pm_ask *ask = request->ask;
        const bool in_prompt = before_of(batch, out) < ask->prompt_tokens; /* its log-probabilities are wanted */
        flight->logits |= in_prompt || ask->on_host;
        s->rows[out] = (pm_sample_row){.repeat = 1.0f, .repeat_inverse = 1.0f}; /* greedy */
        if (in_prompt || ask->on_host || is_greedy(ask))
            continue;
        const bool first = out == 0 || batch->out_seq[out - 1] != batch->out_seq[out];
        if (ask->mask != NULL && (first || s->rows[out - 1].mask == 0))
            s->masks[s->mask_count++] = ask->mask;
        make_row(s, &s->rows[out], request, before_of(batch, out), s->mask_count);
        flight->sampled = true;
    }
    *samples = (pm_step_samples){s->rows, s->pool, s->edits.pool_count, s->masks, s->mask_count};
    return flight->sampled ? samples : NULL;
}

/* ------------------------------------------------------------------ pick */

/* From the logits, as the device would. */
static int32_t pick_on_host(pm_sampling *s, const pm_flight *flight, const pm_request *request, uint32_t out)
{
    const pm_ask *ask = request->ask;
    const uint32_t before = before_of(flight->batch, out);
    pm_sample_row row;
    pm_sample_params params = ask->sample;
    pm_edits_start(&s->edits, s->pool, s->pool_max);
    make_row(s, &row, request, before, 1);
    memcpy(s->logits, pm_run_logits(flight->run, out), s->vocab * sizeof(*s->logits));
    pm_sample_edit_logits(&row, s->pool, PM_SAMPLE_NO_TOKEN, s->logits, s->vocab);
    for (uint32_t t = 0; ask->mask != NULL && t < s->vocab; t++)
        if (!(ask->mask[t / 32] >> t % 32 & 1))
            s->logits[t] = -INFINITY;
    params.repeat_penalty = 1.0f;  /* done above */
    return pm_sample(s->sampler, &params, s->logits, request->sequence.tokens, before, seed_of(request), before);
}

void pm_sampling_pick(pm_sampling *s, const pm_flight *flight, int32_t *picked)
{
    const pm_batch *batch = flight->batch;
    for (uint32_t out = 0; out < batch->outs; out++) {
        const uint32_t token = pm_run_token(flight->run, out);
        const pm_sequence *sequence = batch->sequences[batch->out_seq[out]];
        picked[out] = token < s->vocab && sequence != NULL ? (int32_t)token : -1;
        if (picked[out] >= 0 && request_at(batch, out)->ask->on_host &&
            before_of(batch, out) >= request_at(batch, out)->ask->prompt_tokens)
            picked[out] = pick_on_host(s, flight, request_at(batch, out), out);
    }
}

void pm_sampling_logprobs(const pm_sampling *s, const pm_flight *flight, uint32_t out, const pm_request *request,
                          int32_t token, pm_logprobs *logprobs)
{
    const pm_ask *ask = request->ask;
    pm_sample_logprobs there;
    const pm_sample_logprobs *from = &there;
    if (before_of(flight->batch, out) >= ask->prompt_tokens && !ask->on_host) {
        from = pm_run_logprobs(flight->run, out);
    } else {
        const pm_sample_row row = {.top_logprobs = ask->sample.top_logprobs};
        pm_sample_logprobs_of(&row, pm_run_logits(flight->run, out), s->vocab, (uint32_t)token, &there);
    }
    *logprobs = (pm_logprobs){.chosen = {token, from->picked}, .top_count = from->count};
    for (uint32_t i = 0; i < from->count && i < PM_TOP_LOGPROBS_MAX; i++)
        logprobs->top[i] = (pm_logprob){(int32_t)from->id[i], from->logprob[i]};
}
