/* plan/plan.h - recorded forward passes, one per bucket of batch shapes. Floor 4.
 *
 * A plan is recorded once and replayed for every batch that fits its bucket. Grids are
 * those of the bucket; row counts are read on the device, and what lies past them ends
 * at once, so that a batch costs what its own rows cost, to the tile.
 */
#ifndef PM_PLAN_PLAN_H
#define PM_PLAN_PLAN_H

#include "plan/decoder.h"

typedef struct pm_plans_params {
    pm_vk_device *device;          /* all borrowed for the plans' life */
    const pm_hparams *hparams;
    const pm_weights *weights;
    const pm_kv_store *kv;
    uint32_t rows_max;             /* rows of one step */
    uint32_t seqs_max;             /* sequences of one step */
    uint32_t outs_max;             /* rows with logits of one step, when scoring */
    uint32_t context;              /* tokens of the longest sequence */
    bool deterministic;            /* see pm_engine_params */
    pm_progress *progress;         /* "pipelines"; may be NULL */
    void *progress_context;
} pm_plans_params;

typedef struct pm_plans pm_plans;
typedef struct pm_plan pm_plan;

/* Records every plan that generation can need and builds their pipelines.
 * Errors: PM_ERR_UNSUP (names op and variant), PM_ERR_DEVMEM, PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_plans_create(const pm_plans_params *params, pm_plans **out);
void pm_plans_destroy(pm_plans *plans);

/* Records the plans of batches in which most rows have logits, if not yet there. */
PM_MUST_USE pm_result pm_plans_prepare_scoring(pm_plans *plans);

/* The smallest plan that holds the batch (asserted to exist). O(plans). */
const pm_plan *pm_plan_for(const pm_plans *plans, const pm_batch *batch);

/* Writes the step buffer, runs the plan and waits; with logits, also copies them to
 * the host. Allocates and records nothing. Errors: PM_ERR_DEVICE, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_plan_run(const pm_plan *plan, const pm_batch *batch, bool logits);

/* Results of the last run, borrowed until the next: the greedy token of each out row
 * (PM_ARGMAX_NAN: its logits are not numbers), and, if asked for, its logits. */
uint32_t pm_plan_token(const pm_plan *plan, uint32_t out);
const float *pm_plan_logits(const pm_plan *plan, uint32_t out); /* [vocab] */

#endif /* PM_PLAN_PLAN_H */
