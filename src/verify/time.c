/* verify/time.c - how long an op takes, by itself. */
#include "verify/check.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "verify/check_impl.h"
#include "vk/upload.h"

#include <stdlib.h>
#include <string.h>

struct pm_check_timer {
    pm_vk_device *device;
    pm_vk_buffer *buffer, *scrub;
    pm_check *checks;              /* [count] owned */
    pm_vk_commands **commands;     /* [count] owned: what goes before a run, and the run */
    uint32_t count;
    pm_check_run run;
    bool has_clock;
};

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Records what goes before the op, or the op of check `index` with its scrub. */
static pm_result record(pm_check_timer *t, uint32_t index, bool again, pm_vk_commands **out)
{
    pm_check_run *run = &t->run;
    run->check = &t->checks[index];
    run->again = again;
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
        result = pm_vk_recorder_end(run->recorder, out);
    pm_vk_recorder_destroy(run->recorder);
    run->recorder = NULL;
    return result;
}

/* The check that takes the most memory: all lay out what they share alike, and their own behind it. */
static pm_result find_largest(pm_check_timer *t, uint32_t *index, uint64_t *bytes)
{
    for (uint32_t i = 0; i < t->count; i++) {
        t->run.check = &t->checks[i];
        PM_TRY(pm_check_prepare(&t->run));
        if (t->run.used > *bytes) {
            *bytes = t->run.used;
            *index = i;
        }
    }
    return PM_OK;
}

/* Inputs into the buffer, and all once. */
static pm_result lay_down(pm_check_timer *t)
{
    pm_check_run *run = &t->run;
    uint32_t largest = 0;
    uint64_t bytes = 0;
    pm_vk_commands *commands = NULL;
    PM_TRY(find_largest(t, &largest, &bytes));
    PM_TRY(pm_vk_buffer_create(t->device, bytes, PM_VK_DEVICE, "check", &t->buffer));
    run->buffer = t->buffer;
    run->host = pm_alloc(1, bytes, "check");
    if (run->host == NULL)
        return PM_ERR_NOMEM;
    pm_result result = record(t, largest, false, &commands);
    if (result == PM_OK)
        result = pm_vk_upload(t->device, pm_vk_buffer_slice(t->buffer, 0, bytes), run->host, bytes);
    pm_free(run->host);
    run->host = NULL;
    if (result == PM_OK)
        result = pm_vk_commands_run(commands);
    pm_vk_commands_destroy(commands);
    return result;
}

static pm_result ready(pm_check_timer *t)
{
    PM_TRY(lay_down(t));
    for (uint32_t i = 0; i < t->count; i++)
        PM_TRY(record(t, i, true, &t->commands[i]));
    return PM_OK;
}

pm_result pm_check_timer_create(pm_vk_device *device, const pm_check *checks, uint32_t count, bool quantises,
                                pm_vk_buffer *scrub, pm_check_timer **out)
{
    size_t rows = 0;
    pm_check_timer *t = pm_alloc(1, sizeof(*t), "timer");
    if (t == NULL)
        return PM_ERR_NOMEM;
    *t = (pm_check_timer){.device = device, .scrub = scrub, .count = count, .run = {.quantises = quantises}};
    t->checks = pm_alloc(count, sizeof(*t->checks), "timer");
    t->commands = pm_alloc(count, sizeof(pm_vk_commands *), "timer");
    t->has_clock = pm_vk_profile(device, NULL, 0, &rows) == PM_OK;
    pm_result result = t->checks != NULL && t->commands != NULL ? PM_OK : PM_ERR_NOMEM;
    if (result == PM_OK) {
        memcpy(t->checks, checks, count * sizeof(*checks));
        result = ready(t);
    }
    if (result != PM_OK) {
        pm_check_timer_destroy(t);
        return result;
    }
    *out = t;
    return PM_OK;
}

void pm_check_timer_destroy(pm_check_timer *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; t->commands != NULL && i < t->count; i++)
        pm_vk_commands_destroy(t->commands[i]);
    pm_vk_buffer_destroy(t->buffer);
    pm_free(t->commands);
    pm_free(t->checks);
    pm_free(t);
}

/* ns, bytes and flops so far of the op and of what quantises for it. */
static void profile(const pm_check_timer *t, pm_check_result *sum)
{
    pm_check_result before = {0};
    pm_check_profile(t->device, pm_check_op_name(t->checks[0].op), sum);
    if (!t->run.quantises)
        return;
    pm_check_profile(t->device, "quantise", &before);
    sum->ns += before.ns;
}

pm_result pm_check_timer_run(pm_check_timer *t, uint32_t index, pm_check_time *out)
{
    pm_check_result before = {0}, after = {0};
    pm_assert(index < t->count);
    profile(t, &before);
    const uint64_t start_ns = pm_clock_ns();
    PM_TRY(pm_vk_commands_run(t->commands[index]));
    const uint64_t host_ns = pm_clock_ns() - start_ns;
    profile(t, &after);
    const uint64_t run_ns = t->has_clock ? after.ns - before.ns : host_ns, ns = run_ns > 0 ? run_ns : 1;
    *out = (pm_check_time){.ns = ns, .ns_min = ns, .ns_max = ns, .bytes = after.bytes - before.bytes,
                           .flops = after.flops - before.flops};
    return PM_OK;
}

static pm_result time_runs(pm_check_timer *t, uint32_t runs, pm_check_time *out)
{
    uint64_t ns[PM_CHECK_RUNS_MAX + 1];
    pm_check_time time = {0};
    for (uint32_t i = 0; i <= runs; i++) {
        PM_TRY(pm_check_timer_run(t, 0, &time));
        ns[i > 0 ? i - 1 : 0] = time.ns; /* the first warms up */
    }
    qsort(ns, runs, sizeof(*ns), by_value);
    *out = (pm_check_time){.ns = ns[runs / 2], .ns_min = ns[0], .ns_max = ns[runs - 1], .bytes = time.bytes,
                           .flops = time.flops};
    return PM_OK;
}

pm_result pm_check_measure(pm_vk_device *device, const pm_check *check, pm_vk_buffer *scrub, uint32_t runs,
                           pm_check_time *out)
{
    pm_check_timer *timer = NULL;
    pm_assert(runs >= 1 && runs <= PM_CHECK_RUNS_MAX && pm_check_lacks(check, pm_vk_device_caps(device)) == NULL);
    PM_TRY(pm_check_timer_create(device, check, 1, false, scrub, &timer));
    const pm_result result = time_runs(timer, runs, out);
    pm_check_timer_destroy(timer);
    return result;
}
