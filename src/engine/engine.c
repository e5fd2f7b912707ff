/* engine/engine.c - the crank. Start reading at pm_engine_step(). */
#include "engine/engine_impl.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "op/argmax.h"

#include <string.h>

/* -------------------------------------------------------- inbox and ends */

/* Requests that other threads submitted reach the scheduler. */
static void admit_inbox(pm_engine *e)
{
    pthread_mutex_lock(&e->lock);
    pm_request *request = e->inbox;
    e->inbox = NULL;
    e->inbox_tail = &e->inbox;
    pthread_mutex_unlock(&e->lock);
    while (request != NULL) {
        pm_request *next = request->next;
        pthread_mutex_lock(&e->lock); /* the list is walked by pm_request_cancel() */
        request->next = e->requests;
        e->requests = request;
        pthread_mutex_unlock(&e->lock);
        pm_sched_add(e->sched, &request->sequence);
        request = next;
    }
}

/* Takes the request out of everything and frees it. */
static void end_request(pm_engine *e, pm_request *request)
{
    pm_sched_remove(e->sched, &request->sequence);
    pthread_mutex_lock(&e->lock);
    for (pm_request **link = &e->requests; *link != NULL; link = &(*link)->next) {
        if (*link == request) {
            *link = request->next;
            break;
        }
    }
    pthread_mutex_unlock(&e->lock);
    atomic_fetch_sub(&e->request_count, 1);
    pm_request_destroy(request);
}

static void finish_request(pm_engine *e, pm_request *request, int32_t token, bool show, pm_finish finish,
                           pm_result error)
{
    pm_events_add(&e->events, request, token, show, finish, error);
    end_request(e, request);
}

/* Ends what was cancelled, as many in one step as there is room for events. */
static void end_cancelled(pm_engine *e)
{
    for (pm_request *request = e->requests, *next; request != NULL; request = next) {
        next = request->next;
        if (atomic_load(&request->cancelled) && e->events.count < e->max_seqs)
            finish_request(e, request, -1, false, PM_FINISH_CANCELLED, PM_OK);
    }
}

/* Ends sequences that the pool cannot hold any longer. */
static void end_full(pm_engine *e)
{
    uint32_t count;
    pm_sequence *const *running = pm_sched_running(e->sched, &count);
    for (uint32_t i = count; i-- > 0;)
        if (running[i]->state == PM_SEQ_FULL)
            finish_request(e, pm_request_of(running[i]), -1, false, PM_FINISH_CONTEXT, PM_OK);
}

/* After a device failure nothing in flight can go on. */
static void end_all(pm_engine *e)
{
    admit_inbox(e);
    while (e->requests != NULL)
        end_request(e, e->requests);
}

/* ---------------------------------------------------------------- sample */

static bool wants_logits(const pm_request *request)
{
    const pm_sample_params *s = &request->sample;
    return s->temperature > 0.0f || (s->repeat_penalty > 0.0f && s->repeat_penalty != 1.0f);
}

static bool batch_wants_logits(const pm_batch *batch)
{
    for (uint32_t out = 0; out < batch->outs; out++)
        if (wants_logits(pm_request_of(batch->sequences[batch->out_seq[out]])))
            return true;
    return false;
}

/* The next token of the request whose logits are row `out`; -1 = they are not numbers. */
static int32_t sample(pm_engine *e, const pm_request *request, const pm_plan *plan, uint32_t out)
{
    const uint32_t greedy = pm_plan_token(plan, out);
    if (greedy == PM_ARGMAX_NAN)
        return -1;
    if (!wants_logits(request))
        return (int32_t)greedy;
    const pm_sequence *sequence = &request->sequence;
    const uint64_t seed = request->sample.seed != 0 ? request->sample.seed : request->id;
    return pm_sample(e->sampler, &request->sample, pm_plan_logits(plan, out), sequence->tokens, sequence->token_count,
                     seed, sequence->token_count);
}

/* Appends the token, tells the caller, and ends the request where it ends. */
static void append_token(pm_engine *e, pm_request *request, int32_t token)
{
    pm_sequence *sequence = &request->sequence;
    if (token < 0) {
        finish_request(e, request, -1, false, PM_FINISH_ERROR,
                       pm_fail(PM_ERR_DEVICE, "request %llu: the logits are not numbers",
                               (unsigned long long)request->id));
        return;
    }
    const bool first = pm_request_generated(request) == 0;
    e->stats.prompt_tokens += first ? request->prompt_tokens : 0;
    e->stats.generated_tokens++;
    sequence->tokens[sequence->token_count++] = token;
    const bool is_end = pm_tokenizer_is_end(e->tokenizer, token) && !request->ignore_end;
    if (is_end)
        finish_request(e, request, token, false, PM_FINISH_STOP, PM_OK);
    else if (pm_request_generated(request) >= request->max_tokens)
        finish_request(e, request, token, true, request->finish_at_max, PM_OK);
    else
        pm_events_add(&e->events, request, token, true, PM_FINISH_NONE, PM_OK);
}

/* ------------------------------------------------------------------ step */

static pm_result run_batch(pm_engine *e, const pm_batch *batch)
{
    const pm_plan *plan = pm_plan_for(e->plans, batch);
    PM_TRY(pm_plan_run(plan, batch, batch_wants_logits(batch)));
    pm_sched_commit(e->sched, batch);
    for (uint32_t out = 0; out < batch->outs; out++) {
        pm_request *request = pm_request_of(batch->sequences[batch->out_seq[out]]);
        append_token(e, request, sample(e, request, plan, out));
    }
    return PM_OK;
}

static void count_step(pm_engine *e, uint64_t start_ns)
{
    const pm_kv_pages *pages = pm_sched_pages(e->sched);
    e->stats.steps++;
    e->stats.pages_used_max = pm_kv_pages_used_max(pages);
    e->stats.preemptions = pm_sched_preemptions(e->sched);
    e->stats.step_us_last = (double)(pm_clock_ns() - start_ns) * 1e-3;
}

pm_result pm_engine_step(pm_engine *e, pm_event *events, size_t capacity, size_t *count)
{
    if (e->lost)
        return pm_fail(PM_ERR_LOST, "the device failed earlier; destroy the engine and create it again");
    if (capacity < e->max_seqs)
        return pm_fail(PM_ERR_ARG, "room for %zu events, expected at least %u", capacity, e->max_seqs);
    const uint64_t start_ns = pm_clock_ns();
    pm_events_begin(&e->events, events, capacity);

    admit_inbox(e);                                          /* queue -> waiting       */
    end_cancelled(e);
    if (e->events.count == 0) {                              /* each event has room    */
        const pm_batch *batch = pm_sched_pick(e->sched);     /* who runs, which pages  */
        end_full(e);
        const pm_result result = batch->rows > 0 ? run_batch(e, batch) : PM_OK;
        if (result != PM_OK) {                               /* upload, submit, wait,  */
            e->lost = true;                                  /* sample, append, finish */
            end_all(e);
            return result;
        }
    }
    count_step(e, start_ns);
    *count = e->events.count;
    return PM_OK;
}

bool pm_engine_busy(const pm_engine *engine)
{
    return atomic_load(&engine->request_count) > 0;
}

/* ---------------------------------------------------------------- submit */

pm_request_limits pm_engine_limits(const pm_engine *engine)
{
    return (pm_request_limits){
        .context = engine->context,
        .pool = engine->kv.pages * engine->kv.layout.page_tokens,
        .page_tokens = engine->kv.layout.page_tokens,
    };
}

pm_result pm_request_submit(pm_engine *engine, const pm_request_params *params, uint64_t *id)
{
    if (atomic_load(&engine->lost))
        return pm_fail(PM_ERR_LOST, "the device failed earlier; destroy the engine and create it again");
    const pm_request_limits limits = pm_engine_limits(engine);
    pm_request *request = NULL;
    PM_TRY(pm_request_create(params, engine->tokenizer, &limits, &request));
    pthread_mutex_lock(&engine->lock);
    const bool full = atomic_load(&engine->request_count) >= engine->max_seqs * 4;
    if (!full) {
        request->id = *id = engine->next_id++;
        *engine->inbox_tail = request;
        engine->inbox_tail = &request->next;
        atomic_fetch_add(&engine->request_count, 1);
    }
    pthread_mutex_unlock(&engine->lock);
    if (!full)
        return PM_OK;
    pm_request_destroy(request);
    return pm_fail(PM_ERR_FULL, "%u requests are queued or running, the most there can be", engine->max_seqs * 4);
}

static void cancel_in(pm_request *list, uint64_t id)
{
    for (pm_request *request = list; request != NULL; request = request->next)
        if (request->id == id)
            atomic_store(&request->cancelled, true);
}

void pm_request_cancel(pm_engine *engine, uint64_t id)
{
    pthread_mutex_lock(&engine->lock);
    cancel_in(engine->inbox, id);
    cancel_in(engine->requests, id);
    pthread_mutex_unlock(&engine->lock);
}
