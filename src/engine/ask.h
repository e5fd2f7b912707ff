/* engine/ask.h - what a caller asked for, checked and copied: shared by the request's
 * answers. Floor 5. */
#ifndef PM_ENGINE_ASK_H
#define PM_ENGINE_ASK_H

#include "text/stop.h"
#include "text/tokenizer.h"

typedef struct pm_ask {
    uint32_t refs;                 /* answers that are left; not atomic: see pm_ask_release() */
    uint64_t id;                   /* given at submit */
    uint32_t n;                    /* answers */
    int32_t *tokens;               /* [prompt_tokens] owned */
    uint32_t prompt_tokens;
    uint32_t max_tokens, min_tokens; /* generated tokens, resolved: max >= 1, min <= max */
    pm_finish finish_at_max;       /* PM_FINISH_LENGTH, or _CONTEXT when that is what limits it */
    bool ignore_end, echo, no_prefix_cache;
    bool on_host;                  /* its tokens are picked there: engine/sampling.h */
    pm_sample_params sample;       /* bias and mask are the copies below */
    pm_logit_bias *bias;
    uint32_t *mask;
    pm_stops stops;
    int32_t *stop_tokens;
    uint32_t stop_token_count;
    char *echo_text;               /* the prompt as text, when echo */
    size_t echo_len;
    pm_logprobs *prompt_logprobs;  /* [prompt_tokens], when echo and logprobs */
    int32_t priority;
    uint32_t deadline_ms;
    char *salt;
    size_t salt_len;
    pm_speculation speculate;
    uint32_t draft_tokens;
} pm_ask;

/* What a request must fit. */
typedef struct pm_request_limits {
    uint32_t context;              /* tokens of one sequence */
    uint32_t pool;                 /* KV tokens of all pages */
    uint32_t page_tokens;
    uint32_t max_seqs, max_queue, vocab; /* vocab: of logits */
    bool draft;                    /* there is a draft model */
} pm_request_limits;

/* *out: owned, with params->n references. Errors: as pm_request_submit() in pumice.h. */
PM_MUST_USE pm_result pm_ask_create(const pm_request_params *params, const pm_tokenizer *tokenizer,
                                    const pm_request_limits *limits, pm_ask **out);

/* Drops a reference; the last frees it. Until it is queued an ask is the submitting
 * thread's, from then on the stepping thread's. */
void pm_ask_release(pm_ask *ask);

/* True when the token ends an answer. */
bool pm_ask_ends_with(const pm_ask *ask, const pm_tokenizer *tokenizer, int32_t token);

/* PM_ERR_ARG unless each of the tokens is in the vocabulary. */
PM_MUST_USE pm_result pm_tokens_check(const int32_t *tokens, size_t count, uint32_t vocab);

#endif /* PM_ENGINE_ASK_H */
