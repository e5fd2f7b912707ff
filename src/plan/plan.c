/* plan/plan.c - recorded forward passes. */
#include "plan/plan.h"

#include "base/alloc.h"
#include "base/log.h"

#include <string.h>

#define PLANS_MAX 32

struct pm_plan {
    const pm_plans *plans;
    pm_bucket bucket;
    bool scoring;                  /* bucket.outs may exceed the sequences */
    pm_vk_commands *run;           /* the forward pass */
    pm_vk_commands *copy_logits;   /* device to host */
};

struct pm_plans {
    pm_plans_params params;
    pm_step step;
    pm_decoder decoder;
    pm_vk_buffer *readback;        /* logits [outs_max, stride], then picked [outs_max] */
    pm_slice host_logits;
    uint32_t plan_count;
    pm_plan plan[PLANS_MAX];       /* by kind, then ascending */
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* --------------------------------------------------------------- buckets */

/* Row counts of the recorded plans. What a batch lacks to its bucket costs next to
 * nothing, so the steps are coarse; they follow the row counts at which matmul picks
 * another variant. Returns the bucket after `rows`, or 0. */
static uint32_t next_bucket(uint32_t rows, uint32_t rows_max)
{
    if (rows >= rows_max)
        return 0;
    const uint32_t next = rows < 8 ? rows * 2 : rows * 4;
    return min_u32(next, rows_max);
}

static pm_bucket bucket_of(const pm_plans *plans, uint32_t rows, bool decode, bool scoring)
{
    return (pm_bucket){
        .rows = rows,
        .seqs = min_u32(rows, plans->params.seqs_max),
        .outs = min_u32(rows, scoring ? plans->params.outs_max : plans->params.seqs_max),
        .decode = decode,
    };
}

/* ---------------------------------------------------------------- record */

static pm_result record_logits_copy(pm_plans *plans, pm_vk_recorder *recorder, uint32_t outs)
{
    const uint64_t bytes = (uint64_t)outs * pm_row_stride(plans->params.hparams->vocab) * 4;
    return pm_vk_record_copy(recorder, pm_slice_part(plans->host_logits, 0, bytes),
                             pm_slice_part(plans->decoder.activations.logits, 0, bytes));
}

static pm_result record_plan(pm_plans *plans, pm_vk_recorder *recorder, uint32_t rows, bool decode, bool scoring)
{
    pm_assert(plans->plan_count < PLANS_MAX);
    pm_plan *plan = &plans->plan[plans->plan_count];
    *plan = (pm_plan){.plans = plans, .bucket = bucket_of(plans, rows, decode, scoring), .scoring = scoring};
    pm_result result = pm_decoder_record(recorder, &plans->decoder, &plan->bucket);
    if (result == PM_OK)
        result = pm_vk_recorder_end(recorder, &plan->run);
    if (result == PM_OK)
        result = record_logits_copy(plans, recorder, plan->bucket.outs);
    if (result == PM_OK)
        result = pm_vk_recorder_end(recorder, &plan->copy_logits);
    if (result != PM_OK) {
        pm_vk_commands_destroy(plan->run);
        return result;
    }
    plans->plan_count++;
    pm_log(PM_LOG_PLAN, "plan of %u rows, %u outputs%s: %u dispatches, %u barriers", rows, plan->bucket.outs,
           decode ? ", decoding" : "", pm_vk_commands_dispatches(plan->run), pm_vk_commands_barriers(plan->run));
    return PM_OK;
}

typedef pm_result for_bucket(pm_plans *plans, pm_vk_recorder *recorder, uint32_t rows, bool decode, bool scoring);

static pm_result for_generation(pm_plans *plans, pm_vk_recorder *recorder, for_bucket *f)
{
    for (uint32_t rows = 1; rows != 0; rows = next_bucket(rows, plans->params.seqs_max))
        PM_TRY(f(plans, recorder, rows, true, false));
    if (plans->params.rows_max == 1) /* a row alone always decodes */
        return PM_OK;
    for (uint32_t rows = min_u32(4, plans->params.rows_max); rows != 0;
         rows = next_bucket(rows, plans->params.rows_max))
        PM_TRY(f(plans, recorder, rows, false, false));
    return PM_OK;
}

static pm_result for_scoring(pm_plans *plans, pm_vk_recorder *recorder, for_bucket *f)
{
    for (uint32_t rows = 1; rows != 0; rows = next_bucket(rows, plans->params.rows_max))
        PM_TRY(f(plans, recorder, rows, false, true));
    return PM_OK;
}

/* A for_bucket: drawn here once so that all pipelines are known, and built together,
 * before the first plan is recorded for good. */
static pm_result draw(pm_plans *plans, pm_vk_recorder *recorder, uint32_t rows, bool decode, bool scoring)
{
    const pm_bucket bucket = bucket_of(plans, rows, decode, scoring);
    return pm_decoder_record(recorder, &plans->decoder, &bucket);
}

static pm_result record_all(pm_plans *plans, pm_result (*for_each)(pm_plans *, pm_vk_recorder *, for_bucket *))
{
    pm_vk_device *device = plans->params.device;
    pm_vk_recorder *recorder = NULL;
    PM_TRY(pm_vk_recorder_create(device, &recorder));
    pm_result result = for_each(plans, recorder, draw);
    pm_vk_recorder_destroy(recorder);
    recorder = NULL;
    if (result == PM_OK)
        result = pm_vk_pipelines_build(device, plans->params.progress, plans->params.progress_context);
    if (result == PM_OK)
        result = pm_vk_recorder_create(device, &recorder);
    if (result == PM_OK)
        result = for_each(plans, recorder, record_plan);
    pm_vk_recorder_destroy(recorder);
    return result;
}

/* ---------------------------------------------------------------- create */

static uint64_t max_scratch(const pm_plans *plans, uint32_t rows_max, bool decode, uint64_t bytes)
{
    for (uint32_t rows = 1; rows != 0; rows = next_bucket(rows, rows_max)) {
        const pm_bucket bucket = bucket_of(plans, rows, decode, false);
        const uint64_t need =
            pm_decoder_scratch_bytes(pm_vk_device_caps(plans->params.device), &plans->decoder, &bucket);
        bytes = need > bytes ? need : bytes;
    }
    return bytes;
}

static uint64_t scratch_bytes(const pm_plans *plans)
{
    return max_scratch(plans, plans->params.seqs_max, true, max_scratch(plans, plans->params.rows_max, false, 0));
}

static pm_result init_memory(pm_plans *plans)
{
    const pm_plans_params *p = &plans->params;
    const uint32_t page_tokens = p->kv->layout.page_tokens;
    PM_TRY(pm_step_init(&plans->step, p->device, p->rows_max, p->seqs_max, p->outs_max,
                        (p->context + page_tokens - 1) / page_tokens));
    plans->decoder = (pm_decoder){.hparams = p->hparams, .weights = p->weights, .kv = p->kv,
                                  .step = &plans->step, .context = p->context, .deterministic = p->deterministic};
    PM_TRY(pm_activations_init(&plans->decoder.activations, p->device, p->hparams, p->rows_max, p->outs_max,
                               scratch_bytes(plans)));
    const uint64_t logits_bytes = (uint64_t)p->outs_max * pm_row_stride(p->hparams->vocab) * 4;
    PM_TRY(pm_vk_buffer_create(p->device, logits_bytes + (uint64_t)p->outs_max * 4, PM_VK_READBACK, "logits",
                               &plans->readback));
    plans->host_logits = pm_vk_buffer_slice(plans->readback, 0, logits_bytes);
    plans->decoder.picked = pm_vk_buffer_slice(plans->readback, logits_bytes, (uint64_t)p->outs_max * 4);
    return PM_OK;
}

pm_result pm_plans_create(const pm_plans_params *params, pm_plans **out)
{
    pm_assert(params->rows_max >= params->seqs_max && params->outs_max >= params->seqs_max &&
              params->rows_max >= params->outs_max);
    pm_plans *plans = pm_alloc(1, sizeof(*plans), "plans");
    if (plans == NULL)
        return PM_ERR_NOMEM;
    plans->params = *params;
    pm_result result = init_memory(plans);
    if (result == PM_OK)
        result = record_all(plans, for_generation);
    if (result != PM_OK) {
        pm_plans_destroy(plans);
        return result;
    }
    *out = plans;
    return PM_OK;
}

void pm_plans_destroy(pm_plans *plans)
{
    if (plans == NULL)
        return;
    for (uint32_t i = 0; i < plans->plan_count; i++) {
        pm_vk_commands_destroy(plans->plan[i].run);
        pm_vk_commands_destroy(plans->plan[i].copy_logits);
    }
    pm_vk_buffer_destroy(plans->readback);
    pm_activations_finish(&plans->decoder.activations);
    pm_step_finish(&plans->step);
    pm_free(plans);
}

pm_result pm_plans_prepare_scoring(pm_plans *plans)
{
    if (plans->plan_count > 0 && plans->plan[plans->plan_count - 1].scoring)
        return PM_OK;
    const uint32_t before = plans->plan_count;
    const pm_result result = record_all(plans, for_scoring);
    while (result != PM_OK && plans->plan_count > before) {
        const pm_plan *plan = &plans->plan[--plans->plan_count];
        pm_vk_commands_destroy(plan->run);
        pm_vk_commands_destroy(plan->copy_logits);
    }
    return result;
}

/* ------------------------------------------------------------------- run */

static bool holds(const pm_plan *plan, const pm_batch *batch)
{
    return batch->rows <= plan->bucket.rows && batch->seqs <= plan->bucket.seqs && batch->outs <= plan->bucket.outs &&
           (!plan->bucket.decode || batch->rows_per_seq_max == 1);
}

const pm_plan *pm_plan_for(const pm_plans *plans, const pm_batch *batch)
{
    for (uint32_t i = 0; i < plans->plan_count; i++)
        if (holds(&plans->plan[i], batch))
            return &plans->plan[i];
    pm_assert(false && "a plan for every batch that the scheduler can make");
    return NULL;
}

pm_result pm_plan_run(const pm_plan *plan, const pm_batch *batch, bool logits)
{
    pm_step_write(&plan->plans->step, batch);
    PM_TRY(pm_vk_commands_run(plan->run));
    return logits && batch->outs > 0 ? pm_vk_commands_run(plan->copy_logits) : PM_OK;
}

uint32_t pm_plan_token(const pm_plan *plan, uint32_t out)
{
    return ((const uint32_t *)pm_slice_host(plan->plans->decoder.picked))[out];
}

const float *pm_plan_logits(const pm_plan *plan, uint32_t out)
{
    const float *logits = pm_slice_host(plan->plans->host_logits);
    return logits + (size_t)out * pm_row_stride(plan->plans->params.hparams->vocab);
}
