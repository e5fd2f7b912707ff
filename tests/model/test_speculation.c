/* test_speculation.c - a draft model changes the pace and no token: whatever it guesses, in mixed
 * batches, tiny pools, with forks and cancels; by distribution, too, where a fault that accepts what
 * was guessed is seen. Drafts that do not fit are refused by name. On the demo model, deterministic.
 *
 * Drafts: the model itself, always right; quantised further, mostly right; with layers put where
 * others belong, seldom right. */
#include "answers.h"
#include "temporary.h"

#include "base/alloc.h"
#include "base/file.h"
#include "engine/engine_impl.h"

#include <math.h>
#include <unistd.h>

enum { N = 8, SEQS = 16 };

static char folder[2048], own_path[4096], other_path[4096], small_path[4096], shuffled_path[4096], renamed_path[4096],
    cut_path[4096];

/* ---------------------------------------------------------------- files */

static void write_file(const char *path, const char *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

/* Where the tensor's numbers lie in the file: its data are the file's end. */
static size_t find_tensor(const pm_model_file *file, const char *name, size_t *bytes)
{
    pm_model_summary summary;
    pm_model_tensor tensor, found = {0};
    uint64_t end = 0;
    pm_model_file_summary(file, &summary);
    for (size_t i = 0; i < summary.tensor_count; i++) {
        pm_model_file_tensor(file, i, &tensor);
        end = tensor.offset + tensor.bytes > end ? tensor.offset + tensor.bytes : end;
        if (strcmp(tensor.name, name) == 0)
            found = tensor;
    }
    *bytes = found.bytes;
    return (size_t)(summary.file_bytes - (end + 31) / 32 * 32 + found.offset);
}

/* The first layer's and the last layer's rows change places. */
static void shuffle(const pm_model_file *file, char *data)
{
    static const char *const names[] = {"blk.0.ffn_down.weight", "blk.2.ffn_down.weight", "blk.0.attn_output.weight",
                                        "blk.2.attn_output.weight"};
    for (int pair = 0; pair < 4; pair += 2) {
        size_t bytes, other_bytes;
        char *a = data + find_tensor(file, names[pair], &bytes);
        char *b = data + find_tensor(file, names[pair + 1], &other_bytes);
        assert_true(bytes > 0 && bytes == other_bytes);
        for (size_t i = 0; i < bytes; i++) {
            const char kept = a[i];
            a[i] = b[i];
            b[i] = kept;
        }
    }
}

static int make_files(void)
{
    const char *source = getenv("PUMICE_TEST_SOURCE");
    char *data;
    size_t bytes;
    pm_model_file *file;
    temporary_template(folder, sizeof(folder), "speculation");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(own_path, sizeof(own_path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", source != NULL ? source : ".");
    snprintf(other_path, sizeof(other_path), "%s/tests/data/hf/llama-gqa/model.gguf", source != NULL ? source : ".");
    snprintf(small_path, sizeof(small_path), "%s/small.gguf", folder);
    snprintf(shuffled_path, sizeof(shuffled_path), "%s/shuffled.gguf", folder);
    snprintf(renamed_path, sizeof(renamed_path), "%s/renamed.gguf", folder);
    snprintf(cut_path, sizeof(cut_path), "%s/cut.gguf", folder);
    const pm_quantize_params params = {.in_path = own_path, .out_path = small_path, .type = "Q4_0", .requantize = true};
    ok(pm_quantize(&params, NULL));
    ok(pm_model_file_open(own_path, &file));
    ok(pm_file_read(own_path, &data, &bytes));
    write_file(cut_path, data, bytes / 2);
    shuffle(file, data);
    write_file(shuffled_path, data, bytes);
    shuffle(file, data);           /* back */
    char *word = NULL;
    for (size_t i = 0; i + 8 < bytes && word == NULL; i++)
        word = memcmp(data + i, "princess", 8) == 0 ? data + i : NULL;
    assert_non_null(word);
    memcpy(word, "countess", 8);
    write_file(renamed_path, data, bytes);
    pm_free(data);
    pm_model_file_close(file);
    return 0;
}

static int remove_files(void)
{
    unlink(small_path);
    unlink(shuffled_path);
    unlink(renamed_path);
    unlink(cut_path);
    return rmdir(folder);
}

/* --------------------------------------------------------------- faults */

static bool accept_all;            /* what was guessed counts as what the model picked */
static uint32_t spoil;             /* every so many guesses one is another token; 0 = none */

static pm_engine *watched;          /* whose draft model's turns are watched; NULL = nobody's */
static uint64_t landed, quiet_step; /* the last step; the one that goes with prompts that the draft model reads */
static uint32_t quiet, contested;   /* of those steps, that have landed; that had prompts which waited */

static void watch(const pm_batch *batch)
{
    uint32_t decode = 0, read = 0;
    if (batch->step == 0) {        /* of the draft model: its prompts are in the pass before the step is picked */
        if (batch->rows_per_seq_max > PM_DRAFT_TOKENS_MAX + 1) {
            quiet_step = landed + 1 + (watched->flight.batch != NULL);
            contested += pm_sched_has_prompts(watched->sched);
        }
        return;
    }
    landed = batch->step;
    for (uint32_t q = 0; q < batch->seqs; q++) {
        const bool reads = !batch->picks[q] || batch->row_start[q + 1] - batch->row_start[q] > 1 + batch->drafts[q];
        *(reads ? &read : &decode) += 1;
    }
    if (landed == quiet_step) {
        assert_true(read == 0 || decode == 0);
        quiet++;
    }
}

void __real_pm_sampling_pick(pm_sampling *s, const pm_flight *flight, int32_t *picked);
void __wrap_pm_sampling_pick(pm_sampling *s, const pm_flight *flight, int32_t *picked);

void __wrap_pm_sampling_pick(pm_sampling *s, const pm_flight *flight, int32_t *picked)
{
    static uint32_t passes;
    const pm_batch *batch = flight->batch;
    __real_pm_sampling_pick(s, flight, picked);
    if (watched != NULL)
        watch(batch);
    if (spoil > 0 && batch->tables[0] == &pm_request_of(batch->sequences[0])->draft_table && ++passes % spoil == 0)
        for (uint32_t out = 0; out < batch->outs; out++)
            picked[out] = (picked[out] + 1) % 1000;
    for (uint32_t q = 0; accept_all && q < batch->seqs; q++)
        for (uint32_t i = 0; i < batch->drafts[q]; i++)
            picked[batch->out_start[q + 1] - batch->drafts[q] - 1 + i] =
                (int32_t)batch->tokens[batch->row_start[q + 1] - batch->drafts[q] + i];
}

/* -------------------------------------------------------------- answers */

static const char *const prompts[N] = {
    "Once upon a time", "<|im_start|>user\nTell me a story about a cat.<|im_end|>\n<|im_start|>assistant\n",
    "one two three four one two three four one two", "The king and the princess lived in a castle, and one day",
    "Once upon a time there was a little dog", "<|im_start|>user\nWhat is 2 plus 3?<|im_end|>\n<|im_start|>assistant\n",
    "The sun", "Once upon a time there was a little dog that had a hat. One day"};

static uint32_t longer;            /* tokens more of each answer */

/* Every kind of request; the same without speculation when `plain`. */
static pm_request_params params_of(uint32_t i, bool plain)
{
    static const pm_speculation kinds[] = {PM_SPECULATE_DRAFT, PM_SPECULATE_DRAFT, PM_SPECULATE_LOOKUP,
                                           PM_SPECULATE_NONE};
    pm_request_params p = {.max_tokens = 12 + 2 * i + longer, .ignore_end = i % 2 == 0, .sample = {.seed = 70 + i}};
    if (i >= N / 2) {
        p.sample.temperature = 0.9f;
        p.sample.top_k = i == 5 ? 20 : 0;
        p.sample.repeat_penalty = i == 4 ? 1.2f : 0.0f;
    }
    p.speculate = plain ? PM_SPECULATE_NONE : kinds[i % 4];
    p.draft_tokens = 1 + i % 7;
    return p;
}

static pm_engine *open_with(const char *draft_path, uint32_t seqs, uint32_t pages, uint32_t slots)
{
    static uint64_t page_bytes;
    pm_engine_params p = {.draft_path = draft_path, .max_seqs = seqs, .max_context_tokens = 128,
                          .max_batch_tokens = 4 * seqs > 64 ? 4 * seqs : 64,
                          .deterministic = true, .kv_bytes = page_bytes * pages, .swap_bytes = page_bytes * slots};
    pm_engine_info info;
    pm_engine *engine = open_demo(p);
    pm_engine_describe(engine, &info);
    page_bytes = info.page_bytes;
    engine->pace.step_us = engine->pace.times = 1e12; /* what is guessed does not depend on how fast the machine is */
    return engine;
}

/* SwiftShader takes minutes for all: the kernels that pick are held to one definition elsewhere. */
static bool is_slow(void)
{
    static pm_device_info info;
    size_t count = 0;
    ok(pm_devices_list(&info, 1, &count));
    return strstr(info.name, "SwiftShader") != NULL;
}

static pm_engine *plain_engine, *small, *shuffled; /* without a draft model, with it */
static answer expected[N], got[N];

static void answer_alone(void)
{
    for (uint32_t i = 0; i < N; i++)
        ask_alone(plain_engine, params_of(i, true), prompts[i], &expected[i]);
}

static int setup(void **state)
{
    (void)state;
    if (make_files() != 0)
        return -1;
    plain_engine = open_with(NULL, 1, 0, 0);
    small = open_with(small_path, is_slow() ? 6 : SEQS, 0, 0);
    shuffled = is_slow() ? NULL : open_with(shuffled_path, SEQS, 0, 0);
    answer_alone();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pm_engine_destroy(shuffled);
    pm_engine_destroy(small);
    pm_engine_destroy(plain_engine);
    return remove_files();
}

static pm_engine_stats stats_of(pm_engine *engine)
{
    pm_engine_stats stats;
    pm_engine_statistics(engine, &stats);
    return stats;
}

/* All at once; the second time prompts are found in either cache. */
static pm_engine_stats answer_as_alone(pm_engine *engine, int passes)
{
    const pm_engine_stats before = stats_of(engine);
    for (int pass = 0; pass < passes; pass++) {
        for (uint32_t i = 0; i < N; i++)
            ask(engine, params_of(i, false), prompts[i], &got[i]);
        run_all(engine, got, N);
        for (uint32_t i = 0; i < N; i++)
            same_answer(&got[i], &expected[i]);
    }
    pm_engine_stats stats = stats_of(engine);
    stats.accepted_tokens -= before.accepted_tokens;
    stats.drafted_tokens -= before.drafted_tokens;
    stats.draft_steps -= before.draft_steps;
    printf("%llu of %llu guesses right, %llu passes, %u preemptions\n", (unsigned long long)stats.accepted_tokens,
           (unsigned long long)stats.drafted_tokens, (unsigned long long)stats.draft_steps, stats.preemptions);
    assert_int_equal(stats.pages_used, 0);
    assert_int_equal(stats.draft_pages_used, 0);
    return stats;
}

static void a_mixed_batch_answers_as_without_drafts(void **state)
{
    (void)state;
    const pm_engine_stats stats = answer_as_alone(small, 2);
    assert_true(stats.accepted_tokens > stats.drafted_tokens / 4);
    assert_true(stats.draft_steps < stats.drafted_tokens); /* passes are shared */
}

/* Of one sequence nothing is cut: each guess of the model itself is right, and as many tokens come of a
 * step as were guessed and one more. */
static void the_model_itself_is_always_right(void **state)
{
    (void)state;
    pm_engine *engine = open_with(own_path, 1, 0, 0);
    ask_alone(engine, (pm_request_params){.max_tokens = 9, .ignore_end = true}, prompts[0], &got[0]);
    for (uint32_t i = 0; i < N; i += 4) { /* greedy; by chance, with penalties */
        pm_request_params p = params_of(i, false);
        p.draft_tokens = 4;
        const pm_engine_stats before = stats_of(engine);
        ask_alone(engine, p, prompts[i], &got[i]);
        const pm_engine_stats after = stats_of(engine);
        same_answer(&got[i], &expected[i]);
        printf("%llu guesses, %llu steps for %u tokens\n",
               (unsigned long long)(after.drafted_tokens - before.drafted_tokens),
               (unsigned long long)(after.steps - before.steps), p.max_tokens);
        assert_true(after.drafted_tokens > before.drafted_tokens);
        assert_int_equal(after.accepted_tokens - before.accepted_tokens, after.drafted_tokens - before.drafted_tokens);
        assert_true(after.steps - before.steps <= 2 + (p.max_tokens + 4) / 5);
    }
    pm_engine_destroy(engine);
}

/* KV of guesses that were wrong counts no longer: the model itself, whose guesses were spoiled for a while
 * at any place among those of a step, is always right again. */
static void what_was_wrong_is_rolled_back(void **state)
{
    (void)state;
    pm_event events[64];
    pm_engine *engine = open_with(own_path, 1, 0, 0);
    for (spoil = 2; spoil <= 5; spoil++) {
        const pm_request_params p = {.max_tokens = 40, .ignore_end = true, .speculate = PM_SPECULATE_DRAFT,
                                     .draft_tokens = 4};
        pm_engine_stats before = {0};
        ask(engine, p, prompts[3], &got[0]);
        const uint32_t every = spoil;
        while (pm_engine_busy(engine)) {
            size_t n = 0;
            ok(pm_engine_step(engine, events, 64, &n));
            for (size_t i = 0; i < n; i++)
                take_event(&events[i], got, 1);
            if (spoil > 0 && got[0].count >= 20) { /* the guesses at hand have been told of */
                before = stats_of(engine);
                assert_true(before.accepted_tokens < before.drafted_tokens);
                spoil = 0;
            }
        }
        const pm_engine_stats after = stats_of(engine);
        spoil = every;
        printf("one of %u spoiled: then %llu of %llu right\n", every,
               (unsigned long long)(after.accepted_tokens - before.accepted_tokens),
               (unsigned long long)(after.drafted_tokens - before.drafted_tokens));
        assert_true(after.drafted_tokens - before.drafted_tokens >= 8);
        assert_int_equal(after.accepted_tokens - before.accepted_tokens, after.drafted_tokens - before.drafted_tokens);
    }
    spoil = 0;
    pm_engine_destroy(engine);
}

static void a_draft_that_is_wrong_costs_no_token(void **state)
{
    (void)state;
    const pm_engine_stats stats = answer_as_alone(shuffled, 1);
    assert_true(stats.drafted_tokens > 0 && stats.accepted_tokens < stats.drafted_tokens / 2);
}

/* A context is 8 pages, and so is the pool: two answers at once do not fit. */
static void preemptions_leave_drafts_in_step(void **state)
{
    (void)state;
    longer = 56;
    answer_alone();
    for (uint32_t slots = 0; slots <= 8; slots += 8) {
        pm_engine *engine = open_with(small_path, 6, 8, slots);
        const pm_engine_stats stats = answer_as_alone(engine, 1);
        assert_true(stats.preemptions > 0 && stats.accepted_tokens > 0);
        assert_true((stats.swapped_pages > 0) == (slots > 0));
        pm_engine_destroy(engine);
    }
    longer = 0;
    answer_alone();
}

static void forks_find_what_the_first_has_read(void **state)
{
    (void)state;
    static answer plain[4], forks[4];
    pm_request_params p = {.max_tokens = 12, .ignore_end = true, .n = 4, .sample = {.temperature = 0.8f, .seed = 3}};
    ask_alone(small, p, prompts[3], plain);
    p.speculate = PM_SPECULATE_DRAFT;
    const uint32_t cached = pm_kv_pages_named_count(small->draft.pages);
    const pm_engine_stats before = stats_of(small);
    ask_alone(small, p, prompts[3], forks);
    for (uint32_t i = 0; i < 4; i++)
        same_answer(&forks[i], &plain[i]);
    const pm_engine_stats stats = stats_of(small);
    assert_true(stats.accepted_tokens > before.accepted_tokens);
    assert_int_equal(stats.draft_pages_used, 0);
    assert_true(pm_kv_pages_named_count(small->draft.pages) > cached);
}

static void a_cancel_gives_the_pages_back(void **state)
{
    (void)state;
    pm_engine *engine = small;
    pm_event events[64];
    for (uint32_t i = 0; i < N; i++)
        ask(engine, params_of(i, false), prompts[i], &got[i]);
    for (uint32_t step = 0; pm_engine_busy(engine); step++) {
        size_t n = 0;
        if (step == 6) {
            assert_true(stats_of(engine).draft_pages_used > 0);
            for (uint32_t i = 0; i < N; i++)
                if (i != 1 && i != 4)
                    pm_request_cancel(engine, got[i].id);
        }
        ok(pm_engine_step(engine, events, 64, &n));
        for (size_t i = 0; i < n; i++)
            take_event(&events[i], got, N);
    }
    same_answer(&got[1], &expected[1]);
    same_answer(&got[4], &expected[4]);
    assert_int_equal(got[0].finish, PM_FINISH_CANCELLED);
    assert_memory_equal(got[0].tokens, expected[0].tokens, got[0].count * sizeof(got[0].tokens[0]));
    assert_int_equal(stats_of(engine).draft_pages_used, 0);
    assert_int_equal(stats_of(engine).pages_used, 0);
}

/* Requests come while others decode and have their prompts read by the draft model: no step has prompts of both, and
 * both come to their ends. */
static void prompts_of_both_models_take_turns(void **state)
{
    (void)state;
    pm_event events[64];
    uint32_t asked = 0;
    watched = small;
    quiet_step = quiet = contested = 0;
    const pm_engine_stats before = stats_of(small);
    landed = before.steps;
    for (uint32_t step = 0; asked < N || pm_engine_busy(small); step++) {
        size_t n = 0;
        if (step % 3 == 0 && asked < N) {
            ask(small, (pm_request_params){.max_tokens = 24, .ignore_end = true, .speculate = PM_SPECULATE_DRAFT,
                                           .no_prefix_cache = true}, prompts[3 + asked % 2 * 4], &got[asked]);
            asked++;
        }
        ok(pm_engine_step(small, events, 64, &n));
        for (size_t i = 0; i < n; i++)
            take_event(&events[i], got, asked);
    }
    watched = NULL;
    for (uint32_t i = 2; i < N; i++)
        same_answer(&got[i], &got[i - 2]);
    printf("%u steps beside prompts of the draft model, %u of them with prompts that waited\n", quiet, contested);
    assert_true(quiet > 0 && contested > 0);
    assert_true(stats_of(small).accepted_tokens > before.accepted_tokens);
}

/* Whatever is guessed: reading prompts for it, right and wrong guesses, pages that it finds again. */
static void steps_with_drafts_allocate_nothing(void **state)
{
    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < N; i++)
            ask(small, params_of(i, false), prompts[i], &got[i]);
        const uint64_t before = pm_alloc_count();
        run_all(small, got, N);
        assert_int_equal(pm_alloc_count() - before, 0);
    }
}

/* --------------------------------------------------------- distribution */

enum { ANSWERS = SEQS, TOKENS = 4, VOCAB = 1792 };
/* How often each token came as the second, third and fourth. */
static void count_tokens(pm_engine *engine, pm_speculation speculate, uint64_t seed, uint32_t rounds,
                         uint32_t counts[TOKENS - 1][VOCAB])
{
    static answer answers[ANSWERS];
    memset(counts, 0, (TOKENS - 1) * sizeof(counts[0]));
    for (uint32_t round = 0; round < rounds; round++) {
        pm_request_params p = {.max_tokens = TOKENS, .ignore_end = true, .n = ANSWERS, .speculate = speculate,
                               .draft_tokens = TOKENS - 2, .sample = {.temperature = 1.2f}};
        p.sample.seed = seed + round * ANSWERS;
        ask_alone(engine, p, prompts[6], answers);
        for (uint32_t i = 0; i < ANSWERS; i++)
            for (uint32_t t = 1; t < TOKENS; t++)
                counts[t - 1][answers[i].tokens[t]]++;
    }
}

/* Two samples of as many: Pearson's statistic over the tokens that came 10 times or more, and the rest,
 * as deviations from its mean by E. Wilson and M. Hilferty's cube root, 1931. */
static double distance(const uint32_t *a, const uint32_t *b)
{
    double sum = 0.0, freedom = -1.0, rest_a = 0.0, rest_b = 0.0;
    for (uint32_t t = 0; t < VOCAB; t++) {
        const double x = a[t], y = b[t];
        if (x + y >= 10) {
            sum += (x - y) * (x - y) / (x + y);
            freedom += 1.0;
        } else {
            rest_a += x;
            rest_b += y;
        }
    }
    if (rest_a + rest_b >= 10) {
        sum += (rest_a - rest_b) * (rest_a - rest_b) / (rest_a + rest_b);
        freedom += 1.0;
    }
    assert_true(freedom >= 3.0);
    const double deviations = (cbrt(sum / freedom) - (1.0 - 2.0 / (9.0 * freedom))) / sqrt(2.0 / (9.0 * freedom));
    printf("chi-square %.1f for %.0f degrees of freedom: %.1f deviations\n", sum, freedom, deviations);
    return deviations;
}

static void samples_have_the_distribution_that_they_have_without(void **state)
{
    (void)state;
    static uint32_t plain[TOKENS - 1][VOCAB], guessed[TOKENS - 1][VOCAB], wrong[TOKENS - 1][VOCAB];
    const uint32_t rounds = 8;
    for (int d = 0; d < 2; d++) {
        pm_engine *engine = d == 0 ? small : shuffled;
        const pm_engine_stats before = stats_of(engine);
        if (d == 0)
            count_tokens(engine, PM_SPECULATE_NONE, 1, rounds, plain);
        count_tokens(engine, PM_SPECULATE_DRAFT, 100001, rounds, guessed);
        const pm_engine_stats stats = stats_of(engine);
        printf("%llu of %llu guesses right\n", (unsigned long long)(stats.accepted_tokens - before.accepted_tokens),
               (unsigned long long)(stats.drafted_tokens - before.drafted_tokens));
        assert_true(stats.drafted_tokens > before.drafted_tokens);
        assert_true(d == 1 || stats.accepted_tokens > before.accepted_tokens);
        for (uint32_t t = 0; t < TOKENS - 1; t++)
            assert_true(distance(plain[t], guessed[t]) < 4.0);
        if (d == 1) {
            accept_all = true;
            count_tokens(engine, PM_SPECULATE_DRAFT, 100001, rounds, wrong);
            accept_all = false;
            assert_true(distance(plain[0], wrong[0]) > 6.0);
        }
    }
}

/* -------------------------------------------------------------- refusals */

/* Creation fails with this result, and the message has all of the words. */
static void refuse(const char *draft_path, pm_result result, const char *const words[4])
{
    pm_engine *engine = NULL;
    const pm_engine_params p = {.model_path = own_path, .draft_path = draft_path};
    assert_int_equal(pm_engine_create(&p, &engine), result);
    assert_null(engine);
    printf("%s\n", pm_error_message());
    for (int i = 0; i < 4 && words[i] != NULL; i++)
        if (strstr(pm_error_message(), words[i]) == NULL)
            fail_msg("'%s' lacks '%s'", pm_error_message(), words[i]);
}

static void drafts_that_do_not_fit_are_refused_by_name(void **state)
{
    (void)state;
    refuse("/nowhere/draft.gguf", PM_ERR_IO, (const char *const[4]){"/nowhere/draft.gguf"});
    refuse(cut_path, PM_ERR_FORMAT, (const char *const[4]){cut_path});
    refuse(other_path, PM_ERR_ARG, (const char *const[4]){other_path, own_path, "160 tokens", "1792"});
    refuse(renamed_path, PM_ERR_ARG, (const char *const[4]){renamed_path, own_path, "countess", "princess"});
}

static void requests_that_cannot_draft_are_refused(void **state)
{
    (void)state;
    uint64_t id;
    pm_request_params p = {.prompt = "a", .prompt_len = 1, .speculate = PM_SPECULATE_DRAFT};
    assert_int_equal(pm_request_submit(plain_engine, &p, &id), PM_ERR_ARG);
    assert_non_null(strstr(pm_error_message(), "draft_path"));
    p.draft_tokens = PM_DRAFT_TOKENS_MAX + 1;
    assert_int_equal(pm_request_submit(small, &p, &id), PM_ERR_ARG);
    assert_non_null(strstr(pm_error_message(), "draft_tokens"));
    p.draft_tokens = 0;
    p.speculate = (pm_speculation)(PM_SPECULATE_DRAFT + 1);
    assert_int_equal(pm_request_submit(small, &p, &id), PM_ERR_ARG);
    assert_non_null(strstr(pm_error_message(), "speculate"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drafts_that_do_not_fit_are_refused_by_name),
        cmocka_unit_test(requests_that_cannot_draft_are_refused),
        cmocka_unit_test(a_mixed_batch_answers_as_without_drafts),
        cmocka_unit_test(the_model_itself_is_always_right),
        cmocka_unit_test(what_was_wrong_is_rolled_back),
        cmocka_unit_test(a_draft_that_is_wrong_costs_no_token),
        cmocka_unit_test(preemptions_leave_drafts_in_step),
        cmocka_unit_test(forks_find_what_the_first_has_read),
        cmocka_unit_test(a_cancel_gives_the_pages_back),
        cmocka_unit_test(steps_with_drafts_allocate_nothing),
        cmocka_unit_test(samples_have_the_distribution_that_they_have_without),
        cmocka_unit_test(prompts_of_both_models_take_turns),
    };
    const struct CMUnitTest few[] = {tests[0], tests[1], tests[2], tests[4], tests[9]};
    return is_slow() ? cmocka_run_group_tests_name("speculation, the short form", few, setup, teardown)
                     : cmocka_run_group_tests_name("speculation", tests, setup, teardown);
}
