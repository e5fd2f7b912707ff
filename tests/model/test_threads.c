/* Eight threads submit, cancel, look and wake while one steps, with guesses of a draft model and without: every
 * request that was taken ends exactly once for each of its answers, and nothing is left. With PUMICE_SANITIZE=thread this is
 * the test of what pumice.h says about threads. */
#include "answers.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { THREADS = 8, REQUESTS = 24, IDS = 1 + THREADS * REQUESTS };

static pm_engine *engine;
static _Atomic uint32_t running, submitted, refused;
static _Atomic uint32_t answers_of[IDS];   /* answers that the request with this id asked for */
static uint32_t ends_of[IDS], cancelled, finished;
static uint64_t seed = 20261125;

/* cmocka's assertions are for its own thread. */
static void must(bool holds)
{
    if (!holds) {
        fprintf(stderr, "a thread's request went wrong: %s\n", pm_error_message());
        abort();
    }
}

static void *submit_and_cancel(void *context)
{
    const uint64_t thread = (uint64_t)(uintptr_t)context;
    pm_engine_stats stats;
    pm_engine_info info;
    for (uint64_t i = 0; i < REQUESTS; i++) {
        const uint64_t draw = pm_mix64(seed ^ (thread << 32 | i));
        const char *const stop[] = {"and"};
        pm_request_params p = {.prompt = "Once upon a time", .prompt_len = 4 + draw % 12, .max_tokens = 1 + (uint32_t)(draw / 16 % 12),
                               .n = 1 + (uint32_t)((draw >> 20) % 2), .stop = stop, .stop_count = (draw >> 24) % 2,
                               .priority = (int32_t)((draw >> 28) % 5) - 2, .deadline_ms = (draw >> 32) % 8 == 0 ? 5 : 0,
                               .speculate = (pm_speculation)((draw >> 52) % 3), .draft_tokens = (uint32_t)(draw >> 56) % 8,
                               .sample = {.temperature = (draw >> 36) % 2 ? 0.9f : 0.0f, .logprobs = (draw >> 40) % 4 == 0}};
        uint64_t id = 0;
        pm_result result;
        while ((result = pm_request_submit(engine, &p, &id)) == PM_ERR_FULL) {
            atomic_fetch_add(&refused, 1);
            pm_engine_statistics(engine, &stats);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        must(result == PM_OK && id >= 1 && id < IDS);
        must(atomic_exchange(&answers_of[id], p.n) == 0); /* never the same twice */
        atomic_fetch_add(&submitted, 1);
        if ((draw >> 44) % 3 == 0)
            pm_request_cancel(engine, id);
        if ((draw >> 48) % 4 == 0)
            pm_request_cancel(engine, 1 + draw % (IDS - 1)); /* anybody's, there or not */
        pm_engine_describe(engine, &info);
        (void)pm_engine_busy(engine);
    }
    atomic_fetch_sub(&running, 1);
    pm_engine_wake(engine);
    return NULL;
}

static void threads_and_steps_do_not_meet(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    pm_event events[16];
    char draft_path[4096];         /* the model itself */
    const char *source = getenv("PUMICE_TEST_SOURCE");
    snprintf(draft_path, sizeof(draft_path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", source != NULL ? source : ".");
    engine = open_demo((pm_engine_params){.max_seqs = 6, .max_context_tokens = 64, .max_batch_tokens = 32, .max_queue = 20,
                                          .draft_path = draft_path});
    atomic_store(&running, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_and_cancel, (void *)i), 0);
    while (atomic_load(&running) > 0 || pm_engine_busy(engine)) {
        size_t n = 0;
        if (!pm_engine_wait(engine, 50))
            continue;
        ok(pm_engine_step(engine, events, 16, &n));
        for (size_t i = 0; i < n; i++) {
            assert_in_range(events[i].request_id, 1, IDS - 1);
            ends_of[events[i].request_id] += events[i].finish != PM_FINISH_NONE;
            cancelled += events[i].finish == PM_FINISH_CANCELLED;
            finished += events[i].finish != PM_FINISH_NONE;
        }
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t id = 1; id < IDS; id++)
        assert_int_equal(ends_of[id], atomic_load(&answers_of[id]));
    pm_engine_stats stats;
    pm_engine_statistics(engine, &stats);
    assert_int_equal(stats.pages_used + stats.draft_pages_used, 0);
    printf("%u requests, %u answers, %u of them cancelled; refused %u times; %llu of %llu guesses right in %llu passes\n",
           atomic_load(&submitted), finished, cancelled, atomic_load(&refused), (unsigned long long)stats.accepted_tokens,
           (unsigned long long)stats.drafted_tokens, (unsigned long long)stats.draft_steps);
    assert_true(stats.draft_steps > 0 && stats.accepted_tokens > 0);
    assert_int_equal(atomic_load(&submitted), THREADS * REQUESTS);
    assert_true(cancelled > 0 && cancelled < finished);
    pm_engine_destroy(engine);
}

/* A sleeper wakes for a submission, for a wake, and when its time is up. */
static void waiting_ends_when_there_is_work(void **state)
{
    (void)state;
    static answer a;
    engine = open_demo((pm_engine_params){.max_seqs = 1, .max_context_tokens = 64});
    assert_false(pm_engine_wait(engine, 1));
    pm_engine_wake(engine);
    assert_false(pm_engine_wait(engine, 60000)); /* would hang */
    ask(engine, (pm_request_params){.max_tokens = 2}, "a", &a);
    assert_true(pm_engine_wait(engine, 60000));
    run_all(engine, &a, 1);
    assert_false(pm_engine_wait(engine, 1));
    pm_engine_destroy(engine);
}

int main(void)
{
    const char *given = getenv("PUMICE_TEST_SEED");
    seed = given != NULL ? strtoull(given, NULL, 0) : seed;
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_steps_do_not_meet),
        cmocka_unit_test(waiting_ends_when_there_is_work),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
