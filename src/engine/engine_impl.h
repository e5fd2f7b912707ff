/* engine/engine_impl.h - what the files of engine/ share about pm_engine. Floor 5. */
#ifndef PM_ENGINE_ENGINE_IMPL_H
#define PM_ENGINE_ENGINE_IMPL_H

#include "engine/draft.h"
#include "engine/events.h"
#include "engine/pace.h"
#include "engine/sampling.h"
#include "model/model_file.h"
#include "op/choice.h"
#include "sched/scheduler.h"

#include <pthread.h>

struct pm_engine {
    /* fixed at create */
    pm_engine_params params;       /* as given; strings owned */
    pm_tokenizer *tokenizer;
    uint32_t pages, slots;         /* of the KV pool; of host memory */
    uint32_t context;              /* tokens of one sequence */
    uint32_t max_seqs, max_batch_tokens, max_queue, score_rows;
    pm_engine_info info;

    /* on the device: engine/machine.c makes them, again when the device is lost */
    pm_vk_device *device;
    pm_choices choices;            /* of tuning, for this device; it has them by pointer */
    pm_model model;
    pm_draft draft;                /* all zero without draft_path */

    /* the crank */
    pm_sched *sched;
    pm_sampling sampling;
    pm_pace pace;
    pm_events events;
    pm_flight flight;              /* submitted by the last step, waited for in the next */
    int32_t *picked;               /* [score_rows] tokens of a batch's outputs; scratch */
    pm_request *requests;          /* all that the scheduler knows; linked by next */
    pm_request *ended;             /* whose events may not have been taken yet */
    pm_engine_stats counts;        /* the stepping thread's */

    /* shared with other threads: under lock, or atomic */
    pthread_mutex_t lock;
    pthread_cond_t wake;           /* something was submitted, or pm_engine_wake() */
    bool woken;
    pm_request *inbox, **inbox_tail;
    uint64_t next_id;
    pm_engine_stats stats;         /* counts, as of the last step */
    _Atomic uint32_t request_count; /* in the inbox and known to the scheduler */
    _Atomic bool lost;             /* the device failed for good: only destroy helps */
};

/* engine/machine.c: all that is on the device; draft: NULL = none. close may be called on what was never, or
 * only partly, opened. */
PM_MUST_USE pm_result pm_engine_open_device(pm_engine *engine, const pm_gguf *gguf, const pm_gguf *draft);
void pm_engine_close_device(pm_engine *engine);

/* pm_plans_submit(), after the passes that the batch is the first to take were made and tested. In the steady state
 * it allocates nothing, and with all made at the start never. Errors: of that, and of pm_plans_make(); PM_ERR_LOST
 * also where the device must be opened again for the kernels that serve in place of wrong ones. */
PM_MUST_USE pm_result pm_engine_run_batch(pm_engine *engine, pm_model *model, const pm_batch *batch,
                                          const pm_step_samples *samples, bool logits, pm_run **out);

/* engine/create.c: most rows of a step, at least one for each sequence, and of one that scores. */
void pm_engine_size_step(pm_engine *engine, uint32_t rows);

/* engine/report.c: once all is there. */
void pm_engine_fill_info(pm_engine *engine);

/* engine/recover.c: after a failure of the device with this result. PM_OK: it is open again,
 * and the requests go on or have ended, as fail_on_loss says. Else the engine is lost: all
 * requests are gone. */
PM_MUST_USE pm_result pm_engine_recover(pm_engine *engine, pm_result failure);

/* engine/submit.c: what other threads submitted reaches the scheduler. */
void pm_engine_admit(pm_engine *engine);

/* engine/answer.c: takes the request out of everything; its memory goes when its events
 * were taken. */
void pm_engine_end(pm_engine *engine, pm_request *request);

/* The same with an event that tells of it. */
void pm_engine_finish(pm_engine *engine, pm_request *request, pm_finish finish, pm_result error);

/* Tells the callers of what a batch brought, after its commit. */
void pm_engine_tell(pm_engine *engine, const pm_flight *flight);

/* engine/engine.c: waits for the batch in flight, if any, and lets go of it. */
PM_MUST_USE pm_result pm_engine_land(pm_engine *engine);

#endif /* PM_ENGINE_ENGINE_IMPL_H */
