/* engine/request.c - a request: a sequence, its sampler, its text. */
#include "engine/request.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

static pm_result check_sample(const pm_sample_params *s)
{
    if (!(s->temperature >= 0.0f) || !isfinite(s->temperature))
        return pm_fail(PM_ERR_ARG, "temperature is %g, expected 0 or more", (double)s->temperature);
    if (!(s->top_p >= 0.0f && s->top_p <= 1.0f))
        return pm_fail(PM_ERR_ARG, "top_p is %g, expected 0 to 1", (double)s->top_p);
    if (!(s->min_p >= 0.0f && s->min_p < 1.0f))
        return pm_fail(PM_ERR_ARG, "min_p is %g, expected 0 to below 1", (double)s->min_p);
    if (!(s->repeat_penalty >= 0.0f) || !isfinite(s->repeat_penalty))
        return pm_fail(PM_ERR_ARG, "repeat_penalty is %g, expected above 0", (double)s->repeat_penalty);
    return PM_OK;
}

pm_result pm_tokens_check(const int32_t *tokens, size_t count, uint32_t vocab)
{
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= vocab)
            return pm_fail(PM_ERR_ARG, "token %zu is %d, expected 0 to %u", i, tokens[i], vocab - 1);
    return PM_OK;
}

/* The prompt as owned tokens. */
static pm_result read_prompt(const pm_request_params *params, const pm_tokenizer *tokenizer, int32_t **out,
                             size_t *count)
{
    const bool given = params->tokens != NULL;
    const size_t capacity = given ? params->token_count : params->prompt_len * 3 + 3;
    int32_t *tokens = pm_alloc(capacity, sizeof(*tokens), "prompt tokens");
    if (tokens == NULL)
        return PM_ERR_NOMEM;
    pm_result result;
    if (given) {
        result = pm_tokens_check(params->tokens, params->token_count, pm_tokenizer_size(tokenizer));
        *count = params->token_count;
        if (result == PM_OK && *count > 0)
            memcpy(tokens, params->tokens, *count * sizeof(*tokens));
    } else {
        result = pm_tokenize(tokenizer, params->prompt, params->prompt_len, params->prompt_flags, tokens, capacity,
                             count);
    }
    if (result == PM_OK && *count == 0)
        result = pm_fail(PM_ERR_ARG, "the prompt has no tokens");
    if (result != PM_OK) {
        pm_free(tokens);
        return result;
    }
    *out = tokens;
    return PM_OK;
}

/* How many tokens the sequence may come to. */
static pm_result resolve_length(const pm_request_params *params, size_t prompt_tokens,
                                const pm_request_limits *limits, uint32_t *max_tokens, pm_finish *finish_at_max)
{
    if (prompt_tokens >= limits->context)
        return pm_fail(PM_ERR_ARG, "the prompt has %zu tokens, the context holds %u with the answer", prompt_tokens,
                       limits->context);
    if (prompt_tokens >= limits->pool)
        return pm_fail(PM_ERR_ARG, "the prompt has %zu tokens, the KV pool holds %u with the answer", prompt_tokens,
                       limits->pool);
    const uint32_t room = limits->context - (uint32_t)prompt_tokens;
    const bool asked = params->max_tokens != 0 && params->max_tokens <= room;
    *max_tokens = asked ? params->max_tokens : room;
    *finish_at_max = asked ? PM_FINISH_LENGTH : PM_FINISH_CONTEXT;
    return PM_OK;
}

pm_result pm_request_create(const pm_request_params *params, const pm_tokenizer *tokenizer,
                            const pm_request_limits *limits, pm_request **out)
{
    PM_TRY(check_sample(&params->sample));
    if (params->tokens == NULL && params->prompt == NULL && params->prompt_len > 0)
        return pm_fail(PM_ERR_ARG, "a prompt of %zu bytes without a pointer", params->prompt_len);
    int32_t *prompt = NULL;
    size_t prompt_tokens = 0;
    uint32_t max_tokens = 0;
    pm_finish finish_at_max = PM_FINISH_LENGTH;
    pm_request *request = NULL;
    PM_TRY(read_prompt(params, tokenizer, &prompt, &prompt_tokens));
    pm_result result = resolve_length(params, prompt_tokens, limits, &max_tokens, &finish_at_max);
    if (result != PM_OK)
        goto done;
    const uint32_t capacity = (uint32_t)prompt_tokens + max_tokens;
    request = pm_alloc(1, sizeof(*request), "request");
    if (request == NULL) {
        result = PM_ERR_NOMEM;
        goto done;
    }
    pm_sequence *sequence = &request->sequence;
    sequence->tokens = pm_alloc(capacity, sizeof(*sequence->tokens), "sequence tokens");
    result = sequence->tokens == NULL
                 ? PM_ERR_NOMEM
                 : pm_block_table_init(&sequence->table, (capacity + limits->page_tokens - 1) / limits->page_tokens);
    if (result != PM_OK) {
        pm_request_destroy(request);
        goto done;
    }
    memcpy(sequence->tokens, prompt, prompt_tokens * sizeof(*prompt));
    sequence->token_count = (uint32_t)prompt_tokens;
    sequence->token_capacity = capacity;
    sequence->logits_from = PM_LOGITS_LAST;
    request->prompt_tokens = (uint32_t)prompt_tokens;
    request->max_tokens = max_tokens;
    request->finish_at_max = finish_at_max;
    request->ignore_end = params->ignore_end;
    request->sample = params->sample;
    /* Right after BOS a text begins: SPM's space in front of its first word is not text. */
    pm_stream_init(&request->stream, tokenizer, prompt_tokens > 1 || prompt[0] != pm_tokenizer_bos(tokenizer));
    *out = request;
done:
    pm_free(prompt);
    return result;
}

void pm_request_destroy(pm_request *request)
{
    if (request == NULL)
        return;
    pm_block_table_finish(&request->sequence.table);
    pm_free(request->sequence.tokens);
    pm_free(request);
}
