/* engine/sampling.h - how the tokens of a batch's outputs are picked. Floor 5.
 *
 * On the device: greedy, or by a pm_sample_row for each output that is made here from the
 * request and the tokens known so far; a token that the batch before is picking is counted
 * there. Each draw follows from the seed and the position alone, so that an answer does not
 * depend on the batch. What the device cannot hold (more edits than PM_STEP_EDITS, a
 * vocabulary above PM_SAMPLE_VOCAB_MAX) is picked here from the logits, to the same token.
 */
#ifndef PM_ENGINE_SAMPLING_H
#define PM_ENGINE_SAMPLING_H

#include "engine/request.h"
#include "plan/plan.h"
#include "sample/edits.h"
#include "sample/sampler.h"
#include "sched/batch.h"

/* A batch on the device. */
typedef struct pm_flight {
    const pm_batch *batch;         /* NULL = none */
    pm_run *run;
    bool sampled;                  /* not all of its outputs are greedy */
    bool logits;                   /* are copied to the host, which holds those of one run */
} pm_flight;

typedef struct pm_sampling {
    uint32_t vocab;                /* of the logits */
    bool host_only;                /* the device's kernels are not worth compiling: see create.c */
    int32_t *ends;                 /* [end_count] tokens that end a text */
    uint32_t end_count;

    /* of the batch being made */
    pm_sample_row *rows;           /* [outs_max] */
    pm_sample_edit *pool;          /* [pool_max] */
    pm_edits edits;                /* into the pool */
    const uint32_t **masks;        /* [seqs_max] */
    uint32_t pool_max, mask_count;

    /* of outputs that are picked on the host, one at a time */
    pm_sampler *sampler;
    float *logits;                 /* [vocab] */
} pm_sampling;

/* Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_sampling_init(pm_sampling *sampling, const pm_tokenizer *tokenizer, uint32_t vocab,
                                       uint32_t outs_max, uint32_t seqs_max);
void pm_sampling_finish(pm_sampling *sampling);

/* True when tokens of these answers are picked on the host: it must then see each before
 * the sequence can go on. */
bool pm_sampling_on_host(const pm_sampling *sampling, const pm_ask *ask);

/* Fills in flight->sampled and ->logits for its batch. *samples: what pm_plans_submit() takes,
 * borrowed until the next call. Returns samples, or NULL when all outputs are greedy. */
const pm_step_samples *pm_sampling_prepare(pm_sampling *sampling, pm_flight *flight, pm_step_samples *samples);

/* The token of each output, -1 where there is none that can be picked. The run has ended.
 * picked: [outs]. */
void pm_sampling_pick(pm_sampling *sampling, const pm_flight *flight, int32_t *picked);

/* The log-probability of the token that output `out` picked, and of the likeliest. */
void pm_sampling_logprobs(const pm_sampling *sampling, const pm_flight *flight, uint32_t out, const pm_request *request,
                          int32_t token, pm_logprobs *logprobs);

#endif /* PM_ENGINE_SAMPLING_H */
