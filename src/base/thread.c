/* base/thread.c - run independent jobs on a few threads. */
#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#define THREADS_MAX 32

typedef struct pm_thread_work {
    pthread_mutex_t lock;
    uint32_t next, count;          /* job indices */
    pm_result (*run)(void *context, uint32_t index);
    void *context;
    uint32_t failed_index;         /* lowest; == count when none */
    pm_result failed;
    char message[512];
} pm_thread_work;

uint32_t pm_thread_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    const int n = CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

static void *worker(void *argument)
{
    pm_thread_work *work = argument;
    for (;;) {
        pthread_mutex_lock(&work->lock);
        const uint32_t index = work->failed == PM_OK ? work->next : work->count;
        if (index < work->count)
            work->next++;
        pthread_mutex_unlock(&work->lock);
        if (index >= work->count)
            return NULL;
        const pm_result result = work->run(work->context, index);
        if (result == PM_OK)
            continue;
        pthread_mutex_lock(&work->lock);
        if (index < work->failed_index) {
            work->failed_index = index;
            work->failed = result;
            snprintf(work->message, sizeof(work->message), "%s", pm_error_message());
        }
        pthread_mutex_unlock(&work->lock);
    }
}

pm_result pm_thread_for(uint32_t threads, uint32_t count,
                        pm_result (*run)(void *context, uint32_t index), void *context)
{
    pm_thread_work work = {.count = count, .run = run, .context = context, .failed_index = count};
    pthread_mutex_init(&work.lock, NULL);
    if (threads == 0)
        threads = pm_thread_cores();
    if (threads > count)
        threads = count;
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    pthread_t ids[THREADS_MAX];
    uint32_t started = 0;
    while (started + 1 < threads && pthread_create(&ids[started], NULL, worker, &work) == 0)
        started++;
    worker(&work);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    pthread_mutex_destroy(&work.lock);
    return work.failed == PM_OK ? PM_OK : pm_fail(work.failed, "%s", work.message);
}
