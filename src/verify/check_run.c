/* verify/check_run.c - running checks, on as many queues as pay. */
#include "verify/check_impl.h"

#include "base/alloc.h"
#include "base/thread.h"
#include "verify/vectors.h"
#include "vk/upload.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define TIMED_RUNS 2u
#define WORKERS_MAX 16u

/* One queue and the memory of one check. */
typedef struct worker {
    pm_vk_device *device;          /* NULL until it has something to run */
    pm_vk_buffer *buffer;
    uint8_t *host, *back;
} worker;

/* Checks of one group share kernels, so that one device compiles them: those of a type of weights, or of an op. */
typedef struct crew {
    pm_vk_device *device;          /* the caller's: worker 0's */
    const pm_check *checks;
    pm_check_result *results;
    uint32_t *group;               /* [count] of each check */
    uint32_t *runner;              /* [count] worker that ran it */
    uint32_t count, group_count;
    uint64_t bytes;                /* of the largest check */
    bool live, timed;
    _Atomic uint32_t next;         /* group that nobody took; the first is the caller's device's */
    worker workers[WORKERS_MAX];
    uint32_t worker_count;
} crew;

/* ------------------------------------------------------------- one check */

/* The memory as the check wants it, and its commands in run->recorder, which the caller destroys. */
static pm_result lay_out(const worker *w, pm_check_run *run)
{
    for (uint64_t i = 0; i < run->used; i += 4) /* memory that nobody wrote is a NaN */
        memcpy(w->host + i, &(uint32_t){CHECK_CANARY}, 4);
    run->buffer = w->buffer;
    run->host = w->host;
    PM_TRY(pm_vk_recorder_create(w->device, &run->recorder));
    return pm_check_prepare(run);
}

/* A driver that cannot compile the kernel says so: that is a result, and no end of the checks. */
static bool is_refusal(pm_result result)
{
    return result == PM_ERR_DEVICE || result == PM_ERR_NOMEM;
}

/* Uploads what lay_out() made; *commands is NULL where the kernel does not compile. */
static pm_result make_ready(const worker *w, pm_check_run *run, pm_check_result *r, pm_vk_commands **commands)
{
    const pm_result result = pm_vk_recorder_end(run->recorder, commands);
    if (is_refusal(result)) {
        *r = (pm_check_result){.bound = run->bound};
        snprintf(r->detail, sizeof(r->detail), "it does not compile: %s", pm_error_message());
        *commands = NULL;
        return PM_OK;
    }
    PM_TRY(result);
    return pm_vk_upload(w->device, pm_vk_buffer_slice(w->buffer, 0, run->used), w->host, run->used);
}

static pm_result run_and_compare(const worker *w, pm_check_run *run, bool live, pm_check_result *r)
{
    pm_vk_commands *commands = NULL;
    pm_result result = make_ready(w, run, r, &commands);
    const bool ready = result == PM_OK && commands != NULL;
    if (ready)
        result = pm_vk_commands_run(commands);
    if (ready && result == PM_OK)
        result = pm_vk_download(w->device, w->back, pm_vk_buffer_slice(w->buffer, 0, run->used), run->used);
    if (ready && result == PM_OK)
        result = pm_check_compare(run, w->back, live, r);
    pm_vk_commands_destroy(commands);
    return result;
}

static pm_result run_one(const worker *w, const pm_check *check, bool live, pm_check_result *r)
{
    pm_check_run run = {.check = check};
    PM_TRY(pm_check_prepare(&run)); /* its sizes */
    pm_result result = live || pm_vector_find(check) == NULL ? pm_check_allocate(&run) : PM_OK;
    if (result == PM_OK)
        result = lay_out(w, &run);
    if (result == PM_OK)
        result = run_and_compare(w, &run, live, r);
    pm_vk_recorder_destroy(run.recorder);
    pm_free(run.want);
    return result;
}

/* ------------------------------------------------------------------ time */

void pm_check_profile(pm_vk_device *device, const char *op, pm_check_result *sum)
{
    pm_profile_row rows[256];
    size_t count = 0;
    sum->ns = sum->bytes = sum->flops = 0;
    if (pm_vk_profile(device, rows, 256, &count) != PM_OK)
        return;
    for (size_t i = 0; i < count && i < 256; i++)
        if (strncmp(rows[i].op, op, strlen(op)) == 0) {
            sum->ns += rows[i].ns;
            sum->bytes += rows[i].bytes;
            sum->flops += rows[i].flops;
        }
}

static pm_result time_runs(pm_vk_device *device, const char *op, pm_vk_commands *commands, pm_check_result *r)
{
    pm_check_result before, after;
    for (uint32_t i = 0; i < TIMED_RUNS; i++) {
        pm_check_profile(device, op, &before);
        PM_TRY(pm_vk_commands_run(commands));
        pm_check_profile(device, op, &after);
        const uint64_t ns = after.ns - before.ns;
        r->ns = r->ns == 0 || ns < r->ns ? ns : r->ns;
        r->bytes = after.bytes - before.bytes;
        r->flops = after.flops - before.flops;
    }
    return PM_OK;
}

static pm_result time_one(const worker *w, const pm_check *check, pm_check_result *r)
{
    pm_check_run run = {.check = check};
    pm_vk_commands *commands = NULL;
    PM_TRY(pm_check_prepare(&run));
    pm_result result = lay_out(w, &run);
    if (result == PM_OK)
        result = make_ready(w, &run, r, &commands);
    if (result == PM_OK && commands != NULL)
        result = time_runs(w->device, pm_check_op_name(check->op), commands, r);
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(run.recorder);
    return result;
}

/* ------------------------------------------------------------------ crew */

static bool same_group(const pm_check *a, const pm_check *b)
{
    const bool weights[] = {a->op == PM_CHECK_MATMUL || a->op == PM_CHECK_EMBEDDING,
                            b->op == PM_CHECK_MATMUL || b->op == PM_CHECK_EMBEDDING};
    return a->type == b->type && ((weights[0] && weights[1]) || a->op == b->op);
}

/* From the last check to the first: attention comes last, and what takes longest must start first. */
static void make_groups(crew *c)
{
    for (uint32_t i = c->count; i-- > 0;) {
        uint32_t other = c->count - 1;
        while (other > i && !same_group(&c->checks[other], &c->checks[i]))
            other--;
        c->group[i] = other > i ? c->group[other] : c->group_count++;
    }
}

static pm_result find_bytes(crew *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        pm_check_run run = {.check = &c->checks[i]};
        PM_TRY(pm_check_prepare(&run));
        c->bytes = run.used > c->bytes ? run.used : c->bytes;
    }
    return PM_OK;
}

static pm_result start_worker(crew *c, worker *w)
{
    char selector[16];
    snprintf(selector, sizeof(selector), "%u", pm_vk_device_info(c->device)->index);
    if (w == &c->workers[0])
        w->device = c->device;
    else
        PM_TRY(pm_vk_device_open(selector, c->timed, &w->device));
    PM_TRY(pm_vk_buffer_create(w->device, c->bytes, PM_VK_DEVICE, "check", &w->buffer));
    w->host = pm_alloc(1, c->bytes, "check");
    w->back = pm_alloc(1, c->bytes, "check");
    return w->host != NULL && w->back != NULL ? PM_OK : PM_ERR_NOMEM;
}

/* Lays out and records a group, so that its pipelines are compiled together. What fails here fails again where
 * it is used. */
static pm_result draw(const crew *c, const worker *w, uint32_t group)
{
    for (uint32_t i = 0; i < c->count; i++) {
        pm_check_run run = {.check = &c->checks[i], .buffer = w->buffer};
        if (c->group[i] != group)
            continue;
        pm_result result = pm_vk_recorder_create(w->device, &run.recorder);
        if (result == PM_OK)
            result = pm_check_prepare(&run);
        pm_vk_recorder_destroy(run.recorder);
        PM_TRY(result);
    }
    const pm_result built = pm_vk_pipelines_build(w->device, NULL, NULL);
    return is_refusal(built) ? PM_OK : built;
}

static pm_result work(void *context, uint32_t index)
{
    crew *c = context;
    worker *w = &c->workers[index];
    for (uint32_t group = index; group < c->group_count; group = atomic_fetch_add(&c->next, 1)) {
        if (w->device == NULL)
            PM_TRY(start_worker(c, w));
        PM_TRY(draw(c, w, group));
        for (uint32_t i = 0; i < c->count; i++) {
            if (c->group[i] != group)
                continue;
            c->runner[i] = index;
            PM_TRY(run_one(w, &c->checks[i], c->live, &c->results[i]));
        }
    }
    return PM_OK;
}

static pm_result run_all(crew *c)
{
    PM_TRY(find_bytes(c));
    make_groups(c);
    const uint32_t cores = pm_vk_device_caps(c->device)->is_cpu ? pm_thread_cores() : 1;
    c->worker_count = cores < WORKERS_MAX ? cores : WORKERS_MAX;
    c->next = c->worker_count;     /* each begins with its own */
    PM_TRY(pm_thread_for(c->worker_count, c->worker_count, work, c));
    for (uint32_t i = 0; c->timed && i < c->count; i++)
        if (c->results[i].built)
            PM_TRY(time_one(&c->workers[c->runner[i]], &c->checks[i], &c->results[i]));
    return PM_OK;
}

static void finish_worker(const crew *c, worker *w)
{
    pm_vk_buffer_destroy(w->buffer);
    pm_free(w->host);
    pm_free(w->back);
    if (w->device != c->device)
        pm_vk_device_close(w->device);
}

pm_result pm_checks_run(pm_vk_device *device, const pm_check *checks, uint32_t count, bool live, bool timed,
                        pm_check_result *results)
{
    if (count == 0)
        return PM_OK;
    for (uint32_t i = 0; i < count; i++)
        pm_assert(pm_check_lacks(&checks[i], pm_vk_device_caps(device)) == NULL);
    crew c = {.device = device, .checks = checks, .results = results, .count = count, .live = live, .timed = timed};
    c.group = pm_alloc(2 * (size_t)count, sizeof(*c.group), "checks");
    if (c.group == NULL)
        return PM_ERR_NOMEM;
    c.runner = c.group + count;
    const pm_result result = run_all(&c);
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        finish_worker(&c, &c.workers[i]);
    pm_free(c.group);
    return result;
}
