/* engine/ask.c - what a caller asked for, checked and copied. */
#include "engine/ask.h"

#include "base/alloc.h"
#include "sched/sequence.h"

#include <math.h>
#include <string.h>

/* ----------------------------------------------------------------- check */

static pm_result check_penalties(const pm_sample_params *s)
{
    if (!(s->repeat_penalty >= 0.0f) || !isfinite(s->repeat_penalty))
        return pm_fail(PM_ERR_ARG, "repeat_penalty is %g, expected above 0", (double)s->repeat_penalty);
    if (!(s->presence_penalty >= -2.0f && s->presence_penalty <= 2.0f))
        return pm_fail(PM_ERR_ARG, "presence_penalty is %g, expected -2 to 2", (double)s->presence_penalty);
    if (!(s->frequency_penalty >= -2.0f && s->frequency_penalty <= 2.0f))
        return pm_fail(PM_ERR_ARG, "frequency_penalty is %g, expected -2 to 2", (double)s->frequency_penalty);
    return PM_OK;
}

static pm_result check_sample(const pm_sample_params *s)
{
    if (!(s->temperature >= 0.0f) || !isfinite(s->temperature))
        return pm_fail(PM_ERR_ARG, "temperature is %g, expected 0 or more", (double)s->temperature);
    if (!(s->top_p >= 0.0f && s->top_p <= 1.0f))
        return pm_fail(PM_ERR_ARG, "top_p is %g, expected 0 to 1", (double)s->top_p);
    if (!(s->min_p >= 0.0f && s->min_p < 1.0f))
        return pm_fail(PM_ERR_ARG, "min_p is %g, expected 0 to below 1", (double)s->min_p);
    if (s->top_logprobs > PM_TOP_LOGPROBS_MAX)
        return pm_fail(PM_ERR_ARG, "top_logprobs is %u, expected at most %d", s->top_logprobs, PM_TOP_LOGPROBS_MAX);
    return check_penalties(s);
}

static pm_result check_bias(const pm_sample_params *s, uint32_t vocab)
{
    if (s->logit_bias_count > PM_LOGIT_BIAS_MAX)
        return pm_fail(PM_ERR_ARG, "%u entries of logit_bias, expected at most %d", s->logit_bias_count,
                       PM_LOGIT_BIAS_MAX);
    for (uint32_t i = 0; i < s->logit_bias_count; i++) {
        const pm_logit_bias *b = &s->logit_bias[i];
        if (b->token < 0 || (uint32_t)b->token >= vocab)
            return pm_fail(PM_ERR_ARG, "logit_bias %u: token %d, expected 0 to %u", i, b->token, vocab - 1);
        if (isnan(b->bias) || b->bias == INFINITY)
            return pm_fail(PM_ERR_ARG, "logit_bias %u: bias %g, expected a number or -inf", i, (double)b->bias);
        for (uint32_t j = 0; j < i; j++)
            if (s->logit_bias[j].token == b->token)
                return pm_fail(PM_ERR_ARG, "logit_bias %u: token %d stands there twice", i, b->token);
    }
    return PM_OK;
}

static pm_result check_mask(const pm_sample_params *s, uint32_t vocab)
{
    if (s->token_mask == NULL)
        return PM_OK;
    for (uint32_t t = 0; t < vocab; t++)
        if (s->token_mask[t / 32] >> t % 32 & 1)
            return PM_OK;
    return pm_fail(PM_ERR_ARG, "token_mask allows none of the %u tokens", vocab);
}

static pm_result check_speculation(const pm_request_params *p, const pm_request_limits *limits)
{
    if ((unsigned)p->speculate > PM_SPECULATE_DRAFT)
        return pm_fail(PM_ERR_ARG, "speculate is %d, expected a pm_speculation", (int)p->speculate);
    if (p->speculate == PM_SPECULATE_DRAFT && !limits->draft)
        return pm_fail(PM_ERR_ARG, "speculate asks for a draft model, the engine has none: see draft_path");
    if (p->draft_tokens > PM_DRAFT_TOKENS_MAX)
        return pm_fail(PM_ERR_ARG, "draft_tokens is %u, expected at most %d", p->draft_tokens, PM_DRAFT_TOKENS_MAX);
    return PM_OK;
}

static pm_result check(const pm_request_params *p, uint32_t vocab, const pm_request_limits *limits)
{
    PM_TRY(check_sample(&p->sample));
    PM_TRY(check_bias(&p->sample, limits->vocab));
    PM_TRY(check_mask(&p->sample, limits->vocab));
    PM_TRY(check_speculation(p, limits));
    if (p->tokens == NULL && p->prompt == NULL && p->prompt_len > 0)
        return pm_fail(PM_ERR_ARG, "a prompt of %zu bytes without a pointer", p->prompt_len);
    if (p->n > limits->max_seqs)
        return pm_fail(PM_ERR_ARG, "n is %u, expected at most the %u sequences of the engine", p->n, limits->max_seqs);
    if (p->n > limits->max_queue)
        return pm_fail(PM_ERR_ARG, "n is %u, expected at most the %u answers that can be queued and running", p->n,
                       limits->max_queue);
    if (p->priority < -PM_PRIORITY_MAX || p->priority > PM_PRIORITY_MAX)
        return pm_fail(PM_ERR_ARG, "priority is %d, expected -%d to %d", p->priority, PM_PRIORITY_MAX, PM_PRIORITY_MAX);
    if (p->stop_token_count > PM_STOP_TOKENS_MAX)
        return pm_fail(PM_ERR_ARG, "%zu stop tokens, expected at most %d", p->stop_token_count, PM_STOP_TOKENS_MAX);
    return pm_tokens_check(p->stop_tokens, p->stop_token_count, vocab);
}

pm_result pm_tokens_check(const int32_t *tokens, size_t count, uint32_t vocab)
{
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= vocab)
            return pm_fail(PM_ERR_ARG, "token %zu is %d, expected 0 to %u", i, tokens[i], vocab - 1);
    return PM_OK;
}

/* ------------------------------------------------------------------ copy */

/* Owned copy of count items; nothing for none. */
static pm_result copy(const void *from, size_t count, size_t size, const char *what, void *out)
{
    if (count == 0)
        return PM_OK;
    void *to = pm_alloc(count, size, what);
    if (to == NULL)
        return PM_ERR_NOMEM;
    memcpy(to, from, count * size);
    memcpy(out, &to, sizeof(to));
    return PM_OK;
}

static pm_result read_prompt(pm_ask *ask, const pm_request_params *params, const pm_tokenizer *tokenizer)
{
    size_t count = params->token_count;
    if (params->tokens != NULL) {
        PM_TRY(pm_tokens_check(params->tokens, count, pm_tokenizer_size(tokenizer)));
        PM_TRY(copy(params->tokens, count, sizeof(*ask->tokens), "prompt tokens", &ask->tokens));
    } else {
        const size_t capacity = params->prompt_len * 3 + 3;
        ask->tokens = pm_alloc(capacity, sizeof(*ask->tokens), "prompt tokens");
        if (ask->tokens == NULL)
            return PM_ERR_NOMEM;
        PM_TRY(pm_tokenize(tokenizer, params->prompt, params->prompt_len, params->prompt_flags, ask->tokens, capacity,
                           &count));
    }
    if (count == 0)
        return pm_fail(PM_ERR_ARG, "the prompt has no tokens");
    ask->prompt_tokens = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count; /* the context is smaller */
    return PM_OK;
}

/* How many tokens an answer may come to. */
static pm_result resolve_length(pm_ask *ask, const pm_request_params *params, const pm_request_limits *limits)
{
    const uint32_t prompt = ask->prompt_tokens;
    if (prompt >= limits->context)
        return pm_fail(PM_ERR_ARG, "the prompt has %u tokens, the context holds %u with the answer", prompt,
                       limits->context);
    if (prompt >= limits->pool)
        return pm_fail(PM_ERR_ARG, "the prompt has %u tokens, the KV pool holds %u with the answer", prompt,
                       limits->pool);
    const uint32_t room = limits->context - prompt;
    const bool asked = params->max_tokens != 0 && params->max_tokens <= room;
    ask->max_tokens = asked ? params->max_tokens : room;
    ask->min_tokens = params->min_tokens < ask->max_tokens ? params->min_tokens : ask->max_tokens;
    ask->finish_at_max = asked ? PM_FINISH_LENGTH : PM_FINISH_CONTEXT;
    return PM_OK;
}

/* The prompt as it was given, or as its tokens read; and room for its log-probabilities. */
static pm_result prepare_echo(pm_ask *ask, const pm_request_params *params, const pm_tokenizer *tokenizer)
{
    if (!params->echo)
        return PM_OK;
    size_t len = params->prompt_len;
    if (params->tokens != NULL) {
        const pm_result sized = pm_detokenize(tokenizer, ask->tokens, ask->prompt_tokens, true, NULL, 0, &len);
        pm_assert(sized == PM_OK || sized == PM_ERR_FULL);
    }
    ask->echo_text = pm_alloc(len + 1, 1, "echo");
    if (ask->echo_text == NULL)
        return PM_ERR_NOMEM;
    if (params->tokens == NULL && len > 0)
        memcpy(ask->echo_text, params->prompt, len);
    if (params->tokens != NULL)
        PM_TRY(pm_detokenize(tokenizer, ask->tokens, ask->prompt_tokens, true, ask->echo_text, len, &len));
    ask->echo_len = len;
    if (!params->sample.logprobs)
        return PM_OK;
    ask->prompt_logprobs = pm_alloc(ask->prompt_tokens, sizeof(*ask->prompt_logprobs), "log-probabilities of the prompt");
    if (ask->prompt_logprobs == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t i = 0; i < ask->prompt_tokens; i++)
        ask->prompt_logprobs[i].chosen.token = ask->tokens[i];
    return PM_OK;
}

static pm_result fill(pm_ask *ask, const pm_request_params *params, const pm_tokenizer *tokenizer,
                      const pm_request_limits *limits)
{
    PM_TRY(read_prompt(ask, params, tokenizer));
    PM_TRY(resolve_length(ask, params, limits));
    ask->sample = params->sample;
    ask->sample.logit_bias = NULL;
    ask->sample.token_mask = NULL;
    PM_TRY(copy(params->sample.logit_bias, params->sample.logit_bias_count, sizeof(*ask->bias), "logit bias", &ask->bias));
    if (params->sample.token_mask != NULL)
        PM_TRY(copy(params->sample.token_mask, (limits->vocab + 31) / 32, sizeof(*ask->mask), "token mask", &ask->mask));
    ask->sample.logit_bias = ask->bias;
    ask->sample.token_mask = ask->mask;
    PM_TRY(pm_stops_init(&ask->stops, params->stop, params->stop_count));
    PM_TRY(copy(params->stop_tokens, params->stop_token_count, sizeof(*ask->stop_tokens), "stop tokens",
                &ask->stop_tokens));
    ask->stop_token_count = (uint32_t)params->stop_token_count;
    PM_TRY(copy(params->cache_salt, params->cache_salt_len, 1, "cache salt", &ask->salt));
    ask->salt_len = params->cache_salt_len;
    return prepare_echo(ask, params, tokenizer);
}

pm_result pm_ask_create(const pm_request_params *params, const pm_tokenizer *tokenizer,
                        const pm_request_limits *limits, pm_ask **out)
{
    PM_TRY(check(params, pm_tokenizer_size(tokenizer), limits));
    pm_ask *ask = pm_alloc(1, sizeof(*ask), "request");
    if (ask == NULL)
        return PM_ERR_NOMEM;
    ask->n = ask->refs = params->n != 0 ? params->n : 1;
    ask->ignore_end = params->ignore_end;
    ask->echo = params->echo;
    ask->priority = params->priority;
    ask->deadline_ms = params->deadline_ms;
    ask->speculate = params->speculate;
    ask->draft_tokens = params->draft_tokens != 0 ? params->draft_tokens : 4;
    const pm_result result = fill(ask, params, tokenizer, limits);
    ask->no_prefix_cache = params->no_prefix_cache || ask->prompt_logprobs != NULL; /* cached rows give no logits */
    if (result != PM_OK) {
        ask->refs = 1;
        pm_ask_release(ask);
        return result;
    }
    *out = ask;
    return PM_OK;
}

void pm_ask_release(pm_ask *ask)
{
    if (--ask->refs > 0)
        return;
    pm_free(ask->tokens);
    pm_free(ask->bias);
    pm_free(ask->mask);
    pm_stops_finish(&ask->stops);
    pm_free(ask->stop_tokens);
    pm_free(ask->echo_text);
    pm_free(ask->prompt_logprobs);
    pm_free(ask->salt);
    pm_free(ask);
}

bool pm_ask_ends_with(const pm_ask *ask, const pm_tokenizer *tokenizer, int32_t token)
{
    if (!ask->ignore_end && pm_tokenizer_is_end(tokenizer, token))
        return true;
    for (uint32_t i = 0; i < ask->stop_token_count; i++)
        if (ask->stop_tokens[i] == token)
            return true;
    return false;
}
