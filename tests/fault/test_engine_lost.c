/* The device is lost in the middle of the work: the engine opens it again and every answer is the
 * one that it would have been, token for token and in its text; or, by option, the requests end
 * and the next are served. When the device does not come back, the engine says so and nothing
 * hangs. Losses are made by standing in for the device's functions. */
#include "model/answers.h"

#include "again.h"
#include "engine/engine_impl.h"
#include "vk/device_impl.h"

enum { N = 6 };

static uint32_t left;              /* calls until one is lost; 0 = none is */
static bool drafts_only, in_draft; /* only calls of passes of the draft model count */
static bool dead;                  /* and with it all that follow, until the device is opened again */
static uint32_t losses;
static void (*on_loss)(void);      /* NULL = nothing else happens in that moment */

static bool is_lost(void)
{
    if (left > 0 && (!drafts_only || in_draft) && --left == 0) {
        dead = true;
        losses++;
        if (on_loss != NULL)
            on_loss();
    }
    return dead;
}

static PFN_vkQueueSubmit2 real_submit;
static PFN_vkWaitSemaphores real_wait;

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count, const VkSubmitInfo2 *infos, VkFence fence)
{
    return is_lost() ? VK_ERROR_DEVICE_LOST : real_submit(queue, count, infos, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait(VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout)
{
    return is_lost() ? VK_ERROR_DEVICE_LOST : real_wait(device, info, timeout);
}

pm_result __real_pm_draft_guess(pm_engine *engine);
pm_result __wrap_pm_draft_guess(pm_engine *engine);

pm_result __wrap_pm_draft_guess(pm_engine *engine)
{
    in_draft = true;
    const pm_result result = __real_pm_draft_guess(engine);
    in_draft = false;
    return result;
}

/* The calls-th submission or wait from now on is lost. */
static void lose_after(pm_engine *engine, uint32_t calls)
{
    pm_vk_device *device = engine->device;
    if (device->vk.vkQueueSubmit2 != submit) {
        real_submit = device->vk.vkQueueSubmit2;
        real_wait = device->vk.vkWaitSemaphores;
        device->vk.vkQueueSubmit2 = submit;
        device->vk.vkWaitSemaphores = wait;
    }
    left = calls;
    dead = false;
}

static const char *const prompts[N] = {
    "Once upon a time", "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n", "one two three four",
    "<|im_start|>user\nTell me a story about a cat and a hat.<|im_end|>\n<|im_start|>assistant\n", "a b c", "The sun"};

static pm_speculation speculate;
static uint32_t longer;            /* tokens more of each answer */

static pm_request_params params_of(uint32_t i)
{
    return (pm_request_params){.max_tokens = 12 + 3 * i + longer, .ignore_end = true, .speculate = speculate,
                               .sample = {.temperature = i % 2 ? 0.8f : 0.0f, .seed = 40 + i}};
}

static pm_engine *open_it(bool fail_on_loss)
{
    return open_demo((pm_engine_params){.max_seqs = 4, .deterministic = true, .max_context_tokens = 256,
                                        .max_batch_tokens = 16, .fail_on_loss = fail_on_loss});
}

static answer expected[N], got[N];

static void ask_all(pm_engine *engine, answer *answers)
{
    for (uint32_t i = 0; i < N; i++)
        ask(engine, params_of(i), prompts[i], &answers[i]);
}

static int answer_undisturbed(void **state)
{
    (void)state;
    pm_engine *engine = open_it(false);
    ask_all(engine, expected);
    run_all(engine, expected, N);
    pm_engine_destroy(engine);
    return 0;
}

static void lose_at(pm_engine *engine, const uint32_t *moments, size_t count)
{
    for (size_t m = 0; m < count; m++) {
        lose_after(engine, moments[m]);
        ask_all(engine, got);
        run_all(engine, got, N);
        for (uint32_t i = 0; i < N; i++)
            same_answer(&got[i], &expected[i]);
    }
}

/* Once at each of many moments: in prompts, while decoding, with one batch in flight or two. */
static void texts_are_the_same_wherever_the_device_is_lost(void **state)
{
    (void)state;
    static const uint32_t moments[] = {1, 2, 5, 13, 34};
    pm_engine *engine = open_it(false);
    losses = 0;
    lose_at(engine, moments, sizeof(moments) / sizeof(moments[0]));
    pm_engine_stats stats;
    pm_engine_statistics(engine, &stats);
    printf("lost %u times, %llu tokens read again\n", losses, (unsigned long long)stats.recomputed_tokens);
    assert_true(losses >= 4);      /* the last may have come after the last call */
    assert_int_equal(stats.device_losses, losses);
    assert_int_equal(stats.pages_used, 0);
    pm_engine_destroy(engine);
}

/* In passes of the draft model, when it reads a prompt and when it guesses, and in steps of the model. */
static void drafts_are_made_again(void **state)
{
    (void)state;
    first_driver_only("drafts after a loss");
    static const uint32_t moments[] = {6, 21}, passes[] = {1, 2, 9};
    char path[4096];
    const char *source = getenv("PUMICE_TEST_SOURCE");
    snprintf(path, sizeof(path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", source != NULL ? source : ".");
    pm_engine *engine = open_demo((pm_engine_params){.max_seqs = 4, .deterministic = true, .max_context_tokens = 256,
                                                     .max_batch_tokens = 16, .draft_path = path});
    speculate = PM_SPECULATE_DRAFT;
    losses = 0;
    lose_at(engine, moments, sizeof(moments) / sizeof(moments[0]));
    drafts_only = true;
    lose_at(engine, passes, sizeof(passes) / sizeof(passes[0]));
    drafts_only = false;
    speculate = PM_SPECULATE_NONE;
    pm_engine_stats stats;
    pm_engine_statistics(engine, &stats);
    printf("lost %u times, %llu of %llu guesses right\n", losses, (unsigned long long)stats.accepted_tokens,
           (unsigned long long)stats.drafted_tokens);
    assert_int_equal(losses, 5);
    assert_int_equal(stats.device_losses, losses);
    assert_true(stats.accepted_tokens > 0);
    assert_int_equal(stats.pages_used + stats.draft_pages_used, 0);
    pm_engine_destroy(engine);
}

/* While pages wait in host memory, which go with the device: what was there is computed again. Two answers at once do
 * not fit into the pool. */
static void pages_in_host_memory_are_made_again(void **state)
{
    (void)state;
    first_driver_only("pages in host memory after a loss");
    static answer plain[N];
    pm_event events[64];
    pm_engine_info info;
    pm_engine_params p = {.max_seqs = 4, .deterministic = true, .max_context_tokens = 96, .max_batch_tokens = 16};
    pm_engine *engine = open_demo(p);
    longer = 45;
    ask_all(engine, plain);
    run_all(engine, plain, N);
    pm_engine_describe(engine, &info);
    pm_engine_destroy(engine);
    p.kv_bytes = info.page_bytes * 6;
    p.swap_bytes = info.page_bytes * 12;
    engine = open_demo(p);
    losses = 0;
    for (uint32_t after = 1; after <= 3; after += 2) {
        pm_engine_stats before, stats;
        bool lost = false;
        pm_engine_statistics(engine, &before);
        lose_after(engine, 0);
        ask_all(engine, got);
        while (pm_engine_busy(engine)) {
            size_t n = 0;
            ok(pm_engine_step(engine, events, 64, &n));
            for (size_t i = 0; i < n; i++)
                take_event(&events[i], got, N);
            pm_engine_statistics(engine, &stats);
            if (!lost && stats.swapped_pages > before.swapped_pages) {
                lost = true;
                assert_true(stats.queued > 0);
                lose_after(engine, after);
            }
        }
        for (uint32_t i = 0; i < N; i++)
            same_answer(&got[i], &plain[i]);
        assert_true(lost);
    }
    longer = 0;
    pm_engine_stats stats;
    pm_engine_statistics(engine, &stats);
    printf("lost %u times, %llu pages to host memory, %llu tokens read again\n", losses,
           (unsigned long long)stats.swapped_pages, (unsigned long long)stats.recomputed_tokens);
    assert_int_equal(losses, 2);
    assert_int_equal(stats.device_losses, losses);
    assert_int_equal(stats.pages_used, 0);
    pm_engine_destroy(engine);
}

static void requests_end_with_the_loss_where_that_is_asked_for(void **state)
{
    (void)state;
    pm_engine *engine = open_it(true);
    lose_after(engine, 9);
    ask_all(engine, got);
    run_all(engine, got, N);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(got[i].finish, PM_FINISH_ERROR);
        assert_int_equal(got[i].error, PM_ERR_LOST);
    }
    ask_all(engine, got);          /* the next are served */
    run_all(engine, got, N);
    for (uint32_t i = 0; i < N; i++)
        same_answer(&got[i], &expected[i]);
    pm_engine_destroy(engine);
}

static pm_engine *asked;

static void ask_the_last(void)
{
    ask(asked, params_of(N - 1), prompts[N - 1], &got[N - 1]);
}

/* The engine does not know it yet when the device goes: it is neither in flight nor forgotten. */
static void what_came_in_the_lost_step_is_served(void **state)
{
    (void)state;
    first_driver_only("a request of the lost step");
    asked = open_it(true);
    got[N - 1] = (answer){0};
    on_loss = ask_the_last;
    lose_after(asked, 9);
    for (uint32_t i = 0; i + 1 < N; i++)
        ask(asked, params_of(i), prompts[i], &got[i]);
    run_all(asked, got, N);
    on_loss = NULL;
    for (uint32_t i = 0; i + 1 < N; i++)
        assert_int_equal(got[i].error, PM_ERR_LOST);
    same_answer(&got[N - 1], &expected[N - 1]);
    pm_engine_destroy(asked);
}

static bool keep_going(void *context, uint32_t position, const float *logits)
{
    (void)position, (void)logits;
    ++*(uint32_t *)context;
    return true;
}

static void a_loss_while_scoring_is_told_and_survived(void **state)
{
    (void)state;
    const int32_t tokens[] = {1, 5, 9, 30, 31, 32};
    uint32_t seen = 0;
    pm_engine *engine = open_it(false);
    lose_after(engine, 2);
    assert_int_equal(pm_engine_score(engine, tokens, 6, 0, keep_going, &seen), PM_ERR_LOST);
    seen = 0;
    ok(pm_engine_score(engine, tokens, 6, 0, keep_going, &seen));
    assert_int_equal(seen, 6);
    ask_all(engine, got);
    run_all(engine, got, N);
    for (uint32_t i = 0; i < N; i++)
        same_answer(&got[i], &expected[i]);
    pm_engine_destroy(engine);
}

static PFN_vkCreateDevice real_create_device;

static VKAPI_ATTR VkResult VKAPI_CALL refuse_device(VkPhysicalDevice p, const VkDeviceCreateInfo *i,
                                                    const VkAllocationCallbacks *a, VkDevice *o)
{
    (void)p, (void)i, (void)a, (void)o;
    return VK_ERROR_INITIALIZATION_FAILED;
}

static void a_device_that_does_not_come_back_ends_everything(void **state)
{
    (void)state;
    VkInstance instance;
    pm_event events[64];
    size_t n = 0;
    uint64_t id = 0;
    pm_result result = PM_OK;
    ok(pm_vk_instance_acquire(&instance)); /* so that the global pointers stay as we set them */
    pm_engine *engine = open_it(false);
    real_create_device = vkCreateDevice;
    vkCreateDevice = refuse_device;
    lose_after(engine, 7);
    ask_all(engine, got);
    for (int step = 0; step < 100 && result == PM_OK; step++)
        result = pm_engine_step(engine, events, 64, &n);
    vkCreateDevice = real_create_device;
    assert_int_equal(result, PM_ERR_LOST);
    assert_non_null(strstr(pm_error_message(), "could not be opened again"));
    assert_non_null(strstr(pm_error_message(), "vkCreateDevice"));
    assert_false(pm_engine_busy(engine));
    pm_request_params p = params_of(0);
    p.prompt = "a";
    p.prompt_len = 1;
    assert_int_equal(pm_request_submit(engine, &p, &id), PM_ERR_LOST);
    assert_int_equal(pm_engine_step(engine, events, 64, &n), PM_ERR_LOST);
    pm_engine_destroy(engine);
    pm_vk_instance_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_the_same_wherever_the_device_is_lost),
        cmocka_unit_test(drafts_are_made_again),
        cmocka_unit_test(pages_in_host_memory_are_made_again),
        cmocka_unit_test(requests_end_with_the_loss_where_that_is_asked_for),
        cmocka_unit_test(what_came_in_the_lost_step_is_served),
        cmocka_unit_test(a_loss_while_scoring_is_told_and_survived),
        cmocka_unit_test(a_device_that_does_not_come_back_ends_everything),
    };
    return cmocka_run_group_tests_name("engine_lost", tests, answer_undisturbed, NULL);
}
