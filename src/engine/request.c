/* engine/request.c - one answer to a request: a sequence and its text. */
#include "engine/request.h"

#include "base/alloc.h"

#include <string.h>

pm_result pm_request_create(pm_ask *ask, uint32_t index, const pm_tokenizer *tokenizer, uint32_t page_tokens,
                            pm_request **out)
{
    pm_request *request = pm_alloc(1, sizeof(*request), "request");
    if (request == NULL)
        return PM_ERR_NOMEM;
    pm_sequence *sequence = &request->sequence;
    pm_result result = pm_sequence_init(sequence, ask->prompt_tokens + ask->max_tokens, page_tokens);
    if (result == PM_OK && ask->speculate == PM_SPECULATE_DRAFT)
        result = pm_block_table_init(&request->draft_table, sequence->table.capacity);
    if (result != PM_OK) {
        pm_sequence_finish(sequence);
        pm_free(request);
        return result;
    }
    memcpy(sequence->tokens, ask->tokens, ask->prompt_tokens * sizeof(*ask->tokens));
    sequence->token_count = ask->prompt_tokens;
    sequence->logits_from = index == 0 && ask->prompt_logprobs != NULL ? 0 : PM_LOGITS_LAST;
    sequence->priority = ask->priority;
    sequence->no_cache = ask->no_prefix_cache;
    sequence->no_ahead = ask->speculate != PM_SPECULATE_NONE || ask->on_host; /* they need the tokens */
    request->ask = ask;
    request->index = index;
    request->told = ask->prompt_tokens;
    request->held.stops = &ask->stops;
    /* Right after BOS a text begins: SPM's space in front of its first word is not text. */
    pm_stream_init(&request->stream, tokenizer, ask->prompt_tokens > 1 || ask->tokens[0] != pm_tokenizer_bos(tokenizer));
    *out = request;
    return PM_OK;
}

void pm_request_destroy(pm_request *request)
{
    if (request == NULL)
        return;
    pm_block_table_finish(&request->draft_table);
    pm_sequence_finish(&request->sequence);
    pm_ask_release(request->ask);
    pm_free(request);
}
