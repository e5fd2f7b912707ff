/* test_cuda_model.c - whole models: Pumice's logits against the reference kernels', end to end.
 *
 * The reference is model.c, a forward pass out of the kernels of this folder: on the GPU where
 * nvcc's build and an NVIDIA GPU are there, else gcc's build. A table per model has, beside Pumice
 * against the reference, two controls: the reference against itself with other rows at a time,
 * and Pumice's first variants against those it chooses. Pumice passes when its KL divergence, mean
 * and 99th percentile, is at most 1.5 times the greater control's. Controls may be next to nothing,
 * when both sides add in the same order; the floor is then what storing K and V in f16 costs the
 * reference, which is in the table, too: Pumice and the reference both do that, and a key that
 * lies between two f16 values goes to either. Perplexities must differ by less than their
 * standard error, and as many positions agree in their first token as those of the controls.
 *
 * The vectors of whole models (model_cases.h) are replayed, too: from them KL is a sum over the 64
 * first tokens and one class of all others. */
#include "cuda/divergence.h"
#include "cuda/model.h"
#include "cuda/model_cases.h"
#include "op/attention.h"
#include "op/harness.h"
#include "op/matmul.h"
#include "pumice.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct subject {
    const cuda_model_case *c;
    char path[1200];
    int32_t tokens[MODEL_TOKENS_MAX];
    uint32_t count, vocab;
    float *logits;                 /* of what Pumice chooses: [count, vocab] */
} subject;

static bool keep(void *context, uint32_t position, const float *logits)
{
    subject *s = context;
    memcpy(s->logits + (uint64_t)position * s->vocab, logits, s->vocab * sizeof(*logits));
    return true;
}

/* Pumice's logits; variants: NULL, or for PUMICE_VARIANT. */
static float *run_pumice(const subject *s, const char *variants)
{
    const pm_engine_params params = {.model_path = s->path, .max_seqs = 1, .max_context_tokens = MODEL_TOKENS_MAX,
                                     .max_batch_tokens = s->c->chunk};
    pm_engine *engine = NULL;
    subject into = *s;
    if (variants != NULL)
        setenv("PUMICE_VARIANT", variants, 1);
    else
        unsetenv("PUMICE_VARIANT");
    into.logits = calloc((uint64_t)s->count * s->vocab, sizeof(float));
    assert_non_null(into.logits);
    ok(pm_engine_create(&params, &engine));
    ok(pm_engine_score(engine, s->tokens, s->count, 0, keep, &into));
    pm_engine_destroy(engine);
    unsetenv("PUMICE_VARIANT");
    return into.logits;
}

static const cuda_kernels *kernels;

static float *run_reference(const subject *s, uint32_t chunk, bool kv_f16)
{
    char why[512];
    cuda_model *model = cuda_model_open(kernels, s->path, why, sizeof(why));
    float *logits = malloc((uint64_t)s->count * s->vocab * sizeof(*logits));
    if (model == NULL)
        fail_msg("%s", why);
    assert_int_equal(cuda_model_vocab(model), s->vocab);
    assert_non_null(logits);
    if (!cuda_model_score(model, s->tokens, s->count, chunk, kv_f16, logits))
        fail_msg("%s", kernels->error());
    cuda_model_close(model);
    return logits;
}

static divergence row(const subject *s, const char *what, const float *a, const float *b)
{
    const divergence d = divergence_of(a, b, s->tokens, s->count, s->vocab);
    print_message("  %-44s %9.1e %9.1e %9.1e %9.1e %9.1e %6.1f%% %6.1f%% %9.4f %+.1e +- %.1e\n", what, d.delta_max, d.kl_mean,
                  d.kl_median, d.kl_p99, d.kl_max, 100.0 * d.top1, 100.0 * d.top5, d.ppl, d.ppl_difference, d.ppl_error);
    return d;
}

static void hold(const char *what, const char *statistic, double kl, double control, double floor_kl)
{
    if (!(kl <= fmax(1.5 * control, floor_kl)))
        fail_msg("%s: %s KL %.2e, expected at most 1.5 times the control's %.2e, or %.2e that f16 KV costs", what, statistic, kl,
                 control, floor_kl);
}

/* KL of a recorded position from Pumice's logits, over its first tokens and all others as one. */
static double recorded_kl(const float *values, const float *logits, uint32_t vocab)
{
    double most = -INFINITY, total = 0.0, kl = 0.0, rest_a = 1.0, rest_b = 1.0;
    for (uint32_t i = 0; i < vocab; i++)
        most = fmax(most, (double)logits[i]);
    for (uint32_t i = 0; i < vocab; i++)
        total += exp((double)logits[i] - most);
    for (uint32_t j = 0; j < MODEL_TOP; j++) {
        const double a = (double)values[MODEL_TOP + j] - (double)values[2 * MODEL_TOP] - (double)values[2 * MODEL_TOP + 1];
        const double b = (double)logits[(uint32_t)values[j]] - most - log(total);
        kl += exp(a) * (a - b);
        rest_a -= exp(a);
        rest_b -= exp(b);
    }
    return rest_a > 1e-9 && rest_b > 1e-9 ? kl + rest_a * log(rest_a / rest_b) : kl;
}

static void replay_vector(const subject *s, const cuda_vector *v, double control, double floor_kl)
{
    double kl = 0.0, delta = 0.0;
    uint32_t top1 = 0;
    if (v->inputs != cuda_model_inputs(s->path, s->tokens, s->count))
        fail_msg("%s: the model or its tokens are not those that the vector was made of", v->name);
    assert_int_equal(v->elements, s->c->positions * MODEL_VALUES);
    assert_int_equal(v->count, v->elements);
    for (uint32_t i = 0; i < s->c->positions; i++) {
        const float *values = v->values + i * MODEL_VALUES;
        const float *logits = s->logits + (uint64_t)cuda_model_position(s->c, s->count, i) * s->vocab;
        float mine[MODEL_VALUES];
        double size = 0.0;
        cuda_model_record(logits, s->vocab, mine);
        kl += recorded_kl(values, logits, s->vocab) / s->c->positions;
        top1 += values[0] == mine[0];
        for (uint32_t j = 0; j < MODEL_TOP; j++) {
            const uint32_t id = (uint32_t)values[j];
            assert_true(id < s->vocab);
            delta = fmax(delta, fabs((double)values[MODEL_TOP + j] - (double)logits[id]));
        }
        for (uint32_t j = 0; j < s->vocab; j++)
            size += fabs((double)logits[j]);
        const double sums = fabs((double)values[2 * MODEL_TOP + 2] - (double)mine[2 * MODEL_TOP + 2]);
        if (!(sums <= 2e-3 * size))
            fail_msg("%s, position %u: the logits' sum is %.6g, expected %.6g", v->name, i, (double)mine[2 * MODEL_TOP + 2],
                     (double)values[2 * MODEL_TOP + 2]);
    }
    print_message("  recorded by %s (%s): %u positions, first tokens %u the same, greatest difference %.1e, KL %.1e\n", v->origin,
                  v->device, s->c->positions, top1, delta, kl);
    hold(v->name, "recorded", kl, control, floor_kl);
}

/* All vectors of this model, in any folder. */
static uint32_t replay_vectors(const subject *s, double control, double floor_kl)
{
    const char *given = getenv("PUMICE_CUDA_VECTORS"), *root = getenv("PUMICE_TEST_SOURCE");
    char folder[1300];
    uint32_t count = 0;
    snprintf(folder, sizeof(folder), "%s%s", given != NULL ? given : root != NULL ? root : ".", given != NULL ? "" : "/tests/cuda/vectors");
    DIR *all = opendir(folder);
    for (struct dirent *e; all != NULL && (e = readdir(all)) != NULL;) {
        char path[1700], why[1800];
        cuda_vector v;
        snprintf(path, sizeof(path), "%s/%s/%s.vec", folder, e->d_name, s->c->name);
        FILE *file = e->d_name[0] != '.' ? fopen(path, "rb") : NULL;
        if (file == NULL)
            continue;
        fclose(file);
        if (!cuda_vector_read(path, &v, why, sizeof(why)))
            fail_msg("%s", why);
        replay_vector(s, &v, control, floor_kl);
        cuda_vector_free(&v);
        count++;
    }
    if (all != NULL)
        closedir(all);
    return count;
}

static void check(const char *name, const char *path)
{
    subject s = {.c = cuda_model_case_find(name)};
    char why[512], base[128];
    pm_model_file *file = NULL;
    pm_tokenizer *tokenizer = NULL;
    snprintf(s.path, sizeof(s.path), "%s", path);
    s.count = cuda_model_tokens(s.c, path, s.tokens, why, sizeof(why));
    if (s.count == 0)
        fail_msg("%s", why);
    ok(pm_model_file_open(path, &file));
    ok(pm_tokenizer_create(file, &tokenizer));
    s.vocab = pm_tokenizer_size(tokenizer);
    pm_tokenizer_destroy(tokenizer);
    pm_model_file_close(file);
    snprintf(base, sizeof(base), "matmul:%s,attention:%s", pm_matmul_variant(0), pm_attention_variant(0));

    float *reference = run_reference(&s, s.c->chunk, true), *other = run_reference(&s, s.c->control_chunk, true);
    float *kept = run_reference(&s, s.c->chunk, false), *first = run_pumice(&s, base);
    s.logits = run_pumice(&s, NULL);
    print_message("%s: %u positions, vocabulary of %u; reference on %s: %s\n", name, s.count, s.vocab, kernels->origin, kernels->device);
    print_message("  %-44s %9s %9s %9s %9s %9s %7s %7s %9s %s\n", "KL in nats", "max delta", "KL mean", "median", "p99", "max",
                  "top-1", "top-5", "ppl", "difference");
    char label[64];
    snprintf(label, sizeof(label), "control: reference, %u rows and %u at a time", s.c->chunk, s.c->control_chunk);
    const divergence control = row(&s, label, reference, other);
    const divergence variants = row(&s, "control: Pumice, first variants and chosen", first, s.logits);
    const divergence f16_kv = row(&s, "floor: reference, f16 KV and f32 KV", reference, kept);
    row(&s, "reference and Pumice's first variants", reference, first);
    const divergence pumice = row(&s, "reference and Pumice", reference, s.logits);
    const double mean = fmax(control.kl_mean, variants.kl_mean), p99 = fmax(control.kl_p99, variants.kl_p99);
    hold(name, "mean", pumice.kl_mean, mean, f16_kv.kl_mean);
    hold(name, "99th percentile", pumice.kl_p99, p99, f16_kv.kl_p99);
    if (!(fabs(pumice.ppl_difference) <= pumice.ppl_error))
        fail_msg("%s: perplexity differs by %.2e, its standard error is %.2e", name, pumice.ppl_difference, pumice.ppl_error);
    if (!(pumice.top1 >= fmin(control.top1, variants.top1) - 0.01))
        fail_msg("%s: %.1f %% of the positions have the same first token", name, 100.0 * pumice.top1);
    assert_true(replay_vectors(&s, mean, f16_kv.kl_mean) > 0);
    free(reference);
    free(other);
    free(kept);
    free(first);
    free(s.logits);
}

static void the_demo_model(void **state)
{
    (void)state;
    const char *root = getenv("PUMICE_TEST_SOURCE");
    char path[1200];
    snprintf(path, sizeof(path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", root != NULL ? root : ".");
    check("model.demo", path);
}

static void a_layer_of_full_size(void **state)
{
    (void)state;
    const char *folder = getenv("PUMICE_TEST_BINARY");
    char path[1200];
    snprintf(path, sizeof(path), "%s/tests/cuda/layer.gguf", folder != NULL ? folder : ".");
    check("model.layer", path);
}

int main(void)
{
    const char *library = getenv("PUMICE_CUDA_LIBRARY"), *folder = getenv("PUMICE_TEST_BINARY");
    char path[1200], why[512];
    snprintf(path, sizeof(path), "%s/tests/cuda/libpumice_cuda.so", folder != NULL ? folder : ".");
    kernels = cuda_kernels_load(library != NULL ? library : path, why, sizeof(why));
    if (kernels == NULL) {
        printf("the reference runs on the host: %s\n", why);
        kernels = cuda_kernels_host();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_demo_model),
        cmocka_unit_test(a_layer_of_full_size),
    };
    return cmocka_run_group_tests_name("cuda_model", tests, NULL, NULL);
}
