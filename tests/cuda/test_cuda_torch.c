/* test_cuda_torch.c - whole architectures: Pumice against transformers on CUDA.
 *
 * The vectors torch.<model>.<dtype> are logits of the tiny models of tests/data/hf, made by
 * capture_torch.py; the CPU's float32 logits stand beside the model. In f32 Pumice (f32 KV) is held to the
 * vector, NMSE below 1e-9. In f16 and bf16 to FlashAttention's rule: Pumice's error (f16 KV) against
 * the CPU's float32 is at most twice that of transformers in that precision, or below 1e-6, which
 * is what rounding K and V costs transformers itself. */
#include "cuda/vectors.h"
#include "op/harness.h"
#include "pumice.h"

#include "base/hash.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS 96u
#define POSITIONS 16u
#define VOCAB 160u

static const char *source(void)
{
    const char *root = getenv("PUMICE_TEST_SOURCE");
    return root != NULL ? root : ".";
}

static void read_file(const char *model, const char *file, void *data, size_t bytes)
{
    char path[1200];
    snprintf(path, sizeof(path), "%s/tests/data/hf/%s/%s", source(), model, file);
    FILE *f = fopen(path, "rb");
    if (f == NULL || fread(data, 1, bytes, f) != bytes)
        fail_msg("%s: cannot read %zu bytes", path, bytes);
    fclose(f);
}

static bool keep(void *context, uint32_t position, const float *logits)
{
    memcpy((float *)context + position * VOCAB, logits, VOCAB * sizeof(*logits));
    return true;
}

/* NMSE over the recorded positions; a: of all positions, or of those alone. */
static double nmse(const float *a, bool all, const float *b)
{
    double error = 0.0, power = 0.0;
    for (uint32_t p = 0; p < POSITIONS; p++) {
        const uint32_t place = (p + 1) * TOKENS / POSITIONS - 1;
        for (uint32_t i = 0; i < VOCAB; i++) {
            const double x = (double)a[(all ? place : p) * VOCAB + i], y = (double)b[place * VOCAB + i];
            error += (x - y) * (x - y);
            power += y * y;
        }
    }
    return error / power;
}

static void check(const cuda_vector *v)
{
    static float pumice[TOKENS * VOCAB], recorded[TOKENS * VOCAB], spread[TOKENS * VOCAB];
    char model[64] = "", path[1200];
    const char *kind = strrchr(v->name, '.');
    int32_t tokens[TOKENS];
    assert_non_null(kind);
    const bool exact = strcmp(kind, ".f32") == 0;
    snprintf(model, sizeof(model), "%.*s", (int)(kind - v->name - 6), v->name + 6);
    read_file(model, "tokens.bin", tokens, sizeof(tokens));
    read_file(model, "logits.bin", recorded, sizeof(recorded));
    assert_int_equal(v->count, POSITIONS * VOCAB);
    assert_true(v->inputs == pm_hash64(tokens, sizeof(tokens), PM_HASH_SEED));
    snprintf(path, sizeof(path), "%s/tests/data/hf/%s/model.gguf", source(), model);
    const pm_engine_params params = {.model_path = path, .max_seqs = 1, .max_context_tokens = 128,
                                     .kv_type = exact ? PM_KV_F32 : PM_KV_F16, .warm_up = PM_WARM_UP_NOTHING};
    pm_engine *engine = NULL;
    ok(pm_engine_create(&params, &engine));
    ok(pm_engine_score(engine, tokens, TOKENS, 0, keep, pumice));
    pm_engine_destroy(engine);
    for (uint32_t p = 0; p < POSITIONS; p++)
        memcpy(spread + ((p + 1) * TOKENS / POSITIONS - 1) * VOCAB, v->values + p * VOCAB, VOCAB * sizeof(float));
    const double to_vector = nmse(pumice, true, spread), mine = nmse(pumice, true, recorded), theirs = nmse(v->values, false, recorded);
    print_message("%-4s %-28s %s: NMSE to it %.1e; to float32 on the CPU %.1e, its own %.1e\n", v->origin, v->name, v->device,
                  to_vector, mine, theirs);
    if (exact && !(to_vector < 1e-9))
        fail_msg("%s on %s: NMSE %.2e, expected below 1e-9", v->name, v->device, to_vector);
    if (!exact && !(mine <= fmax(2.0 * theirs, 1e-6)))
        fail_msg("%s on %s: NMSE %.2e, its own is %.2e", v->name, v->device, mine, theirs);
}

static void architectures_are_those_of_transformers(void **state)
{
    (void)state;
    const char *given = getenv("PUMICE_CUDA_VECTORS");
    char folder[1100];
    uint32_t count = 0;
    snprintf(folder, sizeof(folder), "%s%s", given != NULL ? given : source(), given != NULL ? "" : "/tests/cuda/vectors");
    DIR *all = opendir(folder);
    for (struct dirent *d; all != NULL && (d = readdir(all)) != NULL;) {
        char inner[1400];
        snprintf(inner, sizeof(inner), "%s/%s", folder, d->d_name);
        DIR *one = d->d_name[0] != '.' ? opendir(inner) : NULL;
        for (struct dirent *e; one != NULL && (e = readdir(one)) != NULL;) {
            char path[1700], why[1800];
            cuda_vector v;
            snprintf(path, sizeof(path), "%s/%s", inner, e->d_name);
            if (strncmp(e->d_name, "torch.", 6) != 0)
                continue;
            if (!cuda_vector_read(path, &v, why, sizeof(why)))
                fail_msg("%s", why);
            check(&v);
            cuda_vector_free(&v);
            count++;
        }
        if (one != NULL)
            closedir(one);
    }
    if (all != NULL)
        closedir(all);
    if (count == 0)
        fail_msg("%s: no vectors of transformers", folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(architectures_are_those_of_transformers),
    };
    return cmocka_run_group_tests_name("cuda_torch", tests, NULL, NULL);
}
