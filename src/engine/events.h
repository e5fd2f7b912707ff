/* engine/events.h - events on their way to the caller, and their texts. Floor 5.
 *
 * A step puts its events here; the caller takes them, as many at a time as it has room
 * for. The memory is made at create for the most that one step can bring, and texts stay
 * where they are until all events were taken and the next step begins.
 */
#ifndef PM_ENGINE_EVENTS_H
#define PM_ENGINE_EVENTS_H

#include "base/str.h"
#include "engine/request.h"

#include <stdatomic.h>

typedef struct pm_events {
    pm_event *list;                /* [capacity] owned */
    pm_logprobs *logprobs;         /* [capacity] owned */
    size_t count, taken, capacity;
    pm_str text;
    _Atomic size_t left;           /* count - taken; read by other threads */
} pm_events;

/* Room for max_events events. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_events_init(pm_events *events, const pm_tokenizer *tokenizer, size_t max_events);
void pm_events_finish(pm_events *events);

/* Starts a step: all were taken, and what they pointed to may go. */
void pm_events_begin(pm_events *events);

/* The prompt as the answer's first event. */
void pm_events_add_echo(pm_events *events, const pm_request *request);

/* The request's next token, which counts as told. Its text is let through as far as no
 * stop string can begin in it, and not at all when the token ends the answer. Returns the
 * index of the stop string that is now complete, or -1. logprobs: NULL = not wanted. */
int32_t pm_events_add_token(pm_events *events, pm_request *request, int32_t token, bool ends,
                            const pm_logprobs *logprobs);

/* Makes the token's event, added last, the answer's end: what was held back follows, unless
 * a stop string ended it. */
void pm_events_end_last(pm_events *events, pm_request *request, pm_finish finish, int32_t stop);

/* An end without a token. */
void pm_events_add_end(pm_events *events, pm_request *request, pm_finish finish, pm_result error);

/* Moves up to `capacity` events to out. Returns how many. */
size_t pm_events_take(pm_events *events, pm_event *out, size_t capacity);

#endif /* PM_ENGINE_EVENTS_H */
