/* test_thread.c - jobs on a few threads: each runs once, the first failure by index is told, and the caller is called
 * while others work. */
#include "base/thread.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JOBS 1000u

typedef struct jobs {
    pthread_t caller;
    _Atomic uint32_t ran[JOBS];
    uint32_t fails_from;           /* those of this index and behind it fail */
    uint32_t calls;                /* of the caller, meanwhile */
} jobs;

static pm_result run(void *context, uint32_t index)
{
    jobs *j = context;
    atomic_fetch_add(&j->ran[index], 1);
    return index < j->fails_from ? PM_OK : pm_fail(PM_ERR_ARG, "job %u", index);
}

static void meanwhile(void *context)
{
    jobs *j = context;
    assert_true(pthread_equal(pthread_self(), j->caller));
    j->calls++;
}

/* Ways to run them: on 1, 2 or 7 threads and as many as cores, or beside the caller, who gives way or not. */
#define WAYS 6

static pm_result run_by(int way, uint32_t count, jobs *j)
{
    static const uint32_t threads[WAYS] = {1, 2, 7, 0};
    j->caller = pthread_self();
    return way < 4 ? pm_thread_for(threads[way], count, run, j) : pm_thread_for_beside(count, run, j, meanwhile, way == 5);
}

static void each_job_runs_once(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 2, 3, JOBS};
    for (int way = 0; way < WAYS; way++)
        for (uint32_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            jobs j = {.fails_from = JOBS};
            assert_int_equal(run_by(way, counts[c], &j), PM_OK);
            for (uint32_t i = 0; i < JOBS; i++)
                assert_int_equal(j.ran[i], i < counts[c]);
            assert_true(way < 4 ? j.calls == 0 : j.calls > 0);
        }
}

/* With its message on the caller's thread; what has not begun by then does not. */
static void the_first_failure_is_told(void **state)
{
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        jobs j = {.fails_from = 3};
        uint32_t ran = 0;
        assert_int_equal(run_by(way, JOBS, &j), PM_ERR_ARG);
        assert_string_equal(pm_error_message(), "job 3");
        for (uint32_t i = 0; i < JOBS; i++) {
            assert_true(j.ran[i] <= 1);
            ran += j.ran[i];
        }
        assert_in_range(ran, 4, 3 + 32); /* one a thread at most */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_job_runs_once), cmocka_unit_test(the_first_failure_is_told)};
    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
