/* engine/events.h - the text of one step's events. Floor 5. */
#ifndef PM_ENGINE_EVENTS_H
#define PM_ENGINE_EVENTS_H

#include "base/str.h"
#include "engine/request.h"

/* Collects a step's events; the texts lie in one string, whose memory is made at
 * create, so that they stay valid until the next step. */
typedef struct pm_events {
    pm_event *events;              /* the caller's */
    size_t count, capacity;
    pm_str text;
} pm_events;

/* Room for the texts of max_events events. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_events_init(pm_events *events, const pm_tokenizer *tokenizer, size_t max_events);
void pm_events_finish(pm_events *events);

/* Starts a step. */
void pm_events_begin(pm_events *events, pm_event *out, size_t capacity);

/* One event of the request. token: -1 = none; its text is added unless it ends the
 * answer. A finish other than PM_FINISH_NONE flushes what the stream still holds. */
void pm_events_add(pm_events *events, pm_request *request, int32_t token, bool show, pm_finish finish, pm_result error);

#endif /* PM_ENGINE_EVENTS_H */
