/* plan/plan.h - forward passes, recorded once and replayed for every batch. Floor 4.
 *
 * A step is a body, recorded for a bucket of rows, and a head, recorded for a bucket of
 * rows with logits (plan/pass.h); they are made all at once, or each when a batch first
 * takes it. Grids are those of the bucket; row counts are read on the device, and what lies
 * past them ends at once, so that a batch costs what its own rows cost, to the tile
 * (plan/bucket.h).
 *
 * Two runs can be in flight, so that the next batch is made while the device computes
 * one: each has a step buffer, results and recordings of its own. Activations are shared,
 * since the device takes one run after the other.
 */
#ifndef PM_PLAN_PLAN_H
#define PM_PLAN_PLAN_H

#include "plan/decoder.h"
#include "plan/pass.h"

typedef struct pm_plans_params {
    pm_vk_device *device;          /* all borrowed for the plans' life */
    const pm_hparams *hparams;
    const pm_weights *weights;
    const pm_kv_store *kv;
    uint32_t rows_max;             /* rows of one step */
    uint32_t seqs_max;             /* sequences of one step */
    uint32_t outs_max;             /* rows with logits of one step */
    bool sample;                   /* passes that draw are wanted; the vocabulary is at most PM_SAMPLE_VOCAB_MAX */
    uint32_t context;              /* tokens of the longest sequence */
    bool deterministic;            /* see pm_engine_params */
} pm_plans_params;

typedef struct pm_plans pm_plans;

/* A batch on the device. */
typedef struct pm_run pm_run;

/* The memory of all passes; none is made yet.
 * Errors: PM_ERR_UNSUP (names op and variant), PM_ERR_DEVMEM, PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_plans_create(const pm_plans_params *params, pm_plans **out);
void pm_plans_destroy(pm_plans *plans);

/* Builds the pipelines of passes and records them. A run in flight goes on meanwhile. progress: "pipelines"; may be
 * NULL. Errors: PM_ERR_UNSUP (names op and variant), PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_plans_make(pm_plans *plans, const pm_pass *passes, uint32_t count);
PM_MUST_USE pm_result pm_plans_make_all(pm_plans *plans, pm_progress *progress, void *context);

/* The passes that such a batch takes and that are not made yet; returns how many. */
uint32_t pm_plans_missing(pm_plans *plans, const pm_batch *batch, bool drawn, bool logits,
                          pm_pass passes[PM_BATCH_PASSES]);

/* Runs each pass without rows, for drivers that compile at the first run; all are made, and no batch has run
 * (asserted). progress: "warm-up"; may be NULL. Errors: PM_ERR_DEVICE, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_plans_warm_up(pm_plans *plans, pm_progress *progress, void *context);

/* Writes the step buffer and submits the batch; returns while the device works. samples: NULL
 * = all tokens are greedy; such passes are shorter. With `logits` they are copied to the
 * host, where there is room for those of one run at a time. At most two runs are in flight
 * (asserted), waited for in the order of submission. The batch's passes are made (asserted).
 * Allocates and records nothing. *out: borrowed until the second submission from here.
 * Errors: PM_ERR_DEVICE, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_plans_submit(pm_plans *plans, const pm_batch *batch, const pm_step_samples *samples, bool logits,
                                      pm_run **out);

/* Waits for the run's end, if that was not done before. Errors: as above. */
PM_MUST_USE pm_result pm_run_wait(pm_run *run);

/* Results of a run that has ended: the token of each out row (PM_SAMPLE_NO_TOKEN: there is
 * none that can be picked), its log-probabilities where its sample asks for them, and, if
 * asked for, its logits [vocab]. */
uint32_t pm_run_token(const pm_run *run, uint32_t out);
const pm_sample_logprobs *pm_run_logprobs(const pm_run *run, uint32_t out);
const float *pm_run_logits(const pm_run *run, uint32_t out);

/* Time that the device took, by the host's clock: from the submission, or from the end of
 * the run before. */
uint64_t pm_run_ns(const pm_run *run);

#endif /* PM_PLAN_PLAN_H */
