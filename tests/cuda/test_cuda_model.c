/* test_cuda_model.c - whole models: Pumice's logits against the reference kernels', end to end.
 *
 * The reference is model.c, a forward pass out of the kernels of this folder: on the GPU where
 * nvcc's build and an NVIDIA GPU are there, else gcc's build. It is as precise as f32 gets: exact weights, K and V
 * kept in f32, the terms of a sum in order. A table per model has its distance from Pumice and from controls, the
 * same reference at another precision:
 *
 *   f32      another number of rows at a time, and sums in blocks, as another batch size makes cuBLAS take
 *            another kernel; K and V in f32
 *   f16 KV   sums in blocks; K and V rounded to f16, as Pumice keeps them unless told otherwise
 *   f16      f16 KV, and weights and x of every matmul rounded to f16, as cuBLAS takes them
 *   int8     f16 KV, and x of every matmul rounded to 8 bits in blocks of 32
 *
 * Each Pumice is held to the control of its own precision, which is FlashAttention's rule for whole models: KL to the
 * reference, mean, at most 1.5 times the control's; the 99th percentile, the third largest of 257 and so of a scatter
 * of its own, at most 3 times. Pumice's first variants with K and V in f32 are
 * f32; what it chooses, as it is, is held to the control of what it chose (f16 KV on a CPU); rows of f16 and of 8 bits
 * are forced to have their own line, on the demo model. Besides, perplexities differ by less than their
 * standard error, and first tokens agree as often as the control's less a hundredth.
 *
 * No floor: the controls are differences that rounding really makes, far from nothing, so that the criterion can
 * fail. Planted errors show that it does: a control with the scores of attention too large by planted[] must not pass.
 * (Two that both keep K and V in f16 are no measure: a key that one rounds up and the other down is rare
 * and decides their mean.)
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

#define MARGIN 1.5
#define TAIL 3.0

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
static float *run_pumice(const subject *s, const char *variants, pm_kv_type kv_type)
{
    const pm_engine_params params = {.model_path = s->path, .max_seqs = 1, .max_context_tokens = MODEL_TOKENS_MAX,
                                     .max_batch_tokens = s->c->chunk, .kv_type = kv_type};
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

static float *run_reference(const subject *s, const cuda_model_pass *pass)
{
    char why[512];
    cuda_model *model = cuda_model_open(kernels, s->path, why, sizeof(why));
    float *logits = malloc((uint64_t)s->count * s->vocab * sizeof(*logits));
    if (model == NULL)
        fail_msg("%s", why);
    assert_int_equal(cuda_model_vocab(model), s->vocab);
    assert_non_null(logits);
    if (!cuda_model_score(model, s->tokens, s->count, pass, logits))
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

/* What of the criterion `d` does not meet; NULL = it passes. */
static const char *misses(const divergence *d, const divergence *control)
{
    return !(d->kl_mean <= MARGIN * control->kl_mean)   ? "mean KL"
           : !(d->kl_p99 <= TAIL * control->kl_p99)   ? "99th percentile of KL"
           : !(fabs(d->ppl_difference) <= d->ppl_error) ? "perplexity"
           : !(d->top1 >= control->top1 - 0.01)         ? "first tokens"
                                                        : NULL;
}

static void hold(const char *model, const char *what, const divergence *d, const divergence *control)
{
    const char *missed = misses(d, control);
    if (missed != NULL)
        fail_msg("%s, %s: %s: KL mean %.2e and p99 %.2e, expected at most 1.5 and 3 times the control's %.2e and %.2e; perplexity "
                 "off by %.2e, standard error %.2e; first tokens %.3f, the control's %.3f", model, what, missed, d->kl_mean,
                 d->kl_p99, control->kl_mean, control->kl_p99, d->ppl_difference, d->ppl_error, d->top1, control->top1);
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

/* Vectors are of f16 KV and exact factors: Pumice may be as far from them as `other` is, the reference that keeps K
 * and V, or the control that rounds factors as Pumice chose to. */
static void replay_vector(const subject *s, const cuda_vector *v, const float *other)
{
    double kl = 0.0, control = 0.0, delta = 0.0;
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
        control += recorded_kl(values, other + (uint64_t)cuda_model_position(s->c, s->count, i) * s->vocab, s->vocab) /
                   s->c->positions;
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
    print_message("  recorded by %s (%s): %u positions, first tokens %u the same, greatest difference %.1e, KL %.1e, the "
                  "control's %.1e\n", v->origin, v->device, s->c->positions, top1, delta, kl, control);
    if (!(kl <= MARGIN * control))
        fail_msg("%s: KL of the recorded positions is %.2e, expected at most 1.5 times the control's %.2e", v->name, kl, control);
}

/* All vectors of this model, in any folder. */
static uint32_t replay_vectors(const subject *s, const float *other)
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
        replay_vector(s, &v, other);
        cuda_vector_free(&v);
        count++;
    }
    if (all != NULL)
        closedir(all);
    return count;
}

/* Reads the tokens and the vocabulary. */
static subject subject_of(const char *name, const char *path)
{
    subject s = {.c = cuda_model_case_find(name)};
    char why[512];
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
    return s;
}

/* A matmul of the models: all of their shapes lead to rows of the same numerics. */
static pm_matmul shape_of(uint32_t rows)
{
    return (pm_matmul){.weight = {.type = PM_DTYPE_Q8_0, .n = 4096, .k = 4096}, .rows_max = rows, .x_q8 = {.bytes = UINT64_MAX},
                       .x_stride = 4096, .y_stride = 4096};
}

/* The least precise of what Pumice chooses here, alone and for a chunk. */
static pm_matmul_numerics chosen_numerics(const subject *s)
{
    const pm_vk_caps *caps = pm_vk_device_caps(harness_device());
    pm_matmul_numerics least = PM_MATMUL_F32;
    for (uint32_t i = 0, variant; i < 2; i++) {
        const pm_matmul m = shape_of(i == 0 ? 1 : s->c->chunk);
        ok(pm_matmul_pick(caps, &m, &variant));
        if (pm_matmul_variant_numerics(variant) > least)
            least = pm_matmul_variant_numerics(variant);
    }
    /* attention of prompts may take f16 matrices where matmul does not */
    return least == PM_MATMUL_F32 && (caps->bits & PM_CAP_BIT(COOPMAT)) && !caps->is_cpu ? PM_MATMUL_MATRIX : least;
}

/* A row of these numerics that takes a chunk at once, "matmul:dot32"; false, with the reason printed. */
static bool row_of(const subject *s, pm_matmul_numerics numerics, char *forced, size_t capacity)
{
    const char *lacks = "a row";
    const pm_matmul m = shape_of(s->c->chunk);
    for (uint32_t v = 0; pm_matmul_variant(v) != NULL; v++)
        if (pm_matmul_variant_numerics(v) == numerics && pm_matmul_variant_rows(v) >= s->c->chunk) {
            lacks = pm_matmul_variant_lacks(v, pm_vk_device_caps(harness_device()), &m);
            snprintf(forced, capacity, "matmul:%s", pm_matmul_variant(v));
            if (lacks == NULL)
                return true;
        }
    print_message("  no row of its own here: matmul needs %s\n", lacks);
    return false;
}

/* Precisions of a whole model, and errors that must not pass at each: factors of attention's scores. */
enum { WHOLE_F32, F16_KV, F16, INT8, PRECISIONS };
static const struct precision {
    const char *name;
    cuda_precision matmul;
    bool kv_f16;
    float planted;
} precisions[PRECISIONS] = {
    {"f32", CUDA_BLOCKS, false, 1.00003f},
    {"f16 KV", CUDA_BLOCKS, true, 1.01f},
    {"f16", CUDA_HALF, true, 1.01f},
    {"int8", CUDA_BYTES, true, 1.1f},
};

/* The reference at precision p, `chunk` rows at a time, scores times `scale`. */
static float *run_at(const subject *s, int p, uint32_t chunk, float scale)
{
    return run_reference(s, &(cuda_model_pass){.chunk = chunk, .kv_f16 = precisions[p].kv_f16,
                                               .precision = precisions[p].matmul, .block = 32, .scale = scale});
}

/* low: the controls and rows of f16 and int8, and the planted errors, too. */
static void check(const char *name, const char *path, bool low)
{
    subject s = subject_of(name, path);
    char base[128], forced[64], label[128];
    snprintf(base, sizeof(base), "matmul:%s,attention:%s", pm_matmul_variant(0), pm_attention_variant(0));
    const pm_matmul_numerics numerics = chosen_numerics(&s);
    const int chosen = numerics == PM_MATMUL_F32 ? F16_KV : numerics == PM_MATMUL_MATRIX ? F16 : INT8;
    float *reference = run_reference(&s, &(cuda_model_pass){.chunk = s.c->chunk});
    float *first = run_pumice(&s, base, PM_KV_F32), *first_f16 = low ? run_pumice(&s, base, PM_KV_F16) : NULL;
    float *rounded = NULL; /* the control of what was chosen, where that rounds more than K and V */
    divergence controls[PRECISIONS];
    s.logits = run_pumice(&s, NULL, PM_KV_F16);
    print_message("%s: %u positions, vocabulary of %u; reference on %s: %s\n", name, s.count, s.vocab, kernels->origin, kernels->device);
    print_message("  %-44s %9s %9s %9s %9s %9s %7s %7s %9s %s\n", "KL to the reference, nats", "max delta", "KL mean", "median", "p99",
                  "max", "top-1", "top-5", "ppl", "difference");
    for (int p = 0; p < PRECISIONS; p++) {
        if (p > F16_KV && !low && p != chosen)
            continue;
        const uint32_t chunk = p == WHOLE_F32 ? s.c->control_chunk : s.c->chunk;
        float *logits = run_at(&s, p, chunk, 1.0f);
        snprintf(label, sizeof(label), "control, %s: %u rows at a time", precisions[p].name, chunk);
        controls[p] = row(&s, label, reference, logits);
        if (p == chosen && p > F16_KV)
            rounded = logits;
        else
            free(logits);
    }
    const divergence f32 = row(&s, "Pumice's first variants, f32", reference, first);
    snprintf(label, sizeof(label), "Pumice as it chooses, %s", precisions[chosen].name);
    const divergence pumice = row(&s, label, reference, s.logits);
    if (low)
        row(&s, "Pumice, first variants against chosen", first_f16, s.logits);
    hold(name, "first variants", &f32, &controls[WHOLE_F32]);
    hold(name, "Pumice", &pumice, &controls[chosen]);
    for (int p = F16; p < PRECISIONS && low; p++)
        if (row_of(&s, p == F16 ? PM_MATMUL_MATRIX : PM_MATMUL_INT8, forced, sizeof(forced))) {
            float *logits = run_pumice(&s, forced, PM_KV_F16);
            snprintf(label, sizeof(label), "Pumice, %s", forced);
            const divergence d = row(&s, label, reference, logits);
            hold(name, forced, &d, &controls[p]);
            free(logits);
        }
    for (int p = 0; p < PRECISIONS && low; p++) {
        float *wrong = run_at(&s, p, s.c->chunk, precisions[p].planted);
        snprintf(label, sizeof(label), "planted: scores times %.7g, %s", (double)precisions[p].planted, precisions[p].name);
        const divergence d = row(&s, label, reference, wrong);
        if (misses(&d, &controls[p]) == NULL)
            fail_msg("%s: a reference with its scores times %g passes as %s", name, (double)precisions[p].planted, precisions[p].name);
        free(wrong);
    }
    assert_true(replay_vectors(&s, rounded != NULL ? rounded : reference) > 0);
    free(rounded);
    free(reference);
    free(first);
    free(first_f16);
    free(s.logits);
}

static void the_demo_model(void **state)
{
    (void)state;
    const char *root = getenv("PUMICE_TEST_SOURCE");
    char path[1200];
    snprintf(path, sizeof(path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", root != NULL ? root : ".");
    check("model.demo", path, true);
}

static void a_layer_of_full_size(void **state)
{
    (void)state;
    const char *folder = getenv("PUMICE_TEST_BINARY");
    char path[1200];
    snprintf(path, sizeof(path), "%s/tests/cuda/layer.gguf", folder != NULL ? folder : ".");
    check("model.layer", path, false);
}

static int finish(void **state)
{
    (void)state;
    harness_close();
    return 0;
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
    return cmocka_run_group_tests_name("cuda_model", tests, NULL, finish);
}
