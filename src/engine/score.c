/* engine/score.c - the logits of every position of one sequence. */
#include "engine/engine_impl.h"

#include <string.h>

static pm_result check(const pm_engine *e, const int32_t *tokens, uint32_t count, uint32_t first)
{
    if (atomic_load(&e->lost))
        return pm_fail(PM_ERR_LOST, "the device failed earlier and did not come back; destroy the engine");
    if (pm_engine_busy(e))
        return pm_fail(PM_ERR_STATE, "requests are queued or running");
    if (count == 0 || count > e->context)
        return pm_fail(PM_ERR_ARG, "%u tokens, expected 1 to the context of %u", count, e->context);
    if (first >= count)
        return pm_fail(PM_ERR_ARG, "first position %u of %u tokens", first, count);
    return pm_tokens_check(tokens, count, e->model.hparams.vocab);
}

/* Runs the sequence to its end, handing out logits as they come. */
static pm_result run(pm_engine *e, pm_sequence *sequence, pm_logits_sink *sink, void *context)
{
    PM_TRY(pm_engine_land(e)); /* rows of requests that have ended */
    pm_sched_set_budget(e->sched, e->max_batch_tokens, e->max_batch_tokens, UINT32_MAX);
    pm_sched_add(e->sched, sequence);
    while (sequence->computed < sequence->token_count) {
        const pm_batch *batch = pm_sched_pick(e->sched);
        if (batch->rows == 0)
            return pm_fail(PM_ERR_ARG, "the KV pool is too small for %u tokens", sequence->token_count);
        pm_run *run = NULL;
        PM_TRY(pm_engine_run_batch(e, &e->model, batch, NULL, true, &run));
        PM_TRY(pm_run_wait(run));
        pm_sched_commit(e->sched, batch);
        for (uint32_t out = 0; out < batch->outs; out++)
            if (!sink(context, batch->positions[batch->out_rows[out]], pm_run_logits(run, out)))
                return PM_OK;
    }
    return PM_OK;
}

pm_result pm_engine_score(pm_engine *e, const int32_t *tokens, uint32_t count, uint32_t first, pm_logits_sink *sink,
                          void *context)
{
    PM_TRY(check(e, tokens, count, first));
    pm_sequence sequence;
    PM_TRY(pm_sequence_init(&sequence, count, e->model.layout.page_tokens));
    memcpy(sequence.tokens, tokens, count * sizeof(*tokens));
    sequence.token_count = count;
    sequence.logits_from = first;
    sequence.no_cache = true; /* from an empty KV cache */
    pm_result result = run(e, &sequence, sink, context);
    pm_sched_remove(e->sched, &sequence);
    pm_sequence_finish(&sequence);
    if (result == PM_ERR_LOST || result == PM_ERR_DEVICE) { /* the engine goes on, the scores are lost */
        const pm_result recovered = pm_engine_recover(e, result);
        result = recovered == PM_OK ? pm_fail(result, "the device was lost while scoring; it is open again") : recovered;
    }
    return result;
}
