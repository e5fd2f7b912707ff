/* test_cuda_model.c - whole models: Pumice's logits against the reference kernels', end to end.
 *
 * The reference is model.c, a forward pass out of the kernels of this folder: on the GPU where
 * nvcc's build and an NVIDIA GPU are there, else gcc's build. It is as precise as f32 gets: exact weights, K and V
 * kept in f32, the terms of a sum in order. A table per model has its distance from Pumice and from controls, the
 * same reference at another precision (control.h), f32 at another number of rows at a time.
 *
 * Each Pumice is held to the control of its own precision, which is FlashAttention's rule for whole models: KL to the
 * reference, mean and median, at most 1.5 times the control's; the 99th percentile, the third largest of 257 and so of a scatter
 * of its own, at most 3 times (cuda_text has 2,048 positions, and 1.5 for all). Pumice's first variants with K and V in f32 are
 * f32; what it chooses, as it is, is held to the control of what it chose (f16 KV on a CPU); rows of f16 and of 8 bits
 * are forced to have their own line, on the demo model. Besides, perplexities differ by less than their
 * standard error, and first tokens agree as often as the control's less a hundredth.
 *
 * No floor: the controls are differences that rounding really makes, far from nothing, so that the criterion can
 * fail. Planted errors show that it does: a control with the scores of attention too large by its `planted` must not pass.
 * (Two that both keep K and V in f16 are no measure: a key that one rounds up and the other down is rare
 * and decides their mean.)
 *
 * The vectors of whole models (model_cases.h) are replayed, too: from them KL is a sum over the 64
 * first tokens and one class of all others. */
#include "cuda/control.h"
#include "cuda/model_cases.h"
#include "cuda/score.h"
#include "op/harness.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const divergence_bar bar = {.mean = 1.5, .median = 1.5, .p99 = 3.0, .max = INFINITY};

typedef struct subject {
    const cuda_model_case *c;
    char path[1200];
    int32_t tokens[MODEL_TOKENS_MAX];
    uint32_t count, vocab;
    float *logits;                 /* of what Pumice chooses: [count, vocab] */
} subject;

/* variants: NULL, or for PUMICE_VARIANT. */
static float *run_pumice(const subject *s, const char *variants, pm_kv_type kv_type)
{
    return score(s->path, s->tokens, 1, s->count, s->c->chunk, variants, kv_type);
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
    divergence_print(what, &d);
    return d;
}

static void hold(const char *model, const char *what, const divergence *d, const divergence *control)
{
    const char *missed = divergence_misses(d, control, &bar);
    if (missed != NULL)
        fail_msg("%s, %s: %s: KL mean %.2e, median %.2e and p99 %.2e, expected at most %g, %g and %g times the control's %.2e, "
                 "%.2e and %.2e; perplexity off by %.2e, standard error %.2e; first tokens %.3f, the control's %.3f", model, what, missed,
                 d->kl_mean, d->kl_median, d->kl_p99, bar.mean, bar.median, bar.p99, control->kl_mean, control->kl_median,
                 control->kl_p99, d->ppl_difference, d->ppl_error, d->top1, control->top1);
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
        if (!record_check(values, MODEL_TOP, s->vocab))
            fail_msg("%s, position %u: a value is out of range", v->name, i);
        const divergence_point mine = record_against(values, MODEL_TOP, logits, s->vocab);
        const float *others = other + (uint64_t)cuda_model_position(s->c, s->count, i) * s->vocab;
        kl += mine.kl / s->c->positions;
        control += record_against(values, MODEL_TOP, others, s->vocab).kl / s->c->positions;
        top1 += mine.top1 > 0.0;
        delta = fmax(delta, mine.delta_max);
        if (!(record_sum_error(values, MODEL_TOP, logits, s->vocab) <= 2e-3))
            fail_msg("%s, position %u: the logits' sum is not the recorded %.6g", v->name, i, (double)values[2 * MODEL_TOP + 2]);
    }
    print_message("  recorded by %s (%s): %u positions, first tokens %u the same, greatest difference %.1e, KL %.1e, the "
                  "control's %.1e\n", v->origin, v->device, s->c->positions, top1, delta, kl, control);
    if (!(kl <= bar.mean * control))
        fail_msg("%s: KL of the recorded positions is %.2e, expected at most %g times the control's %.2e", v->name, kl, bar.mean,
                 control);
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
    snprintf(s.path, sizeof(s.path), "%s", path);
    s.count = cuda_model_tokens(s.c, path, s.tokens, why, sizeof(why));
    if (s.count == 0)
        fail_msg("%s", why);
    s.vocab = score_vocab(path);
    return s;
}

/* Control c, `chunk` rows at a time, scores times `scale`. */
static float *run_control(const subject *s, uint32_t c, uint32_t chunk, float scale)
{
    const cuda_model_pass pass = cuda_control_pass(c, chunk, scale);
    return run_reference(s, &pass);
}

/* low: the controls and rows of f16 and int8, and the planted errors, too. */
static void check(const char *name, const char *path, bool low)
{
    subject s = subject_of(name, path);
    char forced[64], label[128];
    const char *base = score_first_variants(), *lacks;
    const uint32_t chosen = score_control(s.c->chunk);
    float *reference = run_reference(&s, &(cuda_model_pass){.chunk = s.c->chunk});
    float *first = run_pumice(&s, base, PM_KV_F32), *first_f16 = low ? run_pumice(&s, base, PM_KV_F16) : NULL;
    float *rounded = NULL; /* the control of what was chosen, where that rounds more than K and V */
    divergence controls[CONTROLS];
    s.logits = run_pumice(&s, NULL, PM_KV_F16);
    print_message("%s: %u positions, vocabulary of %u; reference on %s: %s\n", name, s.count, s.vocab, kernels->origin, kernels->device);
    divergence_print_head("KL to the reference, nats");
    for (uint32_t c = 0; c < CONTROLS; c++) {
        if (c > CONTROL_F16_KV && !low && c != chosen)
            continue;
        const uint32_t chunk = c == CONTROL_F32 ? s.c->control_chunk : s.c->chunk;
        float *logits = run_control(&s, c, chunk, 1.0f);
        snprintf(label, sizeof(label), "control, %s: %u rows at a time", cuda_controls[c].name, chunk);
        controls[c] = row(&s, label, reference, logits);
        if (c == chosen && c > CONTROL_F16_KV)
            rounded = logits;
        else
            free(logits);
    }
    const divergence f32 = row(&s, "Pumice's first variants, f32", reference, first);
    snprintf(label, sizeof(label), "Pumice as it chooses, %s", cuda_controls[chosen].name);
    const divergence pumice = row(&s, label, reference, s.logits);
    if (low)
        row(&s, "Pumice, first variants against chosen", first_f16, s.logits);
    hold(name, "first variants", &f32, &controls[CONTROL_F32]);
    hold(name, "Pumice", &pumice, &controls[chosen]);
    for (uint32_t c = CONTROL_F16; c < CONTROLS && low; c++) {
        if (!score_forced(c, s.c->chunk, forced, sizeof(forced), &lacks)) {
            print_message("  no row of its own here: matmul needs %s\n", lacks);
            continue;
        }
        float *logits = run_pumice(&s, forced, PM_KV_F16);
        snprintf(label, sizeof(label), "Pumice, %s", forced);
        const divergence d = row(&s, label, reference, logits);
        hold(name, forced, &d, &controls[c]);
        free(logits);
    }
    for (uint32_t c = 0; c < CONTROLS && low; c++) {
        float *wrong = run_control(&s, c, s.c->chunk, cuda_controls[c].planted);
        snprintf(label, sizeof(label), "planted: scores times %.7g, %s", (double)cuda_controls[c].planted, cuda_controls[c].name);
        const divergence d = row(&s, label, reference, wrong);
        if (divergence_misses(&d, &controls[c], &bar) == NULL)
            fail_msg("%s: a reference with its scores times %g passes as %s", name, (double)cuda_controls[c].planted,
                     cuda_controls[c].name);
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
    return cmocka_run_group_tests_name("cuda_model", tests, NULL, harness_finish);
}
