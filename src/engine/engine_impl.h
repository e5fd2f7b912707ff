/* engine/engine_impl.h - what the files of engine/ share about pm_engine. Floor 5. */
#ifndef PM_ENGINE_ENGINE_IMPL_H
#define PM_ENGINE_ENGINE_IMPL_H

#include "engine/events.h"
#include "model/model_file.h"
#include "model/weights.h"
#include "plan/plan.h"
#include "sample/sampler.h"
#include "sched/scheduler.h"

#include <pthread.h>

struct pm_engine {
    /* fixed at create */
    pm_tokenizer *tokenizer;
    pm_hparams hparams;
    pm_vk_device *device;
    pm_weights weights;
    pm_kv_store kv;
    uint32_t context;              /* tokens of one sequence */
    uint32_t max_seqs, max_batch_tokens, score_rows;
    bool profile;

    /* the crank */
    pm_sched *sched;
    pm_plans *plans;
    pm_sampler *sampler;
    pm_events events;
    pm_request *requests;          /* all that the scheduler knows; linked by next */
    _Atomic bool lost;             /* the device failed: only destroy helps */

    /* shared with submitting threads, under lock */
    pthread_mutex_t lock;
    pm_request *inbox, **inbox_tail;
    _Atomic uint32_t request_count; /* in the inbox and known to the scheduler */
    uint64_t next_id;

    pm_engine_stats stats;
};

pm_request_limits pm_engine_limits(const pm_engine *engine);

#endif /* PM_ENGINE_ENGINE_IMPL_H */
