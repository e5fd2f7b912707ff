/* test_serving.c - many sequences at once: each answer is the one that it gets alone, whatever
 * shares its steps, its pages and its prompt. On the demo model, deterministic. */
#include "answers.h"

#include "again.h"
#include "base/alloc.h"

#include <math.h>

enum { SEQS = 64 };

/* Prompts of different lengths, of which each fourth starts like others. */
static void make_prompt(uint32_t i, char *out, size_t capacity)
{
    static const char *const starts[] = {"<|im_start|>user\nWhat is %u plus %u?<|im_end|>\n<|im_start|>assistant\n",
                                         "<|im_start|>user\nTell me a story about a cat, number %u of %u.<|im_end|>\n"
                                         "<|im_start|>assistant\n",
                                         "Once upon a time there were %u little pigs and %u wolves", "%u %u "};
    size_t len = (size_t)snprintf(out, capacity, starts[i % 4], i % 10, i / 10);
    for (uint32_t more = 0; more < i % 4 && len + 40 < capacity; more++)
        len += (size_t)snprintf(out + len, capacity - len, " and then the dog said hello %u", more);
}

/* Every sampler there is, all deterministic by their seed. */
static pm_request_params make_params(uint32_t i)
{
    pm_request_params p = {.max_tokens = i % 8 == 2 ? 40 : 5 + i % 7, .sample = {.seed = 1000 + i}};
    switch (i % 8) {
    case 1: p.sample.temperature = 0.9f; break;
    case 2: p.sample.temperature = 1.2f; p.sample.top_k = 20; break;
    case 3: p.sample.temperature = 1.0f; p.sample.top_p = 0.9f; p.sample.repeat_penalty = 1.2f; break;
    case 4: p.sample.repeat_penalty = 1.3f; break;
    case 5: p.sample.temperature = 0.7f; p.sample.min_p = 0.05f; p.sample.frequency_penalty = 0.6f; break;
    case 6: p.sample.presence_penalty = 0.8f; p.speculate = PM_SPECULATE_LOOKUP; break;
    default: break;
    }
    p.ignore_end = i % 3 == 0 || i % 8 == 2;
    return p;
}

static answer alone[SEQS], together[SEQS];
static uint32_t pages_wanted;      /* at most, by all of them at once */
static uint64_t page_bytes;

static void answers_alone(void)
{
    static bool done;
    char prompt[512];
    pm_engine_info info;
    if (done)
        return;
    pm_engine *engine = open_demo((pm_engine_params){.max_seqs = 1, .deterministic = true, .no_prefix_cache = true,
                                                     .no_overlap = true, .max_context_tokens = 256});
    for (uint32_t i = 0; i < SEQS; i++) {
        make_prompt(i, prompt, sizeof(prompt));
        ask_alone(engine, make_params(i), prompt, &alone[i]);
    }
    pm_engine_describe(engine, &info);
    page_bytes = info.page_bytes;
    pm_engine_destroy(engine);
    done = true;
}

static void ask_first(pm_engine *engine, uint32_t count)
{
    char prompt[512];
    for (uint32_t i = 0; i < count; i++) {
        make_prompt(i, prompt, sizeof(prompt));
        ask(engine, make_params(i), prompt, &together[i]);
    }
}

static void sixty_four_at_once_answer_as_alone(void **state)
{
    (void)state;
    answers_alone();
    pm_engine *engine = open_demo((pm_engine_params){.max_seqs = SEQS, .deterministic = true, .max_context_tokens = 256});
    for (int pass = 0; pass < 2; pass++) { /* the second finds its prompts in the cache */
        ask_first(engine, SEQS);
        run_all(engine, together, SEQS);
        for (uint32_t i = 0; i < SEQS; i++)
            same_answer(&together[i], &alone[i]);
        pm_engine_stats stats;
        pm_engine_statistics(engine, &stats);
        printf("%llu steps, %llu of %llu prompt tokens cached, %u pages at most\n", (unsigned long long)stats.steps,
               (unsigned long long)stats.cached_tokens, (unsigned long long)stats.prompt_tokens, stats.pages_used_max);
        assert_int_equal(stats.pages_used, 0);
        assert_true(pass == 0 || stats.cached_tokens > 0);
        pages_wanted = stats.pages_used_max;
    }
    pm_engine_destroy(engine);
}

/* Where kernels are built as steps need them; a CPU driver then picks all but greedy tokens on the host. */
static void what_is_built_late_answers_the_same(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    answers_alone();
    pm_engine *engine = open_demo((pm_engine_params){.max_seqs = COUNT, .deterministic = true, .max_context_tokens = 256,
                                                     .warm_up = PM_WARM_UP_NOTHING});
    ask_first(engine, COUNT);
    run_all(engine, together, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        same_answer(&together[i], &alone[i]);
    pm_engine_destroy(engine);
}

/* A context of 256 tokens, the least there can be, is 16 pages. */
static pm_engine *open_narrow(uint32_t slots)
{
    return open_demo((pm_engine_params){.max_seqs = SEQS, .deterministic = true, .max_context_tokens = 256,
                                        .kv_bytes = page_bytes * 16, .swap_bytes = page_bytes * slots});
}

/* The engine's answers, of which some gave way, are the expected ones. Destroys the engine. */
static pm_engine_stats run_narrow(pm_engine *engine, answer *answers, const answer *expected, uint32_t count, size_t room)
{
    run_room(engine, answers, count, room);
    for (uint32_t i = 0; i < count; i++)
        same_answer(&answers[i], &expected[i]);
    pm_engine_stats stats;
    pm_engine_statistics(engine, &stats);
    printf("%u preemptions, %llu pages to host memory, %llu tokens read again\n", stats.preemptions,
           (unsigned long long)stats.swapped_pages, (unsigned long long)stats.recomputed_tokens);
    assert_int_equal(stats.pages_used, 0);
    assert_true(stats.preemptions > 0);
    pm_engine_destroy(engine);
    return stats;
}

/* A tenth of what they want; events are handed out one at a time. */
static void a_tenth_of_the_pool_changes_no_answer(void **state)
{
    (void)state;
    first_driver_only("a pool of a tenth");
    answers_alone();
    pm_engine *engine = open_narrow(0);
    ask_first(engine, SEQS);
    (void)run_narrow(engine, together, alone, SEQS, 1);
    assert_true(pages_wanted == 0 || pages_wanted >= 150);
}

/* With room in host memory pages go there and come back. However slowly prompts are read beside others, the
 * answers are so long that several are being given when pages run out. */
static void pages_in_host_memory_change_no_answer(void **state)
{
    (void)state;
    first_driver_only("pages in host memory");
    enum { LONG = 4, SLOTS = 64 };
    static answer expected[LONG], narrow[LONG];
    char prompt[512];
    pm_request_params p[LONG];
    pm_engine_info info;
    answers_alone();
    pm_engine *engine = open_narrow(0);
    for (uint32_t i = 0; i < LONG; i++) {
        make_prompt(i, prompt, sizeof(prompt));
        p[i] = make_params(i);
        p[i].max_tokens = 120;
        p[i].ignore_end = true;
        ask_alone(engine, p[i], prompt, &expected[i]);
    }
    pm_engine_destroy(engine);
    engine = open_narrow(SLOTS);
    pm_engine_describe(engine, &info);
    assert_int_equal(info.swap_pages, SLOTS);
    for (uint32_t i = 0; i < LONG; i++) {
        make_prompt(i, prompt, sizeof(prompt));
        ask(engine, p[i], prompt, &narrow[i]);
    }
    assert_true(run_narrow(engine, narrow, expected, LONG, 64).swapped_pages > 0);
}

/* Answers of one prompt share its pages, the last of them until each writes there; where they give way, to be
 * computed again or to host memory, each goes on alone. */
static void samples_survive_preemption(void **state)
{
    (void)state;
    first_driver_only("samples that give way");
    enum { ANSWERS = 5 };
    static answer twice[2 * ANSWERS], narrow[2 * ANSWERS];
    const pm_request_params p = {.max_tokens = 90, .ignore_end = true, .n = ANSWERS,
                                 .sample = {.temperature = 1.1f, .seed = 500}};
    const char prompt[] = "Once upon a time there was a little dog that had a hat, and then the dog said hello";
    answers_alone();
    pm_engine *engine = open_demo((pm_engine_params){.max_seqs = 16, .deterministic = true, .max_context_tokens = 256});
    ask_alone(engine, p, prompt, twice);
    pm_engine_destroy(engine);
    memcpy(twice + ANSWERS, twice, ANSWERS * sizeof(twice[0]));
    for (uint32_t slots = 0; slots <= 32; slots += 32) {
        engine = open_narrow(slots);
        ask(engine, p, prompt, narrow); /* twice at once */
        ask(engine, p, prompt, narrow + ANSWERS);
        const pm_engine_stats stats = run_narrow(engine, narrow, twice, 2 * ANSWERS, 64);
        assert_true((stats.swapped_pages > 0) == (slots > 0));
    }
}

/* ---------------------------------------------------------- what requests ask */

static const char hello[] = "<|im_start|>user\nTell me a story about a cat and a hat.<|im_end|>\n<|im_start|>assistant\n";

static pm_engine *shared;

static int open_shared(void **state)
{
    (void)state;
    shared = open_demo((pm_engine_params){.max_seqs = 8, .deterministic = true, .max_context_tokens = 512});
    return 0;
}

static int close_shared(void **state)
{
    (void)state;
    pm_engine_destroy(shared);
    return 0;
}

static void samples_of_one_prompt_share_it_and_draw_apart(void **state)
{
    (void)state;
    static answer a[4], b;
    const pm_request_params p = {.max_tokens = 16, .n = 4, .sample = {.temperature = 1.2f, .seed = 77}};
    ask_alone(shared, p, hello, a);
    bool differ = false;
    for (uint32_t i = 0; i < 4; i++) { /* answer i is the one that its seed gives alone */
        pm_request_params one = p;
        one.n = 1;
        one.sample.seed = 77 + i;
        ask_alone(shared, one, hello, &b);
        same_answer(&a[i], &b);
        differ |= i > 0 && (a[i].count != a[0].count || memcmp(a[i].tokens, a[0].tokens, a[0].count * 4) != 0);
    }
    assert_true(differ);
}

static void a_stop_string_ends_the_text_before_it(void **state)
{
    (void)state;
    static answer whole, cut;
    pm_request_params p = {.max_tokens = 40};
    ask_alone(shared, p, hello, &whole);
    assert_in_range(whole.len, 24, sizeof(whole.text));
    char stop[8] = "";
    memcpy(stop, whole.text + 15, 6); /* wherever its tokens begin and end */
    p.stop = (const char *const[]){"not in the text", stop};
    p.stop_count = 2;
    ask_alone(shared, p, hello, &cut);
    assert_int_equal(cut.finish, PM_FINISH_STOP);
    assert_int_equal(cut.stop, 1);
    const size_t at = (size_t)(strstr(whole.text, stop) - whole.text);
    assert_int_equal(cut.len, at);
    assert_memory_equal(cut.text, whole.text, at);
    p.stop = (const char *const[]){"never to be seen"};
    p.stop_count = 1;
    ask_alone(shared, p, hello, &cut);
    same_answer(&cut, &whole);
}

static void stop_tokens_end_and_min_tokens_put_off_the_end(void **state)
{
    (void)state;
    static answer whole, cut;
    pm_request_params p = {.max_tokens = 30};
    ask_alone(shared, p, hello, &whole);
    assert_true(whole.count > 8);
    p.stop_tokens = &whole.tokens[5];
    p.stop_token_count = 1;
    ask_alone(shared, p, hello, &cut);
    uint32_t first = 0;
    while (whole.tokens[first] != whole.tokens[5])
        first++;
    assert_int_equal(cut.finish, PM_FINISH_STOP);
    assert_int_equal(cut.count, first + 1);
    p.min_tokens = first + 4;
    ask_alone(shared, p, hello, &cut);
    assert_true(cut.count >= first + 4);
    assert_memory_equal(cut.tokens, whole.tokens, first * sizeof(int32_t));
    for (uint32_t i = 0; i + 1 < first + 4 && i < cut.count; i++)
        assert_int_not_equal(cut.tokens[i], whole.tokens[5]);
}

static void biases_and_masks_choose_the_tokens(void **state)
{
    (void)state;
    static answer whole, other;
    pm_engine_info info;
    pm_engine_describe(shared, &info);
    ask_alone(shared, (pm_request_params){.max_tokens = 10}, hello, &whole);
    const pm_logit_bias ban[] = {{whole.tokens[0], -INFINITY}, {whole.tokens[1], -100.0f}};
    pm_request_params p = {.max_tokens = 10, .sample = {.logit_bias = ban, .logit_bias_count = 2}};
    ask_alone(shared, p, hello, &other);
    for (uint32_t i = 0; i < other.count; i++)
        assert_true(other.tokens[i] != whole.tokens[0] && other.tokens[i] != whole.tokens[1]);
    const pm_logit_bias push[] = {{42, 1000.0f}};
    p = (pm_request_params){.max_tokens = 5, .ignore_end = true, .sample = {.logit_bias = push, .logit_bias_count = 1}};
    ask_alone(shared, p, hello, &other);
    for (uint32_t i = 0; i < other.count; i++)
        assert_int_equal(other.tokens[i], 42);
    uint32_t *mask = calloc((info.vocab + 31) / 32, sizeof(*mask));
    assert_non_null(mask);
    mask[40 / 32] |= 1u << 40 % 32;
    mask[77 / 32] |= 1u << 77 % 32;
    p = (pm_request_params){.max_tokens = 12, .ignore_end = true, .sample = {.temperature = 2.0f, .token_mask = mask, .seed = 3}};
    ask_alone(shared, p, hello, &other);
    for (uint32_t i = 0; i < other.count; i++)
        assert_true(other.tokens[i] == 40 || other.tokens[i] == 77);
    free(mask);
}

static void guesses_change_the_pace_and_no_token(void **state)
{
    (void)state;
    static answer plain, guessed;
    const char prompt[] = "one two three four one two three four one two three four one two";
    for (int sampled = 0; sampled <= 1; sampled++) {
        pm_request_params p = {.max_tokens = 40, .ignore_end = true, .sample = {.temperature = sampled ? 0.5f : 0.0f, .seed = 9}};
        pm_engine_stats before, after;
        ask_alone(shared, p, prompt, &plain);
        p.speculate = PM_SPECULATE_LOOKUP;
        p.draft_tokens = 6;
        pm_engine_statistics(shared, &before);
        ask_alone(shared, p, prompt, &guessed);
        pm_engine_statistics(shared, &after);
        same_answer(&guessed, &plain);
        printf("%llu of %llu guesses right\n", (unsigned long long)(after.accepted_tokens - before.accepted_tokens),
               (unsigned long long)(after.drafted_tokens - before.drafted_tokens));
        assert_true(sampled || after.accepted_tokens > before.accepted_tokens);
    }
}

/* One position's: in order, of at most probability 1, the chosen among them where it is likely enough. */
static void check_logprobs(const pm_logprobs *x, uint32_t top, bool greedy)
{
    double sum = 0.0;
    bool found = false;
    assert_int_equal(x->top_count, top);
    assert_true(x->chosen.logprob <= 0.0f);
    for (uint32_t t = 0; t < top; t++) {
        assert_true(t == 0 || x->top[t].logprob <= x->top[t - 1].logprob);
        for (uint32_t other = 0; other < t; other++)
            assert_int_not_equal(x->top[t].token, x->top[other].token);
        if (x->top[t].token == x->chosen.token) {
            assert_float_equal(x->top[t].logprob, x->chosen.logprob, 1e-5);
            found = true;
        }
        sum += exp((double)x->top[t].logprob);
    }
    assert_true(sum < 1.0001 && (sum > 0.0) == (top > 0));
    if (top > 0)
        assert_true(found || x->chosen.logprob <= x->top[top - 1].logprob + 1e-5f);
    if (top > 0 && greedy)
        assert_int_equal(x->chosen.token, x->top[0].token);
}

/* Each answer has the prompt first, as it was given, where it is asked for; then its tokens. */
static void check_events(pm_request_params p, const char *prompt, answer *answers)
{
    pm_event events[64];
    const uint32_t n = p.n > 0 ? p.n : 1, top = p.sample.top_logprobs;
    uint32_t echoes[2] = {0}, seen = 0;
    ask(shared, p, prompt, answers);
    while (pm_engine_busy(shared)) {
        size_t count = 0;
        ok(pm_engine_step(shared, events, 64, &count));
        for (size_t i = 0; i < count; i++) {
            const pm_event *e = &events[i];
            if (e->echo) {
                assert_true(p.echo && answers[e->index].events == 0);
                echoes[e->index]++;
                assert_int_equal(e->token, -1);
                assert_int_equal(e->text_len, strlen(hello));
                assert_memory_equal(e->text, hello, e->text_len);
                assert_int_equal(e->logprobs_count, p.sample.logprobs ? e->prompt_tokens : 0);
            } else {
                assert_int_equal(e->logprobs_count, p.sample.logprobs && e->token >= 0);
            }
            for (uint32_t l = 0; l < e->logprobs_count; l++, seen++) {
                if (e->echo && l == 0) {
                    assert_int_equal(e->logprobs[0].top_count, 0);
                    assert_true(e->logprobs[0].chosen.logprob == 0.0f);
                } else {
                    check_logprobs(&e->logprobs[l], top, !e->echo);
                }
            }
            take_event(e, answers, n);
        }
    }
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(echoes[i], p.echo);
    assert_true(seen > 0 || !p.sample.logprobs);
}

static void log_probabilities_are_those_of_the_logits(void **state)
{
    (void)state;
    static answer plain, a[2];
    int32_t tokens[64];
    size_t count = 0;
    ok(pm_tokenize(pm_engine_tokenizer(shared), hello, strlen(hello), PM_TOKENIZE_SPECIAL, tokens, 64, &count));
    ask_alone(shared, (pm_request_params){.max_tokens = 6}, hello, &plain);
    for (uint32_t i = 0; i < 8; i++) {
        const uint32_t tops[] = {5, 0, PM_TOP_LOGPROBS_MAX, 1};
        pm_request_params p = {.max_tokens = 6, .echo = i != 1, .n = 1 + i % 2,
                               .sample = {.logprobs = i != 4, .top_logprobs = tops[i % 4]}};
        if (i >= 4) {              /* the prompt is given as tokens, and echoed as their text */
            p.tokens = tokens;
            p.token_count = count;
        }
        check_events(p, i < 4 ? hello : NULL, a);
        for (uint32_t k = 0; k < p.n; k++) { /* whose text stands behind the echo */
            assert_int_equal(a[k].count, plain.count);
            assert_memory_equal(a[k].tokens, plain.tokens, plain.count * sizeof(int32_t));
            assert_int_equal(a[k].len, plain.len + (p.echo ? strlen(hello) : 0));
        }
    }
}

/* More edits than a step has room for are made on the host, to the same tokens with the same log-probabilities. */
static void the_host_picks_what_the_device_would(void **state)
{
    (void)state;
    enum { BIASES = PM_LOGIT_BIAS_MAX };
    static answer device, host;
    static pm_logit_bias nothing[BIASES];
    for (int32_t t = 0; t < BIASES; t++)
        nothing[t] = (pm_logit_bias){t, 0.0f};
    for (int sampled = 0; sampled <= 1; sampled++) {
        pm_request_params p = {.ignore_end = true, .stop = (const char *const[]){"never to be seen"}, .stop_count = 1,
                               .sample = {.temperature = sampled ? 0.9f : 0.0f, .seed = 11, .frequency_penalty = 0.5f,
                                          .repeat_penalty = 1.1f, .logprobs = true, .top_logprobs = PM_TOP_LOGPROBS_MAX}};
        pm_engine_info info;
        pm_engine_describe(shared, &info);
        p.max_tokens = info.context_tokens - 64;
        uint64_t ids[2];
        for (int on_host = 0; on_host <= 1; on_host++) {
            pm_event events[64];
            answer *a = on_host ? &host : &device;
            p.sample.logit_bias = on_host ? nothing : NULL;
            p.sample.logit_bias_count = on_host ? BIASES : 0;
            ask(shared, p, hello, a);
            ids[on_host] = a->id;
            while (pm_engine_busy(shared)) {
                size_t n = 0;
                if (a->count >= 24)
                    pm_request_cancel(shared, ids[on_host]);
                ok(pm_engine_step(shared, events, 64, &n));
                for (size_t i = 0; i < n; i++) {
                    for (uint32_t l = 0; l < events[i].logprobs_count; l++)
                        check_logprobs(&events[i].logprobs[l], PM_TOP_LOGPROBS_MAX, false);
                    take_event(&events[i], a, 1);
                }
            }
        }
        assert_memory_equal(host.tokens, device.tokens, 24 * sizeof(int32_t));
        for (uint32_t t = 0; t < 24; t++)
            assert_float_equal(host.logprobs[t], device.logprobs[t], 1e-5);
    }
}

static void a_shared_prefix_is_read_once_for_each_salt(void **state)
{
    (void)state;
    static answer a[3];
    static char prompt[1024];
    for (int i = 0; i < 60; i++)
        strcat(prompt, "word and ");
    pm_request_params p = {.max_tokens = 4, .cache_salt = "tenant one", .cache_salt_len = 10};
    ask_alone(shared, p, prompt, &a[0]);
    assert_int_equal(a[0].cached, 0);
    ask_alone(shared, p, prompt, &a[1]);
    assert_true(a[1].cached > 50);
    p.cache_salt = "tenant two";
    ask_alone(shared, p, prompt, &a[2]);
    assert_int_equal(a[2].cached, 0);
    p.no_prefix_cache = true;
    ask_alone(shared, p, prompt, &a[2]);
    assert_int_equal(a[2].cached, 0);
    same_answer(&a[0], &a[1]);
    same_answer(&a[0], &a[2]);
}

/* Prompts that fill 8 and 15 of the pool's 16 pages, and a token more: of each, full pages are found again until the
 * pages are wanted for others. */
static void evictions_are_counted(void **state)
{
    (void)state;
    static const struct { int32_t text; uint32_t tokens, cached; uint64_t evicted; } steps[] = {
        {300, 129, 0, 0}, {300, 129, 128, 0}, {301, 241, 0, 8}, {300, 129, 0, 16}, {300, 129, 128, 16}};
    answers_alone();
    pm_engine *engine = open_demo((pm_engine_params){.max_seqs = 1, .max_context_tokens = 256, .kv_bytes = page_bytes * 16});
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        static answer a;
        int32_t tokens[256];
        for (uint32_t t = 0; t < steps[i].tokens; t++)
            tokens[t] = t == 0 ? steps[i].text : 310 + (int32_t)t;
        ask_alone(engine, (pm_request_params){.tokens = tokens, .token_count = steps[i].tokens, .max_tokens = 1}, NULL, &a);
        pm_engine_stats stats;
        pm_engine_statistics(engine, &stats);
        assert_int_equal(a.cached, steps[i].cached);
        assert_int_equal(stats.evicted_pages, steps[i].evicted);
    }
    pm_engine_destroy(engine);
}

static void deadlines_and_cancels_end_all_answers_once(void **state)
{
    (void)state;
    static answer a[6];
    pm_event events[64];
    pm_request_params p = {.max_tokens = 400, .ignore_end = true, .n = 3};
    p.deadline_ms = 1;
    ask(shared, p, hello, &a[0]);
    p.deadline_ms = 0;
    ask(shared, p, hello, &a[3]);
    for (int step = 0; step < 6; step++) {
        size_t n = 0;
        ok(pm_engine_step(shared, events, 64, &n));
        for (size_t i = 0; i < n; i++)
            take_event(&events[i], a, 6);
    }
    pm_request_cancel(shared, a[3].id);
    pm_request_cancel(shared, 12345678); /* unknown */
    run_all(shared, a, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(a[i].finish, i < 3 ? PM_FINISH_DEADLINE : PM_FINISH_CANCELLED);
    pm_engine_stats stats;
    pm_engine_statistics(shared, &stats);
    assert_int_equal(stats.pages_used, 0);
    assert_int_equal(stats.queued + stats.running, 0);
}

static void refuse(pm_request_params p, const char *says)
{
    uint64_t id = 0;
    p.prompt = "a";
    p.prompt_len = 1;
    assert_int_equal(pm_request_submit(shared, &p, &id), PM_ERR_ARG);
    if (strstr(pm_error_message(), says) == NULL)
        fail_msg("'%s' does not say '%s'", pm_error_message(), says);
}

static void parameters_out_of_range_are_refused_by_name(void **state)
{
    (void)state;
    const pm_logit_bias twice[] = {{1, 1.0f}, {1, 2.0f}}, outside[] = {{1 << 30, 1.0f}};
    const uint32_t nothing[4096] = {0};
    const int32_t no_token = -5;
    refuse((pm_request_params){.n = 9}, "n is 9");
    refuse((pm_request_params){.sample.presence_penalty = 3.0f}, "presence_penalty");
    refuse((pm_request_params){.sample.frequency_penalty = -2.5f}, "frequency_penalty");
    refuse((pm_request_params){.sample.top_logprobs = 21}, "top_logprobs");
    refuse((pm_request_params){.sample = {.logit_bias = twice, .logit_bias_count = 2}}, "twice");
    refuse((pm_request_params){.sample = {.logit_bias = outside, .logit_bias_count = 1}}, "logit_bias 0");
    refuse((pm_request_params){.sample.token_mask = nothing}, "token_mask");
    refuse((pm_request_params){.stop = (const char *const[]){""}, .stop_count = 1}, "stop string 0");
    refuse((pm_request_params){.stop_tokens = &no_token, .stop_token_count = 1}, "-5");
    refuse((pm_request_params){.priority = 101}, "priority");
    refuse((pm_request_params){.draft_tokens = 8}, "draft_tokens");
}

/* More answers than the queue has room for would be told to come again for ever. */
static void answers_that_no_queue_holds_are_refused(void **state)
{
    (void)state;
    uint64_t id = 0;
    pm_engine *engine = open_demo((pm_engine_params){.max_seqs = 4, .max_queue = 2, .max_context_tokens = 256});
    pm_request_params p = {.prompt = "a", .prompt_len = 1, .max_tokens = 2, .n = 3};
    assert_int_equal(pm_request_submit(engine, &p, &id), PM_ERR_ARG);
    assert_non_null(strstr(pm_error_message(), "n is 3, expected at most the 2 answers"));
    p.n = 2;
    ok(pm_request_submit(engine, &p, &id));
    p.n = 1;
    assert_int_equal(pm_request_submit(engine, &p, &id), PM_ERR_FULL);
    pm_engine_destroy(engine);
}

/* After one of each kind, steps with all kinds allocate nothing. */
static void steps_allocate_nothing(void **state)
{
    (void)state;
    static answer a[8];
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < 7; i++)
            ask(shared, make_params(i), hello, &a[i]);
        pm_request_params p = {.max_tokens = 5, .echo = true, .sample = {.logprobs = true, .top_logprobs = 20}};
        ask(shared, p, hello, &a[7]);
        const uint64_t before = pm_alloc_count();
        run_all(shared, a, 8);
        assert_int_equal(pm_alloc_count() - before, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_four_at_once_answer_as_alone),
        cmocka_unit_test(what_is_built_late_answers_the_same),
        cmocka_unit_test(a_tenth_of_the_pool_changes_no_answer),
        cmocka_unit_test(pages_in_host_memory_change_no_answer),
        cmocka_unit_test(samples_survive_preemption),
        cmocka_unit_test_setup_teardown(samples_of_one_prompt_share_it_and_draw_apart, open_shared, NULL),
        cmocka_unit_test(a_stop_string_ends_the_text_before_it),
        cmocka_unit_test(stop_tokens_end_and_min_tokens_put_off_the_end),
        cmocka_unit_test(biases_and_masks_choose_the_tokens),
        cmocka_unit_test(guesses_change_the_pace_and_no_token),
        cmocka_unit_test(log_probabilities_are_those_of_the_logits),
        cmocka_unit_test(the_host_picks_what_the_device_would),
        cmocka_unit_test(a_shared_prefix_is_read_once_for_each_salt),
        cmocka_unit_test(evictions_are_counted),
        cmocka_unit_test(deadlines_and_cancels_end_all_answers_once),
        cmocka_unit_test(parameters_out_of_range_are_refused_by_name),
        cmocka_unit_test(answers_that_no_queue_holds_are_refused),
        cmocka_unit_test_setup_teardown(steps_allocate_nothing, NULL, close_shared),
    };
    return cmocka_run_group_tests_name("serving", tests, NULL, NULL);
}
