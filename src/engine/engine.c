/* engine/engine.c - the crank. Start reading at pm_engine_step(). */
#include "engine/engine_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/lookup.h"

/* ------------------------------------------------------------------ ends */

/* The memory of what ended in the step before: its events were taken. */
static void free_ended(pm_engine *e)
{
    while (e->ended != NULL) {
        pm_request *next = e->ended->next;
        pm_request_destroy(e->ended);
        e->ended = next;
    }
}

static void end_cancelled(pm_engine *e)
{
    for (pm_request *request = e->requests, *next; request != NULL; request = next) {
        next = request->next;
        if (atomic_load(&request->cancelled))
            pm_engine_finish(e, request, PM_FINISH_CANCELLED, PM_OK);
    }
}

/* What the scheduler gave up: no pages, or no time. */
static void end_given_up(pm_engine *e)
{
    for (pm_sequence *sequence; (sequence = pm_sched_ended(e->sched)) != NULL;)
        pm_engine_finish(e, pm_request_of(sequence),
                         sequence->state == PM_SEQ_EXPIRED ? PM_FINISH_DEADLINE : PM_FINISH_CONTEXT, PM_OK);
}

/* ---------------------------------------------------------------- launch */

/* Guesses from their own text for those that want them and have no row in flight. */
static void look_up(pm_engine *e)
{
    int32_t guesses[PM_DRAFT_TOKENS_MAX];
    for (pm_request *request = e->requests; request != NULL; request = request->next) {
        pm_sequence *sequence = &request->sequence;
        if (request->ask->speculate != PM_SPECULATE_LOOKUP || sequence->drafts > 0 || !pm_sequence_may_draft(sequence))
            continue;
        const uint32_t count = pm_lookup(sequence->tokens, sequence->token_count, guesses, request->ask->draft_tokens);
        e->counts.drafted_tokens += pm_sequence_draft(sequence, guesses, count);
    }
}

/* The next batch goes to the device; none when nothing can run. */
static pm_result launch(pm_engine *e, pm_flight *flight)
{
    pm_sched_set_now(e->sched, pm_clock_ns());
    look_up(e);
    PM_TRY(pm_draft_guess(e));
    const uint32_t prompt_rows =
        e->draft.prompt_rows > 0 ? 0 : pm_pace_prompt_rows(&e->pace, pm_sched_decoding(e->sched));
    pm_sched_set_budget(e->sched, pm_pace_rows(&e->pace), prompt_rows, pm_pace_depth(&e->pace));
    const pm_batch *batch = pm_sched_pick(e->sched);
    end_given_up(e);
    if (batch->rows == 0)
        return PM_OK;
    e->draft.had_turn = e->draft.prompt_rows > 0;
    pm_step_samples room;
    *flight = (pm_flight){.batch = batch};
    const pm_step_samples *samples = pm_sampling_prepare(&e->sampling, flight, &room);
    return pm_engine_run_batch(e, &e->model, batch, samples, flight->logits, &flight->run);
}

/* ------------------------------------------------------------------ land */

/* How many guesses of each sequence were right: those that the model picks itself. */
static void accept(pm_engine *e, const pm_batch *batch)
{
    for (uint32_t s = 0; s < batch->seqs; s++) {
        uint32_t right = 0;
        for (; right < batch->drafts[s]; right++) {
            const uint32_t row = batch->row_start[s + 1] - batch->drafts[s] + right;
            const uint32_t out = batch->out_start[s + 1] - batch->drafts[s] - 1 + right;
            if ((uint32_t)e->picked[out] != batch->tokens[row])
                break;
        }
        batch->accepted[s] = right;
        e->counts.accepted_tokens += right;
    }
}

/* What the pace learns from the batch. */
static pm_pace_step step_of(const pm_batch *batch)
{
    pm_pace_step step = {.rows = batch->rows, .end = true};
    uint64_t prompts = 0, decoding = 0; /* tokens when they were read, summed over rows */
    for (uint32_t s = 0; s < batch->seqs; s++) {
        const uint32_t first = batch->row_start[s], rows = batch->row_start[s + 1] - first;
        const bool reads = !batch->picks[s] || rows > 1 + batch->drafts[s];
        *(reads ? &prompts : &decoding) += (uint64_t)rows * (batch->positions[first] + rows);
        step.prompt_rows += reads ? rows : 0;
        step.end &= batch->picks[s] != 0; /* else there is more of it */
    }
    step.depth = (uint32_t)(step.prompt_rows > 0 ? prompts / step.prompt_rows : decoding / step.rows);
    return step;
}

static void note(pm_engine *e, const pm_flight *flight)
{
    const pm_batch *batch = flight->batch;
    const double us = (double)pm_run_ns(flight->run) * 1e-3;
    pm_pace_note(&e->pace, step_of(batch), us);
    pm_log(PM_LOG_SCHED, "step %llu: %u rows of %u sequences, %u of one at most, %u outputs: %.0f us",
           (unsigned long long)batch->step, batch->rows, batch->seqs, batch->rows_per_seq_max, batch->outs, us);
}

pm_result pm_engine_land(pm_engine *e)
{
    const pm_flight flight = e->flight;
    e->flight = (pm_flight){0};
    if (flight.batch == NULL)
        return PM_OK;
    const pm_batch *batch = flight.batch;
    const uint64_t start_ns = pm_clock_ns();
    PM_TRY(pm_run_wait(flight.run));
    e->counts.device_wait_us += (double)(pm_clock_ns() - start_ns) * 1e-3;
    note(e, &flight);
    pm_sampling_pick(&e->sampling, &flight, e->picked);
    accept(e, batch);
    pm_sched_commit(e->sched, batch);
    pm_engine_tell(e, &flight);
    e->counts.steps++;
    return PM_OK;
}

/* ------------------------------------------------------------------ step */

/* While the device runs one batch the next is made, unless the host must see the one first. */
static bool may_run_ahead(const pm_engine *e)
{
    return e->flight.batch == NULL || (!e->params.no_overlap && !e->flight.logits);
}

static pm_result turn(pm_engine *e)
{
    pm_flight next = {0};
    if (may_run_ahead(e))
        PM_TRY(launch(e, &next));                            /* who runs, which pages, submit */
    PM_TRY(pm_engine_land(e));                               /* wait, sample, append, tell    */
    e->flight = next;
    return PM_OK;
}

/* What pm_engine_statistics() shows. */
static void publish(pm_engine *e, uint64_t start_ns, double waited_us)
{
    const pm_kv_pages *pages = pm_sched_pages(e->sched);
    pm_sched_stats sched;
    pm_sched_get_stats(e->sched, &sched);
    pm_engine_stats *c = &e->counts;
    c->step_us_last = (double)(pm_clock_ns() - start_ns) * 1e-3;
    c->step_us += c->step_us_last;
    c->host_us += c->step_us_last - (c->device_wait_us - waited_us);
    c->running = sched.running;
    c->queued = sched.waiting;
    c->recomputed_tokens = sched.recomputed_tokens;
    c->preemptions = (uint32_t)sched.preemptions;
    c->swapped_pages = sched.swapped_out;
    c->pages_used = pm_kv_pages_used(pages);
    c->pages_used_max = pm_kv_pages_used_max(pages);
    c->pages_cached = pm_kv_pages_named_count(pages);
    c->evicted_pages = pm_kv_pages_evictions(pages);
    c->draft_pages_used = e->draft.pages != NULL ? pm_kv_pages_used(e->draft.pages) : 0;
    c->device_bytes = pm_vk_device_held_bytes(e->device);
    c->chunk_tokens = pm_pace_rows(&e->pace);
    pthread_mutex_lock(&e->lock);
    e->stats = *c;
    pthread_mutex_unlock(&e->lock);
}

pm_result pm_engine_step(pm_engine *e, pm_event *events, size_t capacity, size_t *count)
{
    if (atomic_load(&e->lost))
        return pm_fail(PM_ERR_LOST, "the device failed earlier and did not come back; destroy the engine");
    if (capacity == 0)
        return pm_fail(PM_ERR_ARG, "room for 0 events, expected at least 1");
    if (atomic_load(&e->events.left) == 0) {
        const uint64_t start_ns = pm_clock_ns();
        const double waited_us = e->counts.device_wait_us;
        pm_events_begin(&e->events);
        free_ended(e);
        pm_engine_admit(e);                                  /* inbox -> scheduler            */
        end_cancelled(e);
        const pm_result result = turn(e);
        if (result != PM_OK)
            PM_TRY(pm_engine_recover(e, result));            /* a new device, the same texts  */
        publish(e, start_ns, waited_us);
    }
    *count = pm_events_take(&e->events, events, capacity);   /* what did not fit comes next   */
    return PM_OK;
}
