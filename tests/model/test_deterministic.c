/* test_deterministic.c - with pm_engine_params.deterministic a sequence's logits are the same to
 * the bit alone and in a batch of 16, in any slot, chunking, and attention variant. With and without it,
 * passes that are run again give the bits that passes recorded anew give.
 *
 * A small model (tests/data/hf) scores 290 tokens, past one run of attention's sums, in chunks of
 * 512, 1, 7 and 64; then with 15 others around it that read prompts and decode, itself reading its
 * prompt in chunks or fed its tokens one by one. It runs the scheduler as engine/score.c does. */
#include "pumice.h"

#include "base/hash.h"
#include "engine/engine_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 290, OTHERS = 15, OTHER_TOKENS = 48 };

/* Two models on pages of several types; the second has weights of every type. */
static const struct { const char *name; pm_kv_type kv; } models[] = {
    {"llama-rope3", PM_KV_F16}, {"llama-rope3", PM_KV_Q8_0}, {"llama-rope3", PM_KV_Q4_0}, {"mixed-quants", PM_KV_F32}};

static uint64_t seed = 20261125;

static pm_engine *open_engine(size_t model, uint32_t batch_tokens, const char *variant, bool deterministic)
{
    const char *root = getenv("PUMICE_TEST_SOURCE");
    char path[4096];
    snprintf(path, sizeof(path), "%s/tests/data/hf/%s/model.gguf", root != NULL ? root : ".", models[model].name);
    const pm_engine_params params = {.model_path = path, .max_context_tokens = 512, .max_seqs = batch_tokens < 16 ? 1 : 16,
                                     .max_batch_tokens = batch_tokens, .kv_type = models[model].kv,
                                     .deterministic = deterministic, .kv_bytes = UINT64_C(16) << 20};
    pm_engine *engine = NULL;
    if (variant != NULL)
        setenv("PUMICE_VARIANT", variant, 1);
    else
        unsetenv("PUMICE_VARIANT");
    if (pm_engine_create(&params, &engine) != PM_OK)
        fail_msg("%s", pm_error_message());
    return engine;
}

static int32_t token_of(const pm_engine *engine, uint32_t sequence, uint32_t i)
{
    return (int32_t)(pm_mix64(seed ^ ((uint64_t)sequence << 32 | i)) % engine->model.hparams.vocab);
}

static void make_sequence(const pm_engine *engine, pm_sequence *s, uint32_t id, uint32_t count, uint32_t capacity)
{
    assert_int_equal(pm_sequence_init(s, capacity, engine->model.kv.layout.page_tokens), PM_OK);
    s->token_count = count;
    s->logits_from = id == 0 ? 0 : PM_LOGITS_LAST;
    s->no_cache = true;
    for (uint32_t i = 0; i < count; i++)
        s->tokens[i] = token_of(engine, id, i);
}

/* Logits of all positions of sequence 0, owned: with `others` sequences before and behind it, and
 * from position `fed` on with its tokens coming one by one. */
static float *score(pm_engine *engine, uint32_t others, uint32_t fed, uint32_t *rows_most)
{
    pm_sequence sequences[1 + OTHERS];
    const uint32_t vocab = engine->model.hparams.vocab, place = others / 2;
    float *logits = malloc((size_t)TOKENS * vocab * sizeof(*logits));
    uint32_t seen = 0;
    assert_non_null(logits);
    for (uint32_t i = 0; i <= others; i++) {
        pm_sequence *s = &sequences[i];
        if (i == place)
            make_sequence(engine, s, 0, fed, TOKENS);
        else
            make_sequence(engine, s, 1 + i, 1 + i * 7 % 31, OTHER_TOKENS);
        pm_sched_add(engine->sched, s);
    }
    pm_sequence *target = &sequences[place];
    for (*rows_most = 0; seen < TOKENS;) {
        const pm_batch *batch = pm_sched_pick(engine->sched);
        assert_true(batch->rows > 0);
        *rows_most = batch->rows > *rows_most ? batch->rows : *rows_most;
        pm_run *run = NULL;
        if (pm_plans_submit(engine->model.plans, batch, NULL, true, &run) != PM_OK || pm_run_wait(run) != PM_OK)
            fail_msg("%s", pm_error_message());
        pm_sched_commit(engine->sched, batch);
        for (uint32_t out = 0; out < batch->outs; out++) {
            if (batch->sequences[batch->out_seq[out]] != target)
                continue;
            assert_int_equal(batch->positions[batch->out_rows[out]], seen);
            memcpy(logits + (size_t)seen++ * vocab, pm_run_logits(run, out), vocab * sizeof(*logits));
        }
        for (uint32_t i = 0; i <= others; i++) /* who is done with its tokens gets the next */
            if (sequences[i].computed == sequences[i].token_count && sequences[i].token_count < sequences[i].token_capacity)
                pm_sequence_append(&sequences[i], token_of(engine, i == place ? 0 : 1 + i, sequences[i].token_count));
    }
    for (uint32_t i = 0; i <= others; i++) {
        pm_sched_remove(engine->sched, &sequences[i]);
        pm_sequence_finish(&sequences[i]);
    }
    return logits;
}

static void logits_do_not_depend_on_the_batch(void **state)
{
    const size_t model = (size_t)(uintptr_t)*state;
    static const struct { uint32_t batch_tokens, others, fed; const char *variant; } runs[] = {
        {512, 0, TOKENS, NULL}, /* what the others must give */
        {1, 0, TOKENS, NULL},   {7, 0, TOKENS, NULL},    {64, 0, TOKENS, NULL},
        {64, OTHERS, TOKENS, NULL}, {512, OTHERS, 250, NULL},
        {512, 0, TOKENS, "attention:decode"}, /* whose order may be another than that of what is chosen */
        {512, OTHERS, 250, "attention:split"}, {64, OTHERS, TOKENS, "attention:decode"},
    };
    float *wants[2] = {NULL, NULL}; /* of what is chosen, and of what is forced */
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        uint32_t rows_most;
        pm_engine *engine = open_engine(model, runs[i].batch_tokens, runs[i].variant, true);
        const uint32_t vocab = engine->model.hparams.vocab;
        float *got = score(engine, runs[i].others, runs[i].fed, &rows_most);
        pm_engine_destroy(engine);
        float **first = &wants[runs[i].variant != NULL], *want = *first;
        for (size_t at = 0; want != NULL && at < (size_t)TOKENS * vocab; at++)
            if (memcmp(&got[at], &want[at], sizeof(*got)) != 0)
                fail_msg("steps of %u tokens, %u others, fed from %u on, %s: logit %zu of position %zu is %.9g, alone %.9g",
                         runs[i].batch_tokens, runs[i].others, runs[i].fed, runs[i].variant != NULL ? runs[i].variant : "-",
                         at % vocab, at / vocab, (double)got[at], (double)want[at]);
        printf("steps of %u tokens, %u others, fed from %u on, %s: %u rows at most, the same\n", runs[i].batch_tokens,
               runs[i].others, runs[i].fed, runs[i].variant != NULL ? runs[i].variant : "-", rows_most);
        if (want == NULL)
            *first = got;
        else
            free(got);
    }
    free(wants[0]);
    free(wants[1]);
    unsetenv("PUMICE_VARIANT");
}

/* The same load twice in one engine, whose passes and pages the second finds as the first left them, and once in
 * another. */
static void a_replayed_pass_gives_the_bits_of_a_fresh_one(void **state)
{
    (void)state;
    for (int deterministic = 0; deterministic < 2; deterministic++) {
        float *first = NULL;
        pm_engine *engine = open_engine(0, 64, NULL, deterministic);
        const uint32_t vocab = engine->model.hparams.vocab;
        for (int run = 0; run < 3; run++) {
            uint32_t rows_most;
            if (run == 2) {
                pm_engine_destroy(engine);
                engine = open_engine(0, 64, NULL, deterministic);
            }
            float *got = score(engine, 3, 270, &rows_most);
            for (size_t at = 0; run > 0 && at < (size_t)TOKENS * vocab; at++)
                if (memcmp(&got[at], &first[at], sizeof(*got)) != 0)
                    fail_msg("%s%s: logit %zu of position %zu is %.9g, the first time %.9g", run == 1 ? "again" : "recorded anew",
                             deterministic ? ", deterministic" : "", at % vocab, at / vocab, (double)got[at], (double)first[at]);
            if (run == 0)
                first = got;
            else
                free(got);
        }
        pm_engine_destroy(engine);
        free(first);
    }
}

int main(void)
{
    const char *text = getenv("PUMICE_TEST_SEED");
    seed = text != NULL ? strtoull(text, NULL, 0) : seed;
    printf("seed %llu\n", (unsigned long long)seed);
#define MODEL(name, index) {name, logits_do_not_depend_on_the_batch, NULL, NULL, (void *)(uintptr_t)(index)}
    const struct CMUnitTest tests[] = {MODEL("heads of 32, f16 pages", 0), MODEL("heads of 32, q8_0 pages", 1),
                                       MODEL("heads of 32, q4_0 pages", 2), MODEL("every weight type, f32 pages", 3),
                                       cmocka_unit_test(a_replayed_pass_gives_the_bits_of_a_fresh_one)};
    return cmocka_run_group_tests_name("deterministic", tests, NULL, NULL);
}
