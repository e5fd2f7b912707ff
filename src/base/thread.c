/* base/thread.c - run independent jobs on a few threads. */
#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#define THREADS_MAX 32
#define NICE 10                    /* a ninth of the weight of a thread that does not give way */
#define MEANWHILE_MS 20u

typedef struct pm_thread_work {
    pthread_mutex_t lock;
    pthread_cond_t ended;          /* a thread that works beside the caller */
    bool give_way;
    uint32_t running;              /* of those threads */
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

static pm_thread_work make_work(uint32_t count, pm_result (*run)(void *context, uint32_t index), void *context)
{
    return (pm_thread_work){.count = count, .run = run, .context = context, .failed_index = count};
}

/* How many of `wanted` could be had. */
static uint32_t start(uint32_t wanted, pthread_t ids[THREADS_MAX], void *(*body)(void *), pm_thread_work *work)
{
    uint32_t started = 0;
    while (started < wanted && pthread_create(&ids[started], NULL, body, work) == 0)
        started++;
    return started;
}

static pm_result end(pm_thread_work *work, const pthread_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        pthread_join(ids[i], NULL);
    pthread_mutex_destroy(&work->lock);
    return work->failed == PM_OK ? PM_OK : pm_fail(work->failed, "%s", work->message);
}

static uint32_t threads_for(uint32_t wanted, uint32_t count)
{
    const uint32_t threads = wanted < count ? wanted : count;
    return threads < THREADS_MAX ? threads : THREADS_MAX;
}

pm_result pm_thread_for(uint32_t threads, uint32_t count,
                        pm_result (*run)(void *context, uint32_t index), void *context)
{
    pm_thread_work work = make_work(count, run, context);
    pthread_t ids[THREADS_MAX];
    pthread_mutex_init(&work.lock, NULL);
    threads = threads_for(threads == 0 ? pm_thread_cores() : threads, count);
    const uint32_t started = threads > 1 ? start(threads - 1, ids, worker, &work) : 0;
    worker(&work);
    return end(&work, ids, started);
}

static void *worker_beside(void *argument)
{
    pm_thread_work *work = argument;
#ifdef __linux__ /* where 0 is the thread that calls, elsewhere its process */
    if (work->give_way)
        (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICE);
#endif
    worker(work);
    pthread_mutex_lock(&work->lock);
    work->running--;
    pthread_cond_signal(&work->ended);
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

static struct timespec soon(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += MEANWHILE_MS * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    return t;
}

pm_result pm_thread_for_beside(uint32_t count, pm_result (*run)(void *context, uint32_t index), void *context,
                               void (*meanwhile)(void *context), bool give_way)
{
    pm_thread_work work = make_work(count, run, context);
    pthread_t ids[THREADS_MAX];
    pthread_condattr_t attributes;
    pthread_mutex_init(&work.lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&work.ended, &attributes);
    pthread_condattr_destroy(&attributes);
    work.give_way = give_way;
    pthread_mutex_lock(&work.lock); /* until all are counted */
    const uint32_t started = work.running = start(threads_for(pm_thread_cores(), count), ids, worker_beside, &work);
    while (work.running > 0) {
        const struct timespec until = soon();
        (void)pthread_cond_timedwait(&work.ended, &work.lock, &until);
        pthread_mutex_unlock(&work.lock);
        meanwhile(context);
        pthread_mutex_lock(&work.lock);
    }
    pthread_mutex_unlock(&work.lock);
    if (started == 0)
        worker(&work);
    const pm_result result = end(&work, ids, started);
    pthread_cond_destroy(&work.ended);
    meanwhile(context);
    return result;
}
