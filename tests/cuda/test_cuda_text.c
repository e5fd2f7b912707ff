/* test_cuda_text.c - Pumice after each of 2,048 tokens, against what was recorded of the reference and its controls.
 *
 * For every folder of vectors that has the text (text.h), CUDA's or the host's, one table: the controls as they were recorded,
 * at another number of rows at a time; Pumice's base variants, which need no optional capability, with K and V in f32, held
 * to the control of f32; Pumice as it chooses, with K and V in f16, held to the control of what it chose (control.h). Of half of the
 * positions, too: its rows of f16 and of 8 bits, forced, where it chooses neither, and Pumice against itself, with K and V in f32:
 * the base variants against what it chooses.
 *
 * What must hold, and for all of mean, median and 99th percentile: KL to the recorded logits is at most 1.5 times the
 * control's. The greatest is one position's and at most 3 times. Perplexities differ by no more than their standard error;
 * the first token and the first five are the control's to a hundredth; the sum of all logits, of which records keep 28, is as
 * recorded. The second control, Pumice against itself, is as far apart as two orders of addition are: those with K and V in f32
 * must be as close to the record by it, too, so that what they have in common is no further off than what they differ in.
 * Where they differ by less than half of the control of f32 they share their order, and it says nothing; where they give the
 * same bits, as on SwiftShader, there is none.
 *
 * Models with a fault in their weights show that each criterion can fail: Pumice runs them on the first sequences, and
 * they must not pass against the controls of just these positions. */
#include "cuda/model_cases.h"
#include "cuda/score.h"
#include "cuda/text.h"
#include "op/harness.h"
#include "temporary.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/half.h"
#include "gguf/gguf.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const divergence_bar bar = {.mean = 1.5, .median = 1.5, .p99 = 1.5, .max = 3.0};

#define ROWS 64u                   /* at a time */
#define HALF_SEQUENCES (TEXT_SEQUENCES / 2)
#define PLANTED_SEQUENCES 1u

static char model_path[1200];

/* What Pumice gives: computed once, for all folders of vectors. */
typedef struct answers {
    float *base, *chosen;          /* with K and V in f32, and in f16: of all sequences */
    float *chosen_f32, *forced[CONTROLS]; /* in f32, and in f16: of half of them, */
    uint32_t chosen_f32_sequences; /* but of one where base and chosen variants give the same bits */
    char forced_name[CONTROLS][64];
    uint32_t vocab, control;       /* of what was chosen */
} answers;

/* The logits' points against the record, of the first `count` positions. */
static divergence against(const cuda_text *text, const float *logits, uint32_t vocab, uint32_t count)
{
    static divergence_point points[TEXT_POSITIONS];
    for (uint32_t p = 0; p < count; p++)
        points[p] = cuda_text_against(text->values[p], cuda_text_next(text->tokens, p), logits + (uint64_t)p * vocab, vocab);
    return divergence_sum(points, count);
}

static void hold(const char *what, const divergence *d, const divergence *control)
{
    const char *missed = divergence_misses(d, control, &bar);
    if (missed != NULL)
        fail_msg("%s: %s: KL mean %.2e, median %.2e, p99 %.2e, max %.2e, expected at most %g, %g, %g and %g times the control's %.2e, "
                 "%.2e, %.2e and %.2e; perplexity off by %.2e, standard error %.2e; first tokens %.4f, the control's %.4f", what,
                 missed, d->kl_mean, d->kl_median, d->kl_p99, d->kl_max, bar.mean, bar.median, bar.p99, bar.max, control->kl_mean,
                 control->kl_median, control->kl_p99, control->kl_max, d->ppl_difference, d->ppl_error, d->top1, control->top1);
}

/* A line of the table, of the first `sequences`, which must hold. */
static divergence check(const cuda_text *text, const char *what, const float *logits, uint32_t vocab, uint32_t sequences,
                        uint32_t control)
{
    const uint32_t count = sequences * TEXT_TOKENS;
    const divergence d = against(text, logits, vocab, count), c = divergence_sum(text->controls[control], count);
    divergence_print(what, &d);
    for (uint32_t p = 0; p < count; p++) {
        const double error = record_sum_error(text->values[p] + 2, TEXT_TOP, logits + (uint64_t)p * vocab, vocab);
        if (!(error <= cuda_controls[control].sum_error))
            fail_msg("%s, position %u: the logits' sum is off by %.1e of their magnitudes, expected at most %.1e", what, p, error,
                     cuda_controls[control].sum_error);
    }
    hold(what, &d, &c);
    return d;
}

static float *run(const cuda_text *text, uint32_t sequences, const char *variants, pm_kv_type kv_type)
{
    return score(model_path, text->tokens, sequences, TEXT_TOKENS, ROWS, variants, kv_type);
}

static void answer(const cuda_text *text, uint32_t vocab, answers *a)
{
    const char *lacks;
    *a = (answers){.vocab = vocab, .control = score_control(ROWS)};
    a->base = run(text, TEXT_SEQUENCES, score_base_variants(), PM_KV_F32);
    a->chosen = run(text, TEXT_SEQUENCES, NULL, PM_KV_F16);
    a->chosen_f32 = run(text, 1, NULL, PM_KV_F32);
    a->chosen_f32_sequences = 1;
    if (memcmp(a->chosen_f32, a->base, (uint64_t)TEXT_TOKENS * vocab * sizeof(*a->base)) != 0) {
        free(a->chosen_f32);
        a->chosen_f32 = run(text, HALF_SEQUENCES, NULL, PM_KV_F32);
        a->chosen_f32_sequences = HALF_SEQUENCES;
    }
    for (uint32_t c = CONTROL_F16; c < CONTROLS; c++) {
        if (c == a->control)
            continue;
        if (score_forced(c, ROWS, a->forced_name[c], sizeof(a->forced_name[c]), &lacks))
            a->forced[c] = run(text, HALF_SEQUENCES, a->forced_name[c], PM_KV_F16);
        else
            print_message("  no row of %s here: matmul needs %s\n", cuda_controls[c].name, lacks);
    }
}

/* Whether what Pumice chooses rounds nothing but K and V, which it keeps in f32 when told to. */
static bool chooses_f32(const answers *a)
{
    return a->control == CONTROL_F16_KV;
}

static void print_controls(const cuda_text *text, uint32_t sequences)
{
    for (uint32_t c = 0; c < CONTROLS; c++) {
        const divergence d = divergence_sum(text->controls[c], sequences * TEXT_TOKENS);
        char label[64];
        snprintf(label, sizeof(label), "control, %s: %u row at a time", cuda_controls[c].name, TEXT_CONTROL_CHUNK);
        divergence_print(label, &d);
    }
}

/* Pumice's own control, and what is held to it. */
static void compare_own(const cuda_text *text, const answers *a)
{
    static divergence_point points[TEXT_POSITIONS];
    const uint32_t count = a->chosen_f32_sequences * TEXT_TOKENS;
    if (a->chosen_f32_sequences < HALF_SEQUENCES) {
        print_message("  no control by Pumice itself here: base and chosen variants give the same bits\n");
        return;
    }
    if (chooses_f32(a))
        check(text, "Pumice as it chooses, f32", a->chosen_f32, a->vocab, HALF_SEQUENCES, CONTROL_F32);
    for (uint32_t p = 0; p < count; p++)
        points[p] = divergence_at(a->base + (uint64_t)p * a->vocab, a->chosen_f32 + (uint64_t)p * a->vocab, a->vocab,
                                  cuda_text_next(text->tokens, p));
    const divergence own = divergence_sum(points, count), base = against(text, a->base, a->vocab, count);
    const divergence f32 = divergence_sum(text->controls[CONTROL_F32], count);
    divergence_print("control, Pumice: base against chosen, f32 KV", &own);
    if (own.kl_mean < 0.5 * f32.kl_mean) {
        print_message("  that is no control here: base and chosen variants add in nearly the same order\n");
        return;
    }
    hold("base variants, by Pumice's own control", &base, &own);
    if (chooses_f32(a)) {
        const divergence chosen = against(text, a->chosen_f32, a->vocab, count);
        hold("chosen variants, by Pumice's own control", &chosen, &own);
    }
}

static void tabulate(const cuda_text *text, const answers *a)
{
    char label[160];
    print_message("%u positions, vocabulary of %u; recorded by %s: %s, driver %s, %s, %s\n", TEXT_POSITIONS, a->vocab,
                  text->source.origin, text->source.device, text->source.driver, text->source.runtime, text->source.date);
    divergence_print_head("KL to the record, nats");
    print_controls(text, TEXT_SEQUENCES);
    snprintf(label, sizeof(label), "Pumice's base, %s", score_base_variants());
    check(text, label, a->base, a->vocab, TEXT_SEQUENCES, CONTROL_F32);
    snprintf(label, sizeof(label), "Pumice as it chooses, %s", cuda_controls[a->control].name);
    check(text, label, a->chosen, a->vocab, TEXT_SEQUENCES, a->control);
    print_message("  of these the first %u positions:\n", HALF_SEQUENCES * TEXT_TOKENS);
    print_controls(text, HALF_SEQUENCES);
    for (uint32_t c = CONTROL_F16; c < CONTROLS; c++)
        if (a->forced[c] != NULL) {
            snprintf(label, sizeof(label), "Pumice, %s", a->forced_name[c]);
            check(text, label, a->forced[c], a->vocab, HALF_SEQUENCES, c);
        }
    compare_own(text, a);
}

/* ------------------------------------------------------------------ faults */

typedef struct fault {
    const char *what;
    const char *tensor;            /* a piece of the names of those that have it */
    float factor;                  /* of all of their elements, or of the first alone */
    bool first_alone;
} fault;

/* Multiplies elements of a tensor in place: f32, or the scales of blocks of Q8_0. */
static void multiply(const pm_gguf_tensor *t, uint8_t *data, const fault *f)
{
    const uint64_t step = t->type == PM_DTYPE_F32 ? 4 : 34;
    assert_true(t->type == PM_DTYPE_F32 || t->type == PM_DTYPE_Q8_0);
    for (uint64_t at = 0; at < (f->first_alone ? step : t->bytes); at += step)
        if (step == 4) {
            float x;
            memcpy(&x, data + at, sizeof(x));
            x *= f->factor;
            memcpy(data + at, &x, sizeof(x));
        } else {
            uint16_t scale;
            memcpy(&scale, data + at, sizeof(scale));
            scale = pm_f16_from_f32(pm_f16_to_f32(scale) * f->factor);
            memcpy(data + at, &scale, sizeof(scale));
        }
}

/* The model with the fault, as a file at `path`, a template of mkstemp(). */
static void plant(const fault *f, char *path)
{
    char *bytes = NULL;
    size_t count = 0;
    pm_gguf *gguf = NULL;
    uint32_t hit = 0;
    ok(pm_file_read(model_path, &bytes, &count));
    ok(pm_gguf_open_memory(bytes, count, model_path, &gguf));
    for (uint32_t layer = 0; layer < 64; layer++) {
        char name[80];
        snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, f->tensor);
        const pm_gguf_tensor *t = pm_gguf_tensor_find(gguf, name);
        if (t == NULL || (f->first_alone && hit > 0))
            continue;
        multiply(t, (uint8_t *)bytes + ((const char *)t->data - bytes), f);
        hit++;
    }
    assert_true(hit > 0);
    pm_gguf_close(gguf);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
    pm_free(bytes);
}

/* Pumice with a fault in its model must not pass as a control's equal. */
static void must_fail(const cuda_text *text, const answers *a, const fault *f, uint32_t control, const char *variants,
                      pm_kv_type kv_type)
{
    char path[1200], label[128];
    const uint32_t count = PLANTED_SEQUENCES * TEXT_TOKENS;
    temporary_template(path, sizeof(path), "planted");
    plant(f, path);
    float *logits = score(path, text->tokens, PLANTED_SEQUENCES, TEXT_TOKENS, ROWS, variants, kv_type);
    assert_int_equal(remove(path), 0);
    const divergence d = against(text, logits, a->vocab, count), c = divergence_sum(text->controls[control], count);
    const char *missed = divergence_misses(&d, &c, &bar);
    snprintf(label, sizeof(label), "planted, %s: %s", cuda_controls[control].name, f->what);
    divergence_print(label, &d);
    if (missed == NULL)
        fail_msg("%s: passes", label);
    free(logits);
}

static void plant_all(const cuda_text *text, const answers *a)
{
    static const fault norm = {"a norm weight 0.1 % off", "attn_norm", 1.001f, true};
    fault queries = {NULL, "attn_q", cuda_controls[a->control].planted, false};
    char what[64];
    snprintf(what, sizeof(what), "queries times %.4g", (double)queries.factor);
    queries.what = what;
    must_fail(text, a, &norm, CONTROL_F32, chooses_f32(a) ? NULL : score_base_variants(), PM_KV_F32);
    must_fail(text, a, &queries, a->control, NULL, PM_KV_F16);
}

/* ------------------------------------------------------------------- tests */

static void answers_free(answers *a)
{
    free(a->base);
    free(a->chosen_f32);
    free(a->chosen);
    for (uint32_t c = 0; c < CONTROLS; c++)
        free(a->forced[c]);
}

static void a_text_is_what_was_recorded_and_a_planted_fault_is_not(void **state)
{
    (void)state;
    const char *given = getenv("PUMICE_CUDA_VECTORS"), *root = getenv("PUMICE_TEST_SOURCE");
    char folder[1300];
    uint32_t count = 0;
    answers a = {0};
    snprintf(model_path, sizeof(model_path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", root != NULL ? root : ".");
    snprintf(folder, sizeof(folder), "%s%s", given != NULL ? given : root != NULL ? root : ".", given != NULL ? "" : "/tests/cuda/vectors");
    const uint32_t vocab = score_vocab(model_path);
    DIR *all = opendir(folder);
    for (struct dirent *e; all != NULL && (e = readdir(all)) != NULL;) {
        char path[1600], why[1800];
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        cuda_text *text = e->d_name[0] != '.' ? cuda_text_read(path, vocab, why, sizeof(why)) : NULL;
        if (text == NULL) {
            if (e->d_name[0] != '.' && why[0] != '\0')
                fail_msg("%s", why);
            continue;
        }
        if (text->source.inputs != cuda_model_inputs(model_path, text->tokens, TEXT_POSITIONS))
            fail_msg("%s: the model or its tokens are not those that the vectors were made of", path);
        static int32_t tokens[TEXT_POSITIONS]; /* that a is of */
        if (a.base == NULL || memcmp(tokens, text->tokens, sizeof(tokens)) != 0) {
            answers_free(&a);
            answer(text, vocab, &a);
            memcpy(tokens, text->tokens, sizeof(tokens));
        }
        tabulate(text, &a);
        if (count++ == 0)
            plant_all(text, &a);
        free(text);
    }
    if (all != NULL)
        closedir(all);
    answers_free(&a);
    if (count == 0)
        fail_msg("%s: no vectors of a text", folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_what_was_recorded_and_a_planted_fault_is_not),
    };
    return cmocka_run_group_tests_name("cuda_text", tests, NULL, harness_finish);
}
