/* engine/submit.c - what other threads may call: submit, cancel, wait, look. */
#include "engine/engine_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <time.h>

static pm_request_limits limits_of(const pm_engine *e)
{
    return (pm_request_limits){
        .context = e->context,
        .pool = e->pages * e->model.layout.page_tokens,
        .page_tokens = e->model.layout.page_tokens,
        .max_seqs = e->max_seqs,
        .max_queue = e->max_queue,
        .vocab = e->model.hparams.vocab,
        .draft = e->params.draft_path != NULL,
    };
}

static void destroy_list(pm_request *request)
{
    while (request != NULL) {
        pm_request *next = request->next;
        pm_request_destroy(request);
        request = next;
    }
}

/* The answers of the ask, linked; destroys it on failure. */
static pm_result create_answers(const pm_engine *e, pm_ask *ask, pm_request **out)
{
    pm_request *list = NULL, **tail = &list;
    const uint64_t deadline_ns =
        ask->deadline_ms != 0 ? pm_clock_ns() + (uint64_t)ask->deadline_ms * UINT64_C(1000000) : 0;
    const pm_prefix_hash root = pm_sched_root(e->sched, 0, ask->salt, ask->salt_len);
    for (uint32_t i = 0, n = ask->n; i < n; i++) {
        const pm_result result = pm_request_create(ask, i, e->tokenizer, e->model.layout.page_tokens, tail);
        if (result != PM_OK) {
            ask->refs -= n - i - 1;  /* of answers that will not be; the last is dropped here */
            pm_ask_release(ask);
            destroy_list(list);
            return result;
        }
        (*tail)->sequence.deadline_ns = deadline_ns;
        (*tail)->sequence.root = root;
        tail = &(*tail)->next;
    }
    *out = list;
    return PM_OK;
}

/* Puts the answers into the inbox and gives them their id; false when the queue is full. */
static bool enqueue(pm_engine *e, pm_ask *ask, pm_request *list, uint64_t *id)
{
    pthread_mutex_lock(&e->lock);
    const bool fits = atomic_load(&e->request_count) + ask->n <= e->max_queue;
    if (fits) {
        ask->id = *id = e->next_id++;
        atomic_fetch_add(&e->request_count, ask->n);
        *e->inbox_tail = list;
        while (*e->inbox_tail != NULL)
            e->inbox_tail = &(*e->inbox_tail)->next;
        pthread_cond_broadcast(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
    return fits;
}

pm_result pm_request_submit(pm_engine *e, const pm_request_params *params, uint64_t *id)
{
    if (atomic_load(&e->lost))
        return pm_fail(PM_ERR_LOST, "the device failed earlier and did not come back; destroy the engine");
    const pm_request_limits limits = limits_of(e);
    pm_ask *ask = NULL;
    pm_request *list = NULL;
    PM_TRY(pm_ask_create(params, e->tokenizer, &limits, &ask));
    ask->on_host = pm_sampling_on_host(&e->sampling, ask);
    PM_TRY(create_answers(e, ask, &list));
    const uint32_t n = ask->n;
    if (enqueue(e, ask, list, id))
        return PM_OK;
    destroy_list(list);
    return pm_fail(PM_ERR_FULL, "%u answers more than the %u that can be queued and running", n, e->max_queue);
}

/* The first answer reads the prompt; the others share its pages. */
void pm_engine_admit(pm_engine *e)
{
    pthread_mutex_lock(&e->lock);
    pm_request *const first = e->inbox, *const known = e->requests;
    if (first != NULL) { /* in front of the list of all, which pm_request_cancel() walks */
        *e->inbox_tail = known;
        e->requests = first;
    }
    e->inbox = NULL;
    e->inbox_tail = &e->inbox;
    pthread_mutex_unlock(&e->lock);
    pm_sched_set_now(e->sched, pm_clock_ns());
    pm_request *parent = NULL;
    for (pm_request *request = first; request != NULL && request != known; request = request->next) {
        if (request->index == 0)
            pm_sched_add(e->sched, &(parent = request)->sequence);
        else
            pm_sched_fork(e->sched, &parent->sequence, &request->sequence);
    }
}

static void cancel_in(pm_request *list, uint64_t id)
{
    for (pm_request *request = list; request != NULL; request = request->next)
        if (request->ask->id == id)
            atomic_store(&request->cancelled, true);
}

void pm_request_cancel(pm_engine *e, uint64_t id)
{
    pthread_mutex_lock(&e->lock);
    cancel_in(e->inbox, id);
    cancel_in(e->requests, id);
    pthread_mutex_unlock(&e->lock);
}

bool pm_engine_busy(const pm_engine *e)
{
    return atomic_load(&e->request_count) > 0 || atomic_load(&e->events.left) > 0;
}

bool pm_engine_wait(pm_engine *e, uint32_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&e->lock);
    while (!pm_engine_busy(e) && !e->woken)
        if (pthread_cond_timedwait(&e->wake, &e->lock, &until) == ETIMEDOUT)
            break;
    e->woken = false;
    pthread_mutex_unlock(&e->lock);
    return pm_engine_busy(e);
}

void pm_engine_wake(pm_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->woken = true;
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
}

void pm_engine_statistics(const pm_engine *engine, pm_engine_stats *out)
{
    pm_engine *e = (pm_engine *)(uintptr_t)engine; /* the lock is all that changes */
    pthread_mutex_lock(&e->lock);
    *out = e->stats;
    pthread_mutex_unlock(&e->lock);
}
