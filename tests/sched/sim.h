/* sim.h - a device and a model for the scheduler, simulated: pages have contents.
 *
 * The KV of position p is a hash of its token, of what may share pages (adapter, salt), and
 * of the KV of all positions before it as they are found through the block table; the token
 * after it is a hash of that KV and of the request's seed. So a page that is stale, shared
 * wrongly, copied too late or lost on its way gives another token than the request gives
 * alone, and everything after it differs.
 */
#ifndef PM_TESTS_SCHED_SIM_H
#define PM_TESTS_SCHED_SIM_H

#include "sched/scheduler.h"

#define SIM_VOCAB 1000

typedef enum sim_end { SIM_OPEN, SIM_FINISHED, SIM_CANCELLED, SIM_FULL, SIM_EXPIRED } sim_end;

typedef struct sim_request {
    pm_sequence sequence;          /* first */
    uint32_t prompt_tokens, max_tokens;
    uint32_t stop;                 /* ends after a token that is a multiple of it; 0 = never */
    uint64_t content;              /* of the adapter and the salt */
    uint64_t seed;
    uint32_t echo_next;            /* the position whose logits come next */
    uint32_t ends;                 /* times that it has ended */
    sim_end end;
    uint64_t added_step, ended_step, first_step, token_step; /* of the simulated device */
    uint64_t gap_max;              /* steps between two tokens */
    uint64_t *alone;               /* [capacity] KV of each position, as the request gives it alone */
    int32_t *expected;             /* [capacity] tokens, the same */
} sim_request;

/* Where a slot's content comes from. */
typedef struct sim_slot {
    uint64_t kv;
    uint32_t writer, position;     /* index of the request + 1; 0 = nothing was ever written */
} sim_slot;

typedef struct sim {
    pm_sched *sched;
    pm_sched_params params;
    pm_prefix_hash key;
    sim_slot *slots, *host;        /* [page_count * page_tokens], [swap_slots * page_tokens] */
    pm_prefix_hash *known;         /* [page_count] the name under which the page was last found right */
    bool *is_known;
    uint64_t *slot_step;           /* [page_count * page_tokens] the last batch that wrote the slot */
    int32_t *out_tokens[2];        /* [max_outs] of either batch */
    uint64_t *out_kv[2];
    const pm_batch *flight[2];     /* oldest first */
    uint32_t flights;
    uint64_t steps, rows;
    sim_request *requests;         /* [request_count] borrowed: those that contents may come from */
    uint32_t request_count;
} sim;

void sim_init(sim *s, const pm_sched_params *params, sim_request *requests, uint32_t request_count);
void sim_finish(sim *s);           /* asserts that no page and no slot is held */

/* prompt: [prompt_tokens], copied. content: 0 = no adapter, no salt. */
void sim_request_init(sim *s, sim_request *r, const int32_t *prompt, uint32_t prompt_tokens, uint32_t max_tokens,
                      uint64_t content, uint64_t seed);
void sim_request_finish(sim_request *r);

/* One pick, whose batch the device runs at once in full; what it picked is seen at commit.
 * Returns its rows. Ends what the scheduler ended. */
uint32_t sim_pick(sim *s);

/* Commits the oldest batch in flight, appends, ends. */
void sim_commit(sim *s);

/* pick and commit, so long as anything is to be done. */
void sim_drain(sim *s, bool ahead);

void sim_cancel(sim *s, sim_request *r);

/* Guesses for a request that decodes: what it will say, wrong from guess `right` on. */
void sim_draft(sim_request *r, uint32_t count, uint32_t right);

/* The device is lost: pages and host slots hold noise. */
void sim_lose(sim *s);

/* Invariants of the scheduler; every named page holds what its name says. */
void sim_check(sim *s);

/* The tokens are those that the request gives alone, all of them if it finished. */
void sim_check_output(const sim_request *r);

#endif /* PM_TESTS_SCHED_SIM_H */
