/* engine/answer.c - from picked tokens to events, and the ends of requests. */
#include "engine/engine_impl.h"

void pm_engine_end(pm_engine *e, pm_request *request)
{
    pm_sched_remove(e->sched, &request->sequence);
    pm_draft_release(&e->draft, request);
    pthread_mutex_lock(&e->lock); /* the list is walked by pm_request_cancel() */
    for (pm_request **link = &e->requests; *link != NULL; link = &(*link)->next) {
        if (*link == request) {
            *link = request->next;
            break;
        }
    }
    pthread_mutex_unlock(&e->lock);
    request->next = e->ended;
    e->ended = request;
    atomic_fetch_sub(&e->request_count, 1);
}

void pm_engine_finish(pm_engine *e, pm_request *request, pm_finish finish, pm_result error)
{
    pm_events_add_end(&e->events, request, finish, error);
    pm_engine_end(e, request);
}

/* The answer's first token: the prompt has been read. */
static void tell_prompt(pm_engine *e, pm_request *request)
{
    request->cached_tokens = request->sequence.cached_tokens < request->ask->prompt_tokens
                                 ? request->sequence.cached_tokens : request->ask->prompt_tokens - 1;
    e->counts.prompt_tokens += request->ask->prompt_tokens;
    e->counts.cached_tokens += request->cached_tokens;
    if (request->ask->echo)
        pm_events_add_echo(&e->events, request);
}

/* True when the answer goes on. */
static bool tell_token(pm_engine *e, pm_request *request, int32_t token, const pm_logprobs *logprobs)
{
    const pm_ask *ask = request->ask;
    if (token < 0) {
        pm_engine_finish(e, request, PM_FINISH_ERROR,
                         pm_fail(PM_ERR_DEVICE, "request %llu: the logits are not numbers", (unsigned long long)ask->id));
        return false;
    }
    if (request->told == ask->prompt_tokens)
        tell_prompt(e, request);
    e->counts.generated_tokens++;
    const bool ends = pm_ask_ends_with(ask, e->tokenizer, token);
    const int32_t stop = pm_events_add_token(&e->events, request, token, ends, logprobs);
    const bool full = pm_request_generated(request) >= ask->max_tokens;
    if (!ends && stop < 0 && !full)
        return true;
    pm_events_end_last(&e->events, request, ends || stop >= 0 ? PM_FINISH_STOP : ask->finish_at_max, stop);
    pm_engine_end(e, request);
    return false;
}

/* Outputs of positions inside the prompt: how likely its next token was. */
static uint32_t note_prompt(pm_engine *e, const pm_flight *flight, pm_request *request, uint32_t out, uint32_t end)
{
    const pm_batch *batch = flight->batch;
    const pm_ask *ask = request->ask;
    for (; out < end; out++) {
        const uint32_t next = batch->positions[batch->out_rows[out]] + 1;
        if (next >= ask->prompt_tokens)
            break;
        if (ask->prompt_logprobs != NULL)
            pm_sampling_logprobs(&e->sampling, flight, out, request, ask->tokens[next], &ask->prompt_logprobs[next]);
    }
    return out;
}

/* What the batch brought to one sequence: guesses that were right, and a token after them. */
static void tell_sequence(pm_engine *e, const pm_flight *flight, uint32_t s)
{
    const pm_batch *batch = flight->batch;
    pm_request *request = pm_request_of(batch->sequences[s]);
    uint32_t out = note_prompt(e, flight, request, batch->out_start[s], batch->out_start[s + 1]);
    const uint32_t last = out + batch->accepted[s];
    for (; out < batch->out_start[s + 1] && out <= last; out++) {
        pm_logprobs logprobs;
        const int32_t token = e->picked[out];
        const bool wanted = request->ask->sample.logprobs && token >= 0;
        if (wanted)
            pm_sampling_logprobs(&e->sampling, flight, out, request, token, &logprobs);
        if (out == last && token >= 0)
            pm_sequence_append(&request->sequence, token);
        if (!tell_token(e, request, token, wanted ? &logprobs : NULL))
            return;
    }
}

void pm_engine_tell(pm_engine *e, const pm_flight *flight)
{
    for (uint32_t s = 0; s < flight->batch->seqs; s++)
        if (flight->batch->sequences[s] != NULL) /* else it ended while the batch was in flight */
            tell_sequence(e, flight, s);
}
