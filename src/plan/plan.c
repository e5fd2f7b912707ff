/* plan/plan.c - forward passes, recorded once and replayed for every batch. */
#include "plan/plan.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <string.h>

#define RUNS 2u                    /* in flight */

struct pm_run {
    pm_plans *plans;
    pm_step step;
    pm_decoder decoder;            /* on this step, with the results below */
    pm_vk_buffer *readback;        /* picked and flags [outs_max] u32, log-probabilities [outs_max] */
    pm_vk_commands *made[PM_PASS_KINDS][PM_BUCKETS_MAX]; /* NULL: not yet */
    pm_vk_commands *submitted[PM_BATCH_PASSES]; /* in flight */
    uint32_t submitted_count;
    bool in_flight;
    uint64_t start_ns, ns;
};

struct pm_plans {
    pm_plans_params params;
    pm_pass_table table;
    pm_activations activations;
    pm_vk_buffer *logits;          /* [outs_max, stride] f32, PM_VK_READBACK */
    pm_run run[RUNS];
    uint32_t next;                 /* of run[], for the next submission */
    uint64_t ended_ns;             /* when the last run to be waited for had ended */
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---------------------------------------------------------------- record */

static pm_bucket bucket_of(const pm_plans *plans, uint32_t rows, bool decode)
{
    return (pm_bucket){.rows = rows, .seqs = min_u32(rows, plans->params.seqs_max), .decode = decode};
}

static pm_result record_body(pm_vk_recorder *recorder, const pm_run *run, uint32_t rows, bool decode)
{
    const pm_bucket bucket = bucket_of(run->plans, rows, decode);
    return pm_decoder_record_body(recorder, &run->decoder, &bucket);
}

static pm_result record_copy(pm_vk_recorder *recorder, const pm_run *run, uint32_t outs)
{
    const pm_plans *plans = run->plans;
    const uint64_t bytes = (uint64_t)outs * pm_row_stride(plans->params.hparams->vocab) * 4;
    return pm_vk_record_copy(recorder, pm_vk_buffer_slice(plans->logits, 0, bytes),
                             pm_slice_part(plans->activations.logits, 0, bytes));
}

static pm_result record(pm_vk_recorder *recorder, const pm_run *run, const pm_pass *pass)
{
    switch (pass->kind) {
    case PM_PASS_PAGES: return pm_decoder_record_moves(recorder, &run->decoder);
    case PM_PASS_DECODE: return record_body(recorder, run, pass->rows, true);
    case PM_PASS_MIXED: return record_body(recorder, run, pass->rows, false);
    case PM_PASS_HEAD: return pm_decoder_record_head(recorder, &run->decoder, pass->rows);
    case PM_PASS_SAMPLING: return pm_decoder_record_sampling_head(recorder, &run->decoder, pass->rows);
    case PM_PASS_COPY: return record_copy(recorder, run, pass->rows);
    case PM_PASS_KINDS: break;
    }
    pm_assert(false && "a kind of pass");
    return PM_OK;
}

static pm_vk_commands **made(pm_run *run, const pm_pass *pass)
{
    return &run->made[pass->kind][pass->bucket];
}

/* One list for each of the runs. */
static pm_result keep(pm_plans *plans, pm_vk_recorder *recorder, const pm_pass *pass)
{
    static const char *const names[PM_PASS_KINDS] = {"pages", "decoding", "head", "copy", "mixed", "sampling"};
    for (uint32_t i = 0; i < RUNS; i++) {
        pm_vk_commands **list = made(&plans->run[i], pass);
        if (*list != NULL)             /* made before another one failed */
            continue;
        PM_TRY(record(recorder, &plans->run[i], pass));
        PM_TRY(pm_vk_recorder_end(recorder, list));
    }
    const pm_vk_commands *list = *made(&plans->run[0], pass);
    pm_log(PM_LOG_PLAN, "%s of %u rows: %u dispatches, %u barriers", names[pass->kind], pass->rows,
           pm_vk_commands_dispatches(list), pm_vk_commands_barriers(list));
    return PM_OK;
}

/* All are drawn once so that their pipelines are known and built together, and then recorded for good. */
static pm_result make(pm_plans *plans, const pm_pass *passes, uint32_t count, pm_progress *progress, void *context)
{
    pm_vk_recorder *draft = NULL, *recorder = NULL;
    pm_result result = pm_vk_recorder_create(plans->params.device, &draft);
    for (uint32_t i = 0; i < count && result == PM_OK; i++)
        result = record(draft, &plans->run[0], &passes[i]);
    pm_vk_recorder_destroy(draft);
    if (result == PM_OK)
        result = pm_vk_pipelines_build(plans->params.device, progress, context);
    if (result == PM_OK)
        result = pm_vk_recorder_create(plans->params.device, &recorder);
    for (uint32_t i = 0; i < count && result == PM_OK; i++)
        result = keep(plans, recorder, &passes[i]);
    pm_vk_recorder_destroy(recorder);
    return result;
}

/* Drops those that are made. */
static uint32_t missing(pm_plans *plans, pm_pass *passes, uint32_t count)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++)
        if (*made(&plans->run[RUNS - 1], &passes[i]) == NULL)
            passes[left++] = passes[i];
    return left;
}

uint32_t pm_plans_missing(pm_plans *plans, const pm_batch *batch, bool drawn, bool logits,
                          pm_pass passes[PM_BATCH_PASSES])
{
    return missing(plans, passes, pm_passes_of(&plans->table, batch, drawn, logits, passes));
}

pm_result pm_plans_make(pm_plans *plans, const pm_pass *passes, uint32_t count)
{
    return make(plans, passes, count, NULL, NULL);
}

pm_result pm_plans_make_all(pm_plans *plans, pm_progress *progress, void *context)
{
    pm_pass passes[PM_PASS_KINDS * PM_BUCKETS_MAX];
    const uint32_t count = missing(plans, passes, pm_passes_all(&plans->table, passes));
    return count > 0 ? make(plans, passes, count, progress, context) : PM_OK;
}

pm_result pm_plans_warm_up(pm_plans *plans, pm_progress *progress, void *context)
{
    pm_pass passes[PM_PASS_KINDS * PM_BUCKETS_MAX];
    const uint32_t count = pm_passes_all(&plans->table, passes);
    pm_assert(!plans->run[0].in_flight && !plans->run[1].in_flight);
    for (uint32_t i = 0; i < count; i++) { /* the step buffer says that there are none */
        pm_vk_commands *list = *made(&plans->run[0], &passes[i]);
        pm_assert(list != NULL);
        PM_TRY(pm_vk_commands_submit(&list, 1));
        PM_TRY(pm_vk_commands_wait(list));
        if (progress != NULL)
            progress(context, "warm-up", (double)(i + 1) / count);
    }
    return PM_OK;
}

/* ---------------------------------------------------------------- create */

static uint64_t max_scratch(const pm_run *run, uint32_t rows_max, bool decode, uint64_t bytes)
{
    for (uint32_t rows = 1; rows != 0; rows = pm_bucket_next(rows, rows_max)) {
        const pm_bucket bucket = bucket_of(run->plans, rows, decode);
        const uint64_t need =
            pm_decoder_scratch_bytes(pm_vk_device_caps(run->plans->params.device), &run->decoder, &bucket);
        bytes = need > bytes ? need : bytes;
    }
    return bytes;
}

static pm_result init_run(pm_plans *plans, pm_run *run)
{
    const pm_plans_params *p = &plans->params;
    const uint32_t page_tokens = p->kv->layout.page_tokens;
    run->plans = plans;
    PM_TRY(pm_step_init(&run->step, p->device, p->rows_max, p->seqs_max, p->outs_max,
                        p->kv->slots, (p->context + page_tokens - 1) / page_tokens, p->hparams->vocab));
    const uint64_t words = (uint64_t)p->outs_max * 4, logprobs = words * PM_SAMPLE_LOGPROBS_WORDS;
    PM_TRY(pm_vk_buffer_create(p->device, 2 * words + logprobs, PM_VK_READBACK, "picked tokens", &run->readback));
    run->decoder = (pm_decoder){.hparams = p->hparams, .weights = p->weights, .kv = p->kv, .step = &run->step,
                                .picked = pm_vk_buffer_slice(run->readback, 0, words),
                                .pick_flags = pm_vk_buffer_slice(run->readback, words, words),
                                .logprobs = pm_vk_buffer_slice(run->readback, 2 * words, logprobs), .context = p->context,
                                .deterministic = p->deterministic};
    return PM_OK;
}

static pm_result init_memory(pm_plans *plans)
{
    const pm_plans_params *p = &plans->params;
    for (uint32_t i = 0; i < RUNS; i++)
        PM_TRY(init_run(plans, &plans->run[i]));
    const pm_run *run = &plans->run[0];
    PM_TRY(pm_activations_init(&plans->activations, p->device, p->hparams, p->rows_max, p->outs_max, run->step.edits_max,
                               max_scratch(run, p->seqs_max, true, max_scratch(run, p->rows_max, false, 0))));
    for (uint32_t i = 0; i < RUNS; i++) {
        plans->run[i].decoder.activations = plans->activations;
        plans->run[i].decoder.picked_before = plans->run[(i + 1) % RUNS].decoder.picked;
    }
    return pm_vk_buffer_create(p->device, (uint64_t)p->outs_max * pm_row_stride(p->hparams->vocab) * 4, PM_VK_READBACK,
                               "logits", &plans->logits);
}

pm_result pm_plans_create(const pm_plans_params *params, pm_plans **out)
{
    pm_assert(params->rows_max >= params->seqs_max && params->outs_max >= params->seqs_max &&
              params->rows_max >= params->outs_max);
    pm_plans *plans = pm_alloc(1, sizeof(*plans), "plans");
    if (plans == NULL)
        return PM_ERR_NOMEM;
    plans->params = *params;
    pm_pass_table_init(&plans->table, params->rows_max, params->seqs_max, params->outs_max, params->sample);
    const pm_result result = init_memory(plans);
    if (result != PM_OK) {
        pm_plans_destroy(plans);
        return result;
    }
    *out = plans;
    return PM_OK;
}

static void destroy_passes(pm_run *run)
{
    for (uint32_t kind = 0; kind < PM_PASS_KINDS; kind++)
        for (uint32_t bucket = 0; bucket < PM_BUCKETS_MAX; bucket++)
            pm_vk_commands_destroy(run->made[kind][bucket]);
}

void pm_plans_destroy(pm_plans *plans)
{
    if (plans == NULL)
        return;
    for (uint32_t i = 0; i < RUNS; i++) {
        pm_run *run = &plans->run[i];
        destroy_passes(run);
        pm_vk_buffer_destroy(run->readback);
        pm_step_finish(&run->step);
    }
    pm_vk_buffer_destroy(plans->logits);
    pm_activations_finish(&plans->activations);
    pm_free(plans);
}

/* ------------------------------------------------------------------- run */

pm_result pm_plans_submit(pm_plans *plans, const pm_batch *batch, const pm_step_samples *samples, bool logits,
                          pm_run **out)
{
    pm_run *run = &plans->run[plans->next];
    pm_assert(!run->in_flight && batch->rows > 0);
    pm_step_write(&run->step, batch);
    if (samples != NULL)
        pm_step_write_samples(&run->step, batch, samples);
    pm_pass passes[PM_BATCH_PASSES];
    const uint32_t count = pm_passes_of(&plans->table, batch, samples != NULL, logits, passes);
    for (uint32_t i = 0; i < count; i++) {
        run->submitted[i] = *made(run, &passes[i]);
        pm_assert(run->submitted[i] != NULL);
    }
    run->submitted_count = count;
    run->start_ns = pm_clock_ns();
    PM_TRY(pm_vk_commands_submit(run->submitted, count));
    run->in_flight = true;
    plans->next = (plans->next + 1) % RUNS;
    *out = run;
    return PM_OK;
}

pm_result pm_run_wait(pm_run *run)
{
    if (!run->in_flight)
        return PM_OK;
    run->in_flight = false;
    for (uint32_t i = 0; i < run->submitted_count; i++)
        PM_TRY(pm_vk_commands_wait(run->submitted[i]));
    const uint64_t now_ns = pm_clock_ns(), before_ns = run->plans->ended_ns;
    run->ns = now_ns - (run->start_ns > before_ns ? run->start_ns : before_ns);
    run->plans->ended_ns = now_ns;
    return PM_OK;
}

uint32_t pm_run_token(const pm_run *run, uint32_t out)
{
    return ((const uint32_t *)pm_slice_host(run->decoder.picked))[out];
}

const pm_sample_logprobs *pm_run_logprobs(const pm_run *run, uint32_t out)
{
    return (const pm_sample_logprobs *)pm_slice_host(run->decoder.logprobs) + out;
}

const float *pm_run_logits(const pm_run *run, uint32_t out)
{
    const float *logits = pm_slice_host(pm_vk_buffer_all(run->plans->logits));
    return logits + (size_t)out * pm_row_stride(run->plans->params.hparams->vocab);
}

uint64_t pm_run_ns(const pm_run *run)
{
    return run->ns;
}
