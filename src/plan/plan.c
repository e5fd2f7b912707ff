/* plan/plan.c - forward passes, recorded once and replayed for every batch. */
#include "plan/plan.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "plan/bucket.h"

#include <string.h>

#define RUNS 2u                    /* in flight */
#define MIXED_FIRST 2u             /* rows of the least body that is not all decoding */

/* Recorded lists by bucket, ascending. */
typedef struct pass_list {
    uint32_t count, rows[PM_BUCKETS_MAX];
    pm_vk_commands *commands[PM_BUCKETS_MAX];
} pass_list;

struct pm_run {
    pm_plans *plans;
    pm_step step;
    pm_decoder decoder;            /* on this step, with the results below */
    pm_vk_buffer *readback;        /* picked and flags [outs_max] u32, log-probabilities [outs_max] */
    pass_list decode, mixed;       /* bodies */
    pass_list head, sampling;      /* logits and tokens, greedy; or drawn, with log-probabilities */
    pass_list copy;                /* the logits to the host */
    pass_list pages;               /* ways of pages; one list for any number of them */
    pm_vk_commands *submitted[4];  /* the lists in flight */
    uint32_t submitted_count;
    bool in_flight;
    uint64_t start_ns, ns;
};

struct pm_plans {
    pm_plans_params params;
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

/* A kind of list. `kept`: where a run keeps those that are recorded. */
typedef struct pass_kind {
    const char *name;
    pass_list *(*kept)(pm_run *run);
    pm_result (*record)(pm_vk_recorder *recorder, const pm_run *run, uint32_t rows);
} pass_kind;

static pm_bucket bucket_of(const pm_plans *plans, uint32_t rows, bool decode)
{
    return (pm_bucket){.rows = rows, .seqs = min_u32(rows, plans->params.seqs_max), .decode = decode};
}

static pass_list *decode_of(pm_run *run) { return &run->decode; }
static pass_list *mixed_of(pm_run *run) { return &run->mixed; }
static pass_list *head_of(pm_run *run) { return &run->head; }
static pass_list *sampling_of(pm_run *run) { return &run->sampling; }
static pass_list *copy_of(pm_run *run) { return &run->copy; }
static pass_list *pages_of(pm_run *run) { return &run->pages; }

static pm_result record_decode(pm_vk_recorder *recorder, const pm_run *run, uint32_t rows)
{
    const pm_bucket bucket = bucket_of(run->plans, rows, true);
    return pm_decoder_record_body(recorder, &run->decoder, &bucket);
}

static pm_result record_mixed(pm_vk_recorder *recorder, const pm_run *run, uint32_t rows)
{
    const pm_bucket bucket = bucket_of(run->plans, rows, false);
    return pm_decoder_record_body(recorder, &run->decoder, &bucket);
}

static pm_result record_head(pm_vk_recorder *recorder, const pm_run *run, uint32_t outs)
{
    return pm_decoder_record_head(recorder, &run->decoder, outs);
}

static pm_result record_sampling(pm_vk_recorder *recorder, const pm_run *run, uint32_t outs)
{
    return pm_decoder_record_sampling_head(recorder, &run->decoder, outs);
}

static pm_result record_copy(pm_vk_recorder *recorder, const pm_run *run, uint32_t outs)
{
    const pm_plans *plans = run->plans;
    const uint64_t bytes = (uint64_t)outs * pm_row_stride(plans->params.hparams->vocab) * 4;
    return pm_vk_record_copy(recorder, pm_vk_buffer_slice(plans->logits, 0, bytes),
                             pm_slice_part(plans->activations.logits, 0, bytes));
}

static pm_result record_pages(pm_vk_recorder *recorder, const pm_run *run, uint32_t count)
{
    (void)count;
    return pm_decoder_record_moves(recorder, &run->decoder);
}

static const pass_kind kind_pages = {"pages", pages_of, record_pages}, kind_decode = {"decoding", decode_of, record_decode}, kind_mixed = {"mixed", mixed_of, record_mixed},
                       kind_head = {"head", head_of, record_head},
                       kind_sampling = {"sampling", sampling_of, record_sampling}, kind_copy = {"copy", copy_of, record_copy};

/* The lists of one kind for buckets first .. last. */
typedef struct pass_range {
    const pass_kind *kind;
    uint32_t first, last;
} pass_range;

/* Records the range into the recorder and, if `keep`, each as a list of its own. */
static pm_result record_range(pm_vk_recorder *recorder, pm_run *run, const pass_range *range, bool keep)
{
    pass_list *list = range->kind->kept(run);
    for (uint32_t rows = range->first; rows != 0; rows = pm_bucket_next(rows, range->last)) {
        PM_TRY(range->kind->record(recorder, run, rows));
        if (!keep)
            continue;
        pm_assert(list->count < PM_BUCKETS_MAX);
        PM_TRY(pm_vk_recorder_end(recorder, &list->commands[list->count]));
        pm_log(PM_LOG_PLAN, "%s of %u rows: %u dispatches, %u barriers", range->kind->name, rows,
               pm_vk_commands_dispatches(list->commands[list->count]),
               pm_vk_commands_barriers(list->commands[list->count]));
        list->rows[list->count++] = rows;
    }
    return PM_OK;
}

/* All ranges are drawn once so that their pipelines are known and built together, and then
 * recorded for good, for each run. */
static pm_result record_all(pm_plans *plans, const pass_range *ranges, size_t count)
{
    pm_vk_recorder *draft = NULL, *recorder = NULL;
    pm_result result = pm_vk_recorder_create(plans->params.device, &draft);
    for (size_t i = 0; i < count && result == PM_OK; i++)
        result = record_range(draft, &plans->run[0], &ranges[i], false);
    pm_vk_recorder_destroy(draft);
    if (result == PM_OK)
        result = pm_vk_pipelines_build(plans->params.device, plans->params.progress, plans->params.progress_context);
    if (result == PM_OK)
        result = pm_vk_recorder_create(plans->params.device, &recorder);
    for (size_t i = 0; i < RUNS * count && result == PM_OK; i++)
        result = record_range(recorder, &plans->run[i / count], &ranges[i % count], true);
    pm_vk_recorder_destroy(recorder);
    return result;
}

static pm_result record_passes(pm_plans *plans)
{
    const uint32_t seqs = plans->params.seqs_max, rows = plans->params.rows_max, outs = plans->params.outs_max;
    const pass_range ranges[] = {
        {&kind_pages, seqs, seqs}, {&kind_decode, 1, seqs}, {&kind_head, 1, outs}, {&kind_copy, 1, outs},
        {&kind_mixed, min_u32(MIXED_FIRST, rows), rows}, {&kind_sampling, 1, outs}};
    if (rows > 1) /* a row alone always decodes */
        return record_all(plans, ranges, plans->params.sample ? 6 : 5);
    PM_TRY(record_all(plans, ranges, 4));
    return plans->params.sample ? record_all(plans, ranges + 5, 1) : PM_OK;
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
    pm_result result = init_memory(plans);
    if (result == PM_OK)
        result = record_passes(plans);
    if (result != PM_OK) {
        pm_plans_destroy(plans);
        return result;
    }
    *out = plans;
    return PM_OK;
}

static void destroy_list(pass_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        pm_vk_commands_destroy(list->commands[i]);
}

void pm_plans_destroy(pm_plans *plans)
{
    if (plans == NULL)
        return;
    for (uint32_t i = 0; i < RUNS; i++) {
        pm_run *run = &plans->run[i];
        destroy_list(&run->decode);
        destroy_list(&run->mixed);
        destroy_list(&run->head);
        destroy_list(&run->sampling);
        destroy_list(&run->copy);
        destroy_list(&run->pages);
        pm_vk_buffer_destroy(run->readback);
        pm_step_finish(&run->step);
    }
    pm_vk_buffer_destroy(plans->logits);
    pm_activations_finish(&plans->activations);
    pm_free(plans);
}

/* ------------------------------------------------------------------- run */

/* The list of the smallest bucket that holds the rows. */
static pm_vk_commands *smallest(const pass_list *list, uint32_t rows)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->rows[i] >= rows)
            return list->commands[i];
    pm_assert(false && "a recorded pass for every batch that the scheduler can make");
    return NULL;
}

pm_result pm_plans_submit(pm_plans *plans, const pm_batch *batch, const pm_step_samples *samples, bool logits,
                          pm_run **out)
{
    pm_run *run = &plans->run[plans->next];
    pm_assert(!run->in_flight && batch->rows > 0);
    pm_step_write(&run->step, batch);
    if (samples != NULL)
        pm_step_write_samples(&run->step, batch, samples);
    const bool decode = batch->rows_per_seq_max == 1 && batch->rows <= plans->params.seqs_max;
    uint32_t count = 0;
    if (batch->copy_count + batch->swap_out_count + batch->swap_in_count > 0)
        run->submitted[count++] = run->pages.commands[0];
    run->submitted[count++] = smallest(decode ? &run->decode : &run->mixed, batch->rows);
    if (batch->outs > 0)
        run->submitted[count++] = smallest(samples != NULL ? &run->sampling : &run->head, batch->outs);
    if (batch->outs > 0 && logits)
        run->submitted[count++] = smallest(&run->copy, batch->outs);
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
