/* test_hf_logits.c - whole models against logits recorded from Hugging Face transformers.
 *
 * tests/data/hf/<name>/ holds a tiny random model, 96 tokens and the logits of all 96
 * positions (tests/oracle/hf_models.py made them, hf_quant.py the two with every tensor
 * type; PROVENANCE says with what). They are scored with f32 and f16 KV, both page
 * sizes, and prompt chunks of several lengths: 1 row at a time is the path of decoding,
 * 7 the kernels for few rows, 32 whole pages, 512 all at once. The two with every type in all these
 * ways, of the others each in every other way, in turn; PUMICE_TEST_FULL=1 has all.
 *
 * Bounds: NMSE over all positions below 1e-9 with f32 KV (float64 is 1e-12 from the
 * recorded float32), below 1e-6 with f16 KV (rounding K and V inside transformers costs
 * 1e-7 to 6e-7). They are those of f32 arithmetic: kernels that round x to f16 or to 8 bits
 * are masked off, unless PUMICE_CAPS says otherwise.
 */
#include "again.h"
#include "pumice.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 96, VOCAB_MAX = 1024 };

typedef struct recorded {
    char model[1024];
    int32_t tokens[TOKENS];
    float *logits;                 /* [TOKENS, vocab] owned */
    uint32_t vocab;
} recorded;

typedef struct score {
    const recorded *expected;
    uint32_t next;                 /* position that must come */
    double error, power;           /* sums of squares over all positions */
    double worst;                  /* NMSE of one position */
    uint32_t worst_position;
} score;

static size_t read_file(const char *name, const char *file, void *data, size_t bytes)
{
    const char *root = getenv("PUMICE_TEST_SOURCE");
    char path[1024];
    snprintf(path, sizeof(path), "%s/tests/data/hf/%s/%s", root != NULL ? root : ".", name, file);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("cannot open %s", path);
    const size_t got = fread(data, 1, bytes, f);
    fclose(f);
    return got;
}

static recorded read_recorded(const char *name)
{
    const char *root = getenv("PUMICE_TEST_SOURCE");
    recorded r = {.logits = malloc(sizeof(float) * TOKENS * VOCAB_MAX)};
    assert_non_null(r.logits);
    snprintf(r.model, sizeof(r.model), "%s/tests/data/hf/%s/model.gguf", root != NULL ? root : ".", name);
    assert_int_equal(read_file(name, "tokens.bin", r.tokens, sizeof(r.tokens)), sizeof(r.tokens));
    r.vocab = (uint32_t)(read_file(name, "logits.bin", r.logits, sizeof(float) * TOKENS * VOCAB_MAX) /
                         (sizeof(float) * TOKENS));
    return r;
}

static bool add_position(void *context, uint32_t position, const float *logits)
{
    score *s = context;
    const float *expected = s->expected->logits + (size_t)position * s->expected->vocab;
    double error = 0.0, power = 0.0;
    assert_int_equal(position, s->next++);
    for (uint32_t i = 0; i < s->expected->vocab; i++) {
        const double difference = (double)logits[i] - (double)expected[i];
        error += difference * difference;
        power += (double)expected[i] * (double)expected[i];
    }
    s->error += error;
    s->power += power;
    if (!(error / power <= s->worst)) {
        s->worst = error / power;
        s->worst_position = position;
    }
    return true;
}

/* NaN fails too. */
static void assert_near(const score *s, double bound, const char *what)
{
    const double nmse = s->error / s->power;
    printf("%s: NMSE %.2e, worst position %u with %.2e\n", what, nmse, s->worst_position, s->worst);
    if (!(nmse < bound))
        fail_msg("%s: NMSE %.3e, expected below %.0e", what, nmse, bound);
}

static void agrees(void **state)
{
    const char *name = *state;
    const struct { pm_kv_type kv; uint32_t page_tokens, batch_tokens; } runs[] = {
        {PM_KV_F32, 16, 512}, {PM_KV_F32, 32, 7}, {PM_KV_F32, 16, 32}, {PM_KV_F32, 16, 1},
        {PM_KV_F16, 16, 512}, {PM_KV_F16, 32, 7}, {PM_KV_F16, 32, 32}, {PM_KV_F16, 16, 1},
    };
    static size_t turn;
    const bool all = strstr(name, "quants") != NULL || getenv("PUMICE_TEST_FULL") != NULL;
    const size_t turns = is_again() ? 4 : all ? 1 : 2; /* most of a run is compiling */
    recorded expected = read_recorded(name);
    turn++;
    if (turns > 1)
        print_message("skipped: hf_logits %s: one run in %zu; PUMICE_TEST_FULL=1 has all (%zu cases)\n", name, turns,
                      sizeof(runs) / sizeof(runs[0]) / turns * (turns - 1));
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        if ((i + turn) % turns != 0)
            continue;
        const pm_engine_params params = {.model_path = expected.model, .max_seqs = 1, .max_context_tokens = 128,
                                         .max_batch_tokens = runs[i].batch_tokens,
                                         .page_tokens = runs[i].page_tokens, .kv_type = runs[i].kv,
                                         .warm_up = PM_WARM_UP_NOTHING};
        const double bound = runs[i].kv == PM_KV_F32 ? 1e-9 : 1e-6;
        char what[128];
        snprintf(what, sizeof(what), "%s, %s KV, pages of %u, batch of %u", name,
                 runs[i].kv == PM_KV_F32 ? "f32" : "f16", runs[i].page_tokens, runs[i].batch_tokens);
        pm_engine *engine = NULL;
        if (pm_engine_create(&params, &engine) != PM_OK)
            fail_msg("%s: %s", what, pm_error_message());
        pm_engine_info info;
        pm_engine_describe(engine, &info);
        assert_int_equal(info.vocab, expected.vocab);
        /* twice: the second finds used pages; and from the middle on */
        const uint32_t first[] = {0, 0, 37, TOKENS - 1};
        const size_t scores = runs[i].batch_tokens > 1 ? sizeof(first) / sizeof(first[0]) : 1;
        for (size_t f = 0; f < scores; f++) {
            score s = {.expected = &expected, .next = first[f]};
            if (pm_engine_score(engine, expected.tokens, TOKENS, first[f], add_position, &s) != PM_OK)
                fail_msg("%s, from %u: %s", what, first[f], pm_error_message());
            assert_int_equal(s.next, TOKENS);
            if (f == 0)
                assert_near(&s, bound, what);
            else /* few positions vary more than all */
                assert_true(s.error / s.power < 4.0 * bound);
        }
        pm_engine_destroy(engine);
    }
    free(expected.logits);
}

int main(void)
{
#define MODEL(name) {name, agrees, NULL, NULL, (void *)(uintptr_t)(name)}
    const struct CMUnitTest tests[] = {
        MODEL("llama-gqa"),     MODEL("llama-tied"),   MODEL("llama-rope3"),    MODEL("llama-linear"),
        MODEL("llama-headdim"), MODEL("llama-biases"), MODEL("mistral-window"), MODEL("qwen2"),
        MODEL("mixed-quants"),  MODEL("more-quants"),
    };
    (void)setenv("PUMICE_CAPS", "-int8dot,-coopmat", 0);
    return cmocka_run_group_tests_name("hf_logits", tests, NULL, NULL);
}
