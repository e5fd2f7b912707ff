/* verify/time.c - how long an op takes, by itself. */
#include "verify/check.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "verify/check_impl.h"
#include "vk/upload.h"

#include <stdlib.h>

typedef struct timed {
    pm_vk_device *device;
    pm_vk_buffer *buffer, *scrub;
    pm_check_run run;
    pm_vk_commands *commands;
    bool has_clock;
} timed;

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Records what goes before the op, or the op with its scrub, into t->commands. */
static pm_result record(timed *t, bool again)
{
    pm_check_run *run = &t->run;
    run->again = again;
    pm_vk_commands_destroy(t->commands);
    t->commands = NULL;
    PM_TRY(pm_vk_recorder_create(t->device, &run->recorder));
    pm_result result = PM_OK;
    if (again && t->scrub != NULL && t->has_clock) {
        const pm_slice all = pm_vk_buffer_all(t->scrub);
        const uint64_t half = all.bytes / 8 * 4;
        result = pm_vk_record_copy(run->recorder, pm_slice_part(all, 0, half), pm_slice_part(all, half, half));
    }
    if (result == PM_OK)
        result = pm_check_prepare(run);
    if (result == PM_OK)
        result = pm_vk_recorder_end(run->recorder, &t->commands);
    pm_vk_recorder_destroy(run->recorder);
    run->recorder = NULL;
    return result;
}

/* Inputs into the buffer, and all once. */
static pm_result lay_down(timed *t)
{
    pm_check_run *run = &t->run;
    PM_TRY(pm_check_prepare(run)); /* its sizes */
    PM_TRY(pm_vk_buffer_create(t->device, run->used, PM_VK_DEVICE, "check", &t->buffer));
    run->buffer = t->buffer;
    run->host = pm_alloc(1, run->used, "check");
    if (run->host == NULL)
        return PM_ERR_NOMEM;
    PM_TRY(record(t, false));
    PM_TRY(pm_vk_upload(t->device, pm_vk_buffer_slice(t->buffer, 0, run->used), run->host, run->used));
    pm_free(run->host);
    run->host = NULL;
    return pm_vk_commands_run(t->commands);
}

static pm_result time_runs(timed *t, uint32_t runs, pm_check_time *out)
{
    uint64_t ns[PM_CHECK_RUNS_MAX + 1];
    const char *op = pm_check_op_name(t->run.check->op);
    pm_check_result before = {0}, after = {0};
    for (uint32_t i = 0; i <= runs; i++) {
        pm_check_profile(t->device, op, &before);
        const uint64_t start_ns = pm_clock_ns();
        PM_TRY(pm_vk_commands_run(t->commands));
        const uint64_t host_ns = pm_clock_ns() - start_ns;
        pm_check_profile(t->device, op, &after);
        const uint64_t run_ns = t->has_clock ? after.ns - before.ns : host_ns;
        ns[i > 0 ? i - 1 : 0] = run_ns > 0 ? run_ns : 1; /* the first warms up */
    }
    qsort(ns, runs, sizeof(*ns), by_value);
    *out = (pm_check_time){.ns = ns[runs / 2], .ns_min = ns[0], .ns_max = ns[runs - 1],
                           .bytes = after.bytes - before.bytes, .flops = after.flops - before.flops};
    return PM_OK;
}

pm_result pm_check_measure(pm_vk_device *device, const pm_check *check, pm_vk_buffer *scrub, uint32_t runs,
                           pm_check_time *out)
{
    timed t = {.device = device, .scrub = scrub, .run = {.check = check}};
    size_t count = 0;
    pm_assert(runs >= 1 && runs <= PM_CHECK_RUNS_MAX && pm_check_lacks(check, pm_vk_device_caps(device)) == NULL);
    t.has_clock = pm_vk_profile(device, NULL, 0, &count) == PM_OK;
    pm_result result = lay_down(&t);
    if (result == PM_OK)
        result = record(&t, true);
    if (result == PM_OK)
        result = time_runs(&t, runs, out);
    pm_vk_commands_destroy(t.commands);
    pm_vk_buffer_destroy(t.buffer);
    pm_free(t.run.host);
    return result;
}
