/* test_engine.c - the engine as a caller sees it, on the demo model and, where the assets
 * are, on real ones: known text, batching, pages, cancels, limits, memory. */
#include "again.h"
#include "pumice.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char demo_path[4096];
static const char *assets;

#define SEQS_MAX 16

/* One answer, collected. */
typedef struct answer {
    char text[8192];
    size_t len;
    int32_t tokens[1024];
    uint32_t count;
    pm_finish finish;
    uint32_t ends;
} answer;

static pm_engine *open_engine(const char *path, pm_engine_params p)
{
    pm_engine *engine = NULL;
    p.model_path = path;
    if (pm_engine_create(&p, &engine) != PM_OK)
        fail_msg("%s", pm_error_message());
    return engine;
}

static uint64_t submit(pm_engine *engine, const char *prompt, uint32_t max_tokens, float temperature)
{
    const pm_request_params params = {.prompt = prompt,
                                      .prompt_len = strlen(prompt),
                                      .prompt_flags = PM_TOKENIZE_ADD_BOS | PM_TOKENIZE_SPECIAL,
                                      .max_tokens = max_tokens,
                                      .sample = {.temperature = temperature, .seed = 7}};
    uint64_t id = 0;
    if (pm_request_submit(engine, &params, &id) != PM_OK)
        fail_msg("%s", pm_error_message());
    return id;
}

/* Steps until nothing is left; ids[i]'s events go to answers[i]. */
static void run_all(pm_engine *engine, const uint64_t *ids, answer *answers, size_t count)
{
    pm_event events[SEQS_MAX];
    memset(answers, 0, count * sizeof(*answers));
    while (pm_engine_busy(engine)) {
        size_t n = 0;
        if (pm_engine_step(engine, events, SEQS_MAX, &n) != PM_OK)
            fail_msg("%s", pm_error_message());
        for (size_t i = 0; i < n; i++)
            for (size_t a = 0; a < count; a++) {
                if (events[i].request_id != ids[a])
                    continue;
                assert_int_equal(answers[a].ends, 0);
                memcpy(answers[a].text + answers[a].len, events[i].text, events[i].text_len);
                answers[a].len += events[i].text_len;
                if (events[i].token >= 0)
                    answers[a].tokens[answers[a].count++] = events[i].token;
                answers[a].finish = events[i].finish;
                answers[a].ends += events[i].finish != PM_FINISH_NONE;
            }
    }
    for (size_t a = 0; a < count; a++)
        assert_int_equal(answers[a].ends, 1);
}

static void one_answer(pm_engine *engine, const char *prompt, uint32_t max_tokens, answer *out)
{
    const uint64_t id = submit(engine, prompt, max_tokens, 0.0f);
    run_all(engine, &id, out, 1);
}

/* ----------------------------------------------------------------- tests */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    char *text = calloc(1, 65536);
    if (text != NULL)
        (void)!fread(text, 1, 65535, file);
    fclose(file);
    return text;
}

static void greedy_text_of_stories260k_is_the_published_one(void **state)
{
    (void)state;
    char path[4200], golden_path[4200];
    snprintf(path, sizeof(path), "%s/models/stories260K/stories260K-f32.gguf", assets);
    snprintf(golden_path, sizeof(golden_path), "%s/models/stories260K/golden-greedy-200.txt", assets);
    char *golden = assets[0] != '\0' ? read_file(golden_path) : NULL;
    if (golden == NULL) {
        print_message("SKIPPED: no assets with stories260K\n");
        skip();
    }
    static answer a;
    pm_engine *engine = open_engine(path, (pm_engine_params){.max_seqs = 1});
    one_answer(engine, "", 200, &a);
    size_t golden_len = strlen(golden);
    while (golden_len > 0 && golden[golden_len - 1] == '\n')
        golden_len--;
    assert_true(a.len >= golden_len);
    a.text[golden_len] = '\0';
    golden[golden_len] = '\0';
    assert_string_equal(a.text, golden);
    free(golden);
    pm_engine_destroy(engine);
}

static const char *const prompts[SEQS_MAX] = {
    "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nWhat is 7 plus 5?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nTell me a story about a cat and a hat.<|im_end|>\n<|im_start|>assistant\n",
    "a", "one two three", "<|im_start|>user\n", "What?", "The capital of France is",
    "Hello hello hello hello hello hello hello hello hello hello hello hello", "x y z", "Monday", "dogs bark",
    "0 1 2 3 4 5 6 7 8 9", "red green blue", "Once upon a time", "bye",
};

static void batched_answers_equal_those_given_alone(void **state)
{
    (void)state;
    static answer alone[SEQS_MAX], together[SEQS_MAX];
    pm_engine *engine = open_engine(demo_path, (pm_engine_params){.max_seqs = 1});
    for (int i = 0; i < SEQS_MAX; i++)
        one_answer(engine, prompts[i], 24 + (uint32_t)i, &alone[i]);
    pm_engine_destroy(engine);
    engine = open_engine(demo_path, (pm_engine_params){.max_seqs = 6, .max_batch_tokens = 20});
    uint64_t ids[SEQS_MAX];
    for (int i = 0; i < SEQS_MAX; i++)
        ids[i] = submit(engine, prompts[i], 24 + (uint32_t)i, 0.0f);
    run_all(engine, ids, together, SEQS_MAX);
    for (int i = 0; i < SEQS_MAX; i++) {
        assert_int_equal(alone[i].count, together[i].count);
        assert_memory_equal(alone[i].tokens, together[i].tokens, alone[i].count * sizeof(int32_t));
        assert_int_equal(alone[i].finish, together[i].finish);
    }
    pm_engine_destroy(engine);
}

static void a_tiny_pool_changes_no_answer(void **state)
{
    (void)state;
    enum { N = 6 };
    static answer wide[N], narrow[N];
    uint64_t ids[N];
    uint32_t preemptions = 0;
    for (int pass = 0; pass < 2; pass++) {
        pm_engine_params p = {.max_seqs = N, .max_context_tokens = 96};
        pm_engine *engine = open_engine(demo_path, p);
        pm_engine_info info;
        pm_engine_describe(engine, &info);
        if (pass == 1) { /* one full context and a little more */
            pm_engine_destroy(engine);
            p.kv_bytes = info.page_bytes * 8;
            engine = open_engine(demo_path, p);
        }
        for (int i = 0; i < N; i++) {
            const pm_request_params r = {.prompt = prompts[i], .prompt_len = strlen(prompts[i]),
                                         .prompt_flags = PM_TOKENIZE_SPECIAL, .max_tokens = 40, .ignore_end = true};
            assert_int_equal(pm_request_submit(engine, &r, &ids[i]), PM_OK);
        }
        run_all(engine, ids, pass == 0 ? wide : narrow, N);
        pm_engine_stats stats;
        pm_engine_statistics(engine, &stats);
        assert_int_equal(stats.pages_used, 0);
        preemptions = stats.preemptions;
        pm_engine_destroy(engine);
    }
    assert_true(preemptions > 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(wide[i].count, narrow[i].count);
        assert_memory_equal(wide[i].tokens, narrow[i].tokens, wide[i].count * sizeof(int32_t));
    }
}

static void steps_allocate_nothing(void **state)
{
    (void)state;
    pm_engine *engine = open_engine(demo_path, (pm_engine_params){.max_seqs = 4});
    pm_event events[SEQS_MAX];
    for (int pass = 0; pass < 2; pass++) { /* greedy, then with the host's sampler */
        for (int i = 0; i < 4; i++)
            (void)submit(engine, prompts[i], 30, pass == 0 ? 0.0f : 0.9f);
        const uint64_t before = pm_alloc_count();
        while (pm_engine_busy(engine)) {
            size_t n = 0;
            assert_int_equal(pm_engine_step(engine, events, SEQS_MAX, &n), PM_OK);
        }
        assert_int_equal(pm_alloc_count() - before, 0);
    }
    pm_engine_destroy(engine);
}

/* Kernels and passes made before the first step, when a step needs them, or run once: the answers are the same. */
static void answers_do_not_depend_on_the_warm_up(void **state)
{
    (void)state;
    static answer expected[4], got[4];
    uint64_t allocated[3];
    for (int warm_up = PM_WARM_UP_KERNELS; warm_up <= PM_WARM_UP_STEPS; warm_up++) {
        answer *answers = warm_up == PM_WARM_UP_KERNELS ? expected : got;
        pm_engine *engine = open_engine(demo_path, (pm_engine_params){.max_seqs = 4, .max_batch_tokens = 40,
                                                                      .max_context_tokens = 256,
                                                                      .warm_up = (pm_warm_up)warm_up});
        uint64_t ids[4];
        for (int i = 0; i < 4; i++)
            ids[i] = submit(engine, prompts[i], 20, i % 2 == 0 ? 0.0f : 0.9f);
        const uint64_t before = pm_alloc_count();
        run_all(engine, ids, answers, 4);
        allocated[warm_up] = pm_alloc_count() - before;
        pm_engine_destroy(engine);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(answers[i].count, expected[i].count);
            assert_memory_equal(answers[i].tokens, expected[i].tokens, expected[i].count * sizeof(int32_t));
        }
    }
    assert_int_equal(allocated[PM_WARM_UP_KERNELS], 0);
    assert_true(allocated[PM_WARM_UP_NOTHING] > 0); /* passes were made */
    assert_int_equal(allocated[PM_WARM_UP_STEPS], 0);
}

static void sampled_answers_repeat_with_the_seed(void **state)
{
    (void)state;
    static answer a[2];
    pm_engine *engine = open_engine(demo_path, (pm_engine_params){.max_seqs = 2});
    for (int i = 0; i < 2; i++) {
        const uint64_t id = submit(engine, prompts[2], 40, 1.5f);
        run_all(engine, &id, &a[i], 1);
    }
    assert_int_equal(a[0].count, a[1].count);
    assert_memory_equal(a[0].tokens, a[1].tokens, a[0].count * sizeof(int32_t));
    pm_engine_destroy(engine);
}

static void cancelled_requests_end_once_and_free_their_pages(void **state)
{
    (void)state;
    static answer answers[4];
    uint64_t ids[4];
    pm_event events[SEQS_MAX];
    size_t n = 0;
    pm_engine *engine = open_engine(demo_path, (pm_engine_params){.max_seqs = 2});
    for (int i = 0; i < 4; i++)
        ids[i] = submit(engine, prompts[3], 60, 0.0f);
    assert_int_equal(pm_engine_step(engine, events, SEQS_MAX, &n), PM_OK);
    pm_request_cancel(engine, ids[0]); /* running */
    pm_request_cancel(engine, ids[3]); /* waiting */
    pm_request_cancel(engine, 999);    /* unknown */
    run_all(engine, ids, answers, 4);
    assert_int_equal(answers[0].finish, PM_FINISH_CANCELLED);
    assert_int_equal(answers[3].finish, PM_FINISH_CANCELLED);
    assert_int_not_equal(answers[1].finish, PM_FINISH_CANCELLED);
    pm_engine_stats stats;
    pm_engine_statistics(engine, &stats);
    assert_int_equal(stats.pages_used, 0);
    pm_engine_destroy(engine);
}

static void limits_are_errors_that_say_the_numbers(void **state)
{
    (void)state;
    pm_engine *engine = open_engine(demo_path, (pm_engine_params){.max_seqs = 1, .max_context_tokens = 32});
    const int32_t tokens[40] = {1}, bad[2] = {1, 1 << 30};
    uint64_t id = 0;
    pm_request_params p = {.tokens = tokens, .token_count = 32};
    assert_int_equal(pm_request_submit(engine, &p, &id), PM_ERR_ARG);
    assert_non_null(strstr(pm_error_message(), "32"));
    p = (pm_request_params){.tokens = bad, .token_count = 2};
    assert_int_equal(pm_request_submit(engine, &p, &id), PM_ERR_ARG);
    p = (pm_request_params){.tokens = tokens, .token_count = 0};
    assert_int_equal(pm_request_submit(engine, &p, &id), PM_ERR_ARG);
    static answer a;
    p = (pm_request_params){.tokens = tokens, .token_count = 20, .ignore_end = true};
    assert_int_equal(pm_request_submit(engine, &p, &id), PM_OK);
    run_all(engine, &id, &a, 1);
    assert_int_equal(a.finish, PM_FINISH_CONTEXT);
    assert_int_equal(a.count, 12);
    pm_engine_destroy(engine);

    pm_engine_params e = {.model_path = demo_path, .max_context_tokens = 512, .kv_bytes = 4096};
    assert_int_equal(pm_engine_create(&e, &engine), PM_ERR_ARG);
    assert_non_null(strstr(pm_error_message(), "512"));
    e = (pm_engine_params){.model_path = "/nonexistent.gguf"};
    assert_int_equal(pm_engine_create(&e, &engine), PM_ERR_IO);
    e = (pm_engine_params){.model_path = demo_path, .device = "no such device"};
    assert_int_equal(pm_engine_create(&e, &engine), PM_ERR_ARG);
}

typedef struct scores {
    float first[512 * 4];
    uint32_t count;
} scores;

static bool keep_score(void *context, uint32_t position, const float *logits)
{
    scores *s = context;
    assert_int_equal(position, s->count);
    memcpy(&s->first[4 * s->count++], logits, 4 * sizeof(float));
    return true;
}

/* The same tokens in one chunk and in chunks of 7 give the same logits. */
static void chunk_size_does_not_change_logits(void **state)
{
    (void)state;
    static scores s[2];
    int32_t tokens[50];
    for (int i = 0; i < 50; i++)
        tokens[i] = 3 + i * 5;
    for (int pass = 0; pass < 2; pass++) {
        pm_engine *engine = open_engine(demo_path, (pm_engine_params){.max_seqs = 1, .max_batch_tokens = pass == 0 ? 512 : 7});
        memset(&s[pass], 0, sizeof(s[pass]));
        assert_int_equal(pm_engine_score(engine, tokens, 50, 0, keep_score, &s[pass]), PM_OK);
        assert_int_equal(s[pass].count, 50);
        pm_engine_destroy(engine);
    }
    for (int i = 0; i < 200; i++)
        assert_float_equal(s[0].first[i], s[1].first[i], 2e-3);
}

/* Allocations of a load fail in turn: a clean error, or a load that does without, and the next load works. The first
 * and the last ones all do; between, where pass after pass is recorded, one of twelve (PUMICE_TEST_FULL=1: all). */
static void a_load_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    first_driver_only("failing allocations of a load");
    enum { FIRST = 160, LAST = 48 };
    pm_engine *engine = NULL;
    const pm_engine_params p = {.model_path = demo_path, .max_seqs = 1, .max_context_tokens = 64, .max_batch_tokens = 16};
    const uint64_t step = getenv("PUMICE_TEST_FULL") != NULL ? 1 : 12, before = pm_alloc_count();
    assert_int_equal(pm_engine_create(&p, &engine), PM_OK);
    const uint64_t allocations = pm_alloc_count() - before;
    pm_engine_destroy(engine);
    uint32_t tried = 0, failed = 0;
    for (uint64_t n = 1; n <= allocations; n += n > FIRST && n + LAST < allocations ? step : 1) {
        engine = NULL;
        pm_alloc_fail_at(pm_alloc_count() + n);
        const pm_result result = pm_engine_create(&p, &engine);
        pm_alloc_fail_at(0);
        if (result == PM_OK)
            pm_engine_destroy(engine); /* an allocation that only a convenience wanted */
        else
            assert_int_equal(result, PM_ERR_NOMEM);
        tried++;
        failed += result != PM_OK;
    }
    print_message("%llu allocations, %u of them failed once: %u clean errors\n", (unsigned long long)allocations, tried,
                  failed);
    assert_true(failed > tried * 9 / 10);
    assert_int_equal(pm_engine_create(&p, &engine), PM_OK);
    pm_engine_destroy(engine);
}

int main(void)
{
    const char *source = getenv("PUMICE_TEST_SOURCE");
    assets = getenv("PUMICE_TEST_ASSETS") != NULL ? getenv("PUMICE_TEST_ASSETS") : "";
    snprintf(demo_path, sizeof(demo_path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", source != NULL ? source : ".");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_of_stories260k_is_the_published_one),
        cmocka_unit_test(batched_answers_equal_those_given_alone),
        cmocka_unit_test(a_tiny_pool_changes_no_answer),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(answers_do_not_depend_on_the_warm_up),
        cmocka_unit_test(sampled_answers_repeat_with_the_seed),
        cmocka_unit_test(cancelled_requests_end_once_and_free_their_pages),
        cmocka_unit_test(limits_are_errors_that_say_the_numbers),
        cmocka_unit_test(chunk_size_does_not_change_logits),
        cmocka_unit_test(a_load_survives_the_failure_of_any_allocation),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
