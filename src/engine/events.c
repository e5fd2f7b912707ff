/* engine/events.c - events on their way to the caller, and their texts. */
#include "engine/events.h"

#include "base/alloc.h"

#include <string.h>

/* One event's text: a push, a flush of at most one U+FFFD, what was held back, and room to
 * put that in front. */
static size_t text_bytes_max(const pm_tokenizer *tokenizer)
{
    return pm_stream_token_bytes_max(tokenizer) + 3 + 2 * PM_STOP_BYTES_MAX;
}

pm_result pm_events_init(pm_events *events, const pm_tokenizer *tokenizer, size_t max_events)
{
    *events = (pm_events){.capacity = max_events};
    events->list = pm_alloc(max_events, sizeof(*events->list), "events");
    events->logprobs = pm_alloc(max_events, sizeof(*events->logprobs), "events");
    if (events->list == NULL || events->logprobs == NULL)
        return PM_ERR_NOMEM;
    return pm_str_reserve(&events->text, max_events * text_bytes_max(tokenizer));
}

void pm_events_finish(pm_events *events)
{
    pm_free(events->list);
    pm_free(events->logprobs);
    pm_str_finish(&events->text);
}

void pm_events_begin(pm_events *events)
{
    pm_assert(events->taken == events->count);
    events->count = events->taken = 0;
    pm_str_clear(&events->text);
}

static pm_event *add(pm_events *events, const pm_request *request)
{
    pm_assert(events->count < events->capacity);
    pm_event *event = &events->list[events->count++];
    *event = (pm_event){
        .request_id = request->ask->id,
        .token = -1,
        .text = events->text.data + events->text.len,
        .prompt_tokens = request->ask->prompt_tokens,
        .generated_tokens = pm_request_generated(request),
        .index = request->index,
        .cached_tokens = request->cached_tokens,
        .stop_index = -1,
    };
    atomic_store(&events->left, events->count - events->taken);
    return event;
}

void pm_events_add_echo(pm_events *events, const pm_request *request)
{
    pm_event *event = add(events, request);
    event->echo = true;
    event->text = request->ask->echo_text;
    event->text_len = request->ask->echo_len;
    event->logprobs = request->ask->prompt_logprobs;
    event->logprobs_count = event->logprobs != NULL ? request->ask->prompt_tokens : 0;
}

int32_t pm_events_add_token(pm_events *events, pm_request *request, int32_t token, bool ends,
                            const pm_logprobs *logprobs)
{
    int32_t stop = -1;
    const size_t start = events->text.len;
    request->told++;
    pm_event *event = add(events, request);
    event->token = token;
    if (logprobs != NULL) {
        event->logprobs = &events->logprobs[events->count - 1];
        event->logprobs_count = 1;
        events->logprobs[events->count - 1] = *logprobs;
    }
    if (!ends) {                   /* the memory is there and the token in the vocabulary: this cannot fail */
        pm_assert(pm_stream_push(&request->stream, token, &events->text) == PM_OK);
        stop = pm_stop_push(&request->held, &events->text, start);
    }
    event->text_len = events->text.len - start;
    return stop;
}

void pm_events_end_last(pm_events *events, pm_request *request, pm_finish finish, int32_t stop)
{
    pm_event *event = &events->list[events->count - 1];
    pm_assert(events->count > 0 && event->request_id == request->ask->id && event->index == request->index);
    if (stop < 0) {
        const size_t start = events->text.len;
        pm_assert(pm_stream_flush(&request->stream, &events->text) == PM_OK);
        stop = pm_stop_push(&request->held, &events->text, start);
        if (stop < 0)
            pm_stop_flush(&request->held, &events->text);
        event->text_len += events->text.len - start;
    }
    event->finish = stop < 0 ? finish : PM_FINISH_STOP;
    event->stop_index = stop;
}

void pm_events_add_end(pm_events *events, pm_request *request, pm_finish finish, pm_result error)
{
    add(events, request)->error = error;
    pm_events_end_last(events, request, finish, -1);
}

size_t pm_events_take(pm_events *events, pm_event *out, size_t capacity)
{
    const size_t left = events->count - events->taken, count = left < capacity ? left : capacity;
    if (count > 0)
        memcpy(out, events->list + events->taken, count * sizeof(*out));
    events->taken += count;
    atomic_store(&events->left, left - count);
    return count;
}
