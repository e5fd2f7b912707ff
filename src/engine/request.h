/* engine/request.h - a request: a sequence, its sampler, its text. Floor 5. */
#ifndef PM_ENGINE_REQUEST_H
#define PM_ENGINE_REQUEST_H

#include "sched/sequence.h"
#include "text/stream.h"

#include <stdatomic.h>

typedef struct pm_request {
    pm_sequence sequence;          /* first member; see pm_request_of() */
    uint64_t id;
    uint32_t prompt_tokens;
    uint32_t max_tokens;           /* generated tokens, resolved: >= 1 */
    pm_finish finish_at_max;       /* PM_FINISH_LENGTH, or _CONTEXT when that is what limits it */
    bool ignore_end;
    pm_sample_params sample;
    pm_stream stream;
    _Atomic bool cancelled;
    struct pm_request *next;       /* in the engine's inbox, or its list of all */
} pm_request;

static inline pm_request *pm_request_of(pm_sequence *sequence)
{
    return (pm_request *)sequence;
}

static inline uint32_t pm_request_generated(const pm_request *request)
{
    return request->sequence.token_count - request->prompt_tokens;
}

/* Limits that a request must fit, all in tokens. */
typedef struct pm_request_limits {
    uint32_t context;              /* of one sequence */
    uint32_t pool;                 /* KV tokens of all pages */
    uint32_t page_tokens;
} pm_request_limits;

/* Copies and checks the parameters; makes all the memory the request will ever need.
 * *out: owned, pm_request_destroy(). Errors: as pm_request_submit() in pumice.h. */
PM_MUST_USE pm_result pm_request_create(const pm_request_params *params, const pm_tokenizer *tokenizer,
                                        const pm_request_limits *limits, pm_request **out);
void pm_request_destroy(pm_request *request);

/* PM_ERR_ARG unless each of the tokens is in the vocabulary. */
PM_MUST_USE pm_result pm_tokens_check(const int32_t *tokens, size_t count, uint32_t vocab);

#endif /* PM_ENGINE_REQUEST_H */
