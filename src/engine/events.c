/* engine/events.c - the text of one step's events. */
#include "engine/events.h"

pm_result pm_events_init(pm_events *events, const pm_tokenizer *tokenizer, size_t max_events)
{
    *events = (pm_events){0};
    /* a push, and a flush of at most one U+FFFD */
    return pm_str_reserve(&events->text, max_events * (pm_stream_token_bytes_max(tokenizer) + 3));
}

void pm_events_finish(pm_events *events)
{
    pm_str_finish(&events->text);
}

void pm_events_begin(pm_events *events, pm_event *out, size_t capacity)
{
    events->events = out;
    events->capacity = capacity;
    events->count = 0;
    pm_str_clear(&events->text);
}

void pm_events_add(pm_events *events, pm_request *request, int32_t token, bool show, pm_finish finish, pm_result error)
{
    pm_assert(events->count < events->capacity);
    const size_t start = events->text.len;
    /* The memory is there and the token in the vocabulary: neither call can fail. */
    if (token >= 0 && show)
        pm_assert(pm_stream_push(&request->stream, token, &events->text) == PM_OK);
    if (finish != PM_FINISH_NONE)
        pm_assert(pm_stream_flush(&request->stream, &events->text) == PM_OK);
    events->events[events->count++] = (pm_event){
        .request_id = request->id,
        .token = token,
        .finish = finish,
        .error = error,
        .text = events->text.data + start,
        .text_len = events->text.len - start,
        .prompt_tokens = request->prompt_tokens,
        .generated_tokens = pm_request_generated(request),
    };
}

const char *pm_finish_name(pm_finish finish)
{
    switch (finish) {
    case PM_FINISH_NONE: return "none";
    case PM_FINISH_STOP: return "stop";
    case PM_FINISH_LENGTH: return "length";
    case PM_FINISH_CONTEXT: return "context";
    case PM_FINISH_CANCELLED: return "cancelled";
    case PM_FINISH_ERROR: return "error";
    }
    return "unknown";
}
