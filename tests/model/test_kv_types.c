/* test_kv_types.c - whole models on KV pages of each type, against the same model on f32 pages.
 *
 * Models with heads of 32 and 64: two recorded ones with random weights (tests/data/hf) and the
 * demo model. NMSE of the logits over all positions; the bounds are four times the worst of the
 * three models as measured on lavapipe and SwiftShader: f16 3.9e-7, q8_0 2.1e-4, q4_0 6.3e-2. */
#include "pumice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 96 };

static const struct { pm_kv_type type; const char *name; double bytes, bound; } types[] = {
    {PM_KV_F32, "f32", 4.0, 0.0},
    {PM_KV_F16, "f16", 2.0, 1.5e-6},
    {PM_KV_Q8_0, "q8_0", 34.0 / 32.0, 8e-4},
    {PM_KV_Q4_0, "q4_0", 18.0 / 32.0, 2.5e-1},
};
#define TYPES (sizeof(types) / sizeof(types[0]))

static char path[4096];

static const char *path_of(const char *file)
{
    const char *root = getenv("PUMICE_TEST_SOURCE");
    snprintf(path, sizeof(path), "%s/%s", root != NULL ? root : ".", file);
    return path;
}

static pm_engine *open_engine(const char *file, pm_kv_type type)
{
    const pm_engine_params params = {.model_path = path_of(file), .max_seqs = 1, .max_context_tokens = 128,
                                     .max_batch_tokens = 32, .kv_type = type, .warm_up = PM_WARM_UP_NOTHING};
    pm_engine *engine = NULL;
    if (pm_engine_create(&params, &engine) != PM_OK)
        fail_msg("%s: %s", path, pm_error_message());
    return engine;
}

typedef struct logits {
    float *values;                 /* [TOKENS, vocab] owned */
    uint32_t vocab;
} logits;

static bool keep(void *context, uint32_t position, const float *row)
{
    logits *l = context;
    memcpy(l->values + (size_t)position * l->vocab, row, l->vocab * sizeof(*row));
    return true;
}

/* Logits of TOKENS tokens, in chunks of 32. */
static logits score(pm_engine *engine, uint32_t vocab)
{
    logits l = {.values = malloc((size_t)TOKENS * vocab * sizeof(float)), .vocab = vocab};
    int32_t tokens[TOKENS];
    assert_non_null(l.values);
    for (uint32_t i = 0; i < TOKENS; i++)
        tokens[i] = (int32_t)((i * 2654435761u >> 8) % vocab);
    if (pm_engine_score(engine, tokens, TOKENS, 0, keep, &l) != PM_OK)
        fail_msg("%s", pm_error_message());
    return l;
}

static void near_the_logits_on_f32_pages(void **state)
{
    const char *file = *state;
    logits want = {0};
    uint64_t f32_bytes = 0;
    for (size_t i = 0; i < TYPES; i++) {
        pm_engine_info info;
        pm_engine *engine = open_engine(file, types[i].type);
        pm_engine_describe(engine, &info);
        f32_bytes = i == 0 ? info.page_bytes : f32_bytes;
        assert_true((double)info.page_bytes == (double)f32_bytes * types[i].bytes / 4.0);
        const logits got = score(engine, info.vocab);
        pm_engine_destroy(engine);
        double error = 0.0, power = 0.0;
        for (size_t j = 0; i > 0 && j < (size_t)TOKENS * info.vocab; j++) {
            const double difference = (double)got.values[j] - (double)want.values[j];
            error += difference * difference;
            power += (double)want.values[j] * (double)want.values[j];
        }
        if (i == 0) {
            want = got;
            continue;
        }
        printf("%s, %s: NMSE %.2e, %llu bytes a page\n", file, types[i].name, error / power,
               (unsigned long long)info.page_bytes);
        if (!(error / power < types[i].bound))
            fail_msg("%s, %s pages: NMSE %.3e of the logits, expected below %.0e", file, types[i].name, error / power,
                     types[i].bound);
        assert_true(error > 0.0); /* the type is in use */
        free(got.values);
    }
    free(want.values);
}

static void heads_of_16_are_refused(void **state)
{
    (void)state;
    for (size_t i = 2; i < TYPES; i++) {
        const pm_engine_params params = {.model_path = path_of("tests/data/hf/llama-gqa/model.gguf"), .kv_type = types[i].type};
        pm_engine *engine = NULL;
        assert_int_equal(pm_engine_create(&params, &engine), PM_ERR_UNSUP);
        assert_null(engine);
        assert_non_null(strstr(pm_error_message(), types[i].name));
        assert_non_null(strstr(pm_error_message(), "head_dim"));
        assert_non_null(strstr(pm_error_message(), "16"));
        assert_non_null(strstr(pm_error_message(), "f16 and f32"));
    }
    const pm_engine_params params = {.model_path = path, .kv_type = (pm_kv_type)4};
    pm_engine *engine = NULL;
    assert_int_equal(pm_engine_create(&params, &engine), PM_ERR_ARG);
}

int main(void)
{
#define MODEL(file) {file, near_the_logits_on_f32_pages, NULL, NULL, (void *)(uintptr_t)(file)}
    const struct CMUnitTest tests[] = {
        MODEL("tests/data/hf/llama-rope3/model.gguf"),
        MODEL("tests/data/hf/mixed-quants/model.gguf"),
        MODEL("tools/demo_model/pumice-demo-q8_0.gguf"),
        cmocka_unit_test(heads_of_16_are_refused),
    };
    return cmocka_run_group_tests_name("kv_types", tests, NULL, NULL);
}
