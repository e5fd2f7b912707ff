/* engine/request.h - one answer to a request: a sequence and its text. Floor 5. */
#ifndef PM_ENGINE_REQUEST_H
#define PM_ENGINE_REQUEST_H

#include "engine/ask.h"
#include "sched/sequence.h"
#include "text/stream.h"

#include <stdatomic.h>

typedef struct pm_request {
    pm_sequence sequence;          /* first member; see pm_request_of() */
    pm_ask *ask;                   /* a reference */
    uint32_t index;                /* of the answer */
    uint32_t told;                 /* tokens of the sequence that events have told of, the prompt's included */
    uint32_t cached_tokens;        /* of the prompt, when it was first computed */
    pm_block_table draft_table;    /* pages of the draft model; without room where it does not draft */
    uint32_t draft_computed;       /* tokens whose KV is there, guesses included: engine/draft.h */
    pm_stream stream;
    pm_stop_text held;
    _Atomic bool cancelled;
    struct pm_request *next;       /* in the engine's inbox, its list of all, or its list of the ended */
} pm_request;

static inline pm_request *pm_request_of(pm_sequence *sequence)
{
    return (pm_request *)sequence;
}

static inline uint32_t pm_request_generated(const pm_request *request)
{
    return request->told - request->ask->prompt_tokens;
}

/* Answer `index` of the ask, with all memory that it will ever need. The sequence waits to
 * be added. *out: owned, pm_request_destroy(); takes a reference that the ask has left.
 * Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_request_create(pm_ask *ask, uint32_t index, const pm_tokenizer *tokenizer,
                                        uint32_t page_tokens, pm_request **out);

/* Drops its reference, too. NULL is fine. */
void pm_request_destroy(pm_request *request);

#endif /* PM_ENGINE_REQUEST_H */
