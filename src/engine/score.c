/* engine/score.c - the logits of every position of one sequence. */
#include "engine/engine_impl.h"

#include "base/alloc.h"

#include <string.h>

static pm_result check(const pm_engine *e, const int32_t *tokens, uint32_t count, uint32_t first)
{
    if (e->lost)
        return pm_fail(PM_ERR_LOST, "the device failed earlier; destroy the engine and create it again");
    if (pm_engine_busy(e))
        return pm_fail(PM_ERR_STATE, "requests are queued or running");
    if (count == 0 || count > e->context)
        return pm_fail(PM_ERR_ARG, "%u tokens, expected 1 to the context of %u", count, e->context);
    if (first >= count)
        return pm_fail(PM_ERR_ARG, "first position %u of %u tokens", first, count);
    return pm_tokens_check(tokens, count, e->hparams.vocab);
}

/* Runs the sequence to its end, handing out logits as they come. */
static pm_result run(pm_engine *e, pm_sequence *sequence, pm_logits_sink *sink, void *context)
{
    while (sequence->computed < sequence->token_count) {
        const pm_batch *batch = pm_sched_pick(e->sched);
        if (batch->rows == 0)
            return pm_fail(PM_ERR_ARG, "the KV pool is too small for %u tokens", sequence->token_count);
        const pm_plan *plan = pm_plan_for(e->plans, batch);
        const pm_result result = pm_plan_run(plan, batch, true);
        if (result != PM_OK) {
            e->lost = true;
            return result;
        }
        pm_sched_commit(e->sched, batch);
        for (uint32_t out = 0; out < batch->outs; out++)
            if (!sink(context, batch->positions[batch->out_rows[out]], pm_plan_logits(plan, out)))
                return PM_OK;
    }
    return PM_OK;
}

pm_result pm_engine_score(pm_engine *e, const int32_t *tokens, uint32_t count, uint32_t first, pm_logits_sink *sink,
                          void *context)
{
    PM_TRY(check(e, tokens, count, first));
    PM_TRY(pm_plans_prepare_scoring(e->plans));
    const uint32_t page_tokens = e->kv.layout.page_tokens;
    pm_sequence sequence = {.token_count = count, .token_capacity = count, .logits_from = first};
    PM_TRY(pm_block_table_init(&sequence.table, (count + page_tokens - 1) / page_tokens));
    sequence.tokens = pm_alloc(count, sizeof(*tokens), "scored tokens");
    pm_result result = PM_ERR_NOMEM;
    if (sequence.tokens != NULL) {
        memcpy(sequence.tokens, tokens, count * sizeof(*tokens));
        pm_sched_add(e->sched, &sequence);
        result = run(e, &sequence, sink, context);
        pm_sched_remove(e->sched, &sequence);
    }
    pm_free(sequence.tokens);
    pm_block_table_finish(&sequence.table);
    return result;
}
