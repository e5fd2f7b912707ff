/* test_cuda_record.c - divergences, records and recorded texts are what they say, without a device.
 *
 * Each criterion of divergence_misses() alone refuses what it is there for; a vector of a text that is not whole is refused;
 * and gcc's build of the kernels gives what the vectors of a text say, so that they are not of another model or other
 * kernels: the record, and a control's rows. */
#include "cuda/model_cases.h"
#include "cuda/text.h"
#include "op/harness.h"
#include "temporary.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT 1000u
#define VOCAB 64u

/* Two positions of six logits, worked out by hand. */
static void divergences_are_those_worked_out_by_hand(void **state)
{
    (void)state;
    const float half = logf(0.5f), tenth = logf(0.1f), third = logf(0.3f);
    const float a[12] = {half, tenth, tenth, tenth, tenth, tenth, 2, 2, 2, 2, 2, 3};
    const float b[12] = {tenth, third, third, tenth, tenth, tenth, 5, 5, 5, 5, 5, 6};
    const int32_t tokens[2] = {0, 1};
    const divergence d = divergence_of(a, b, tokens, 2, 6);
    const double kl = 0.5 * log(0.5 / 0.1) + 2.0 * 0.1 * log(0.1 / 0.3);
    assert_true(fabs(d.kl_max - kl) < 1e-6 && fabs(d.kl_mean - kl / 2.0) < 1e-6 && fabs(d.kl_median - kl) < 1e-6);
    assert_true(d.top1 == 0.5 && fabs(d.delta_max - 3.0) < 1e-6);
    assert_true(fabs(d.top5 - 1.0) < 1e-6);
    assert_true(fabs(d.ppl - 10.0) < 1e-5 && fabs(d.ppl_difference - (1.0 / 0.3 - 10.0)) < 1e-5 && d.ppl_error == 0.0);
}

static void make_logits(uint32_t stream, float *logits)
{
    for (uint32_t i = 0; i < VOCAB; i++)
        logits[i] = 4.0f * (float)input_index(stream, i, 1 << 20) / (float)(1 << 20);
}

/* Half of the sum of p (d - mean d)^2 where d = b - a is small, far below the rounding of a sum of p ln(p / q). */
static void the_least_divergences_are_not_rounding(void **state)
{
    (void)state;
    float a[VOCAB], b[VOCAB];
    for (uint32_t trial = 0; trial < 50; trial++) {
        make_logits(100 + trial, a);
        make_logits(200 + trial, b);
        double sum = divergence_log_sum(a, VOCAB), mean = 0.0, kl = 0.0;
        for (uint32_t i = 0; i < VOCAB; i++) {
            b[i] = a[i] + (b[i] - 2.0f) * 1e-6f;
            mean += exp((double)a[i] - sum) * ((double)b[i] - (double)a[i]);
        }
        for (uint32_t i = 0; i < VOCAB; i++) {
            const double d = (double)b[i] - (double)a[i] - mean;
            kl += 0.5 * exp((double)a[i] - sum) * d * d;
        }
        const double got = divergence_at(a, b, VOCAB, -1).kl;
        if (!(kl > 1e-14 && fabs(got - kl) < 1e-4 * kl))
            fail_msg("KL is %.6e, expected %.6e", got, kl);
    }
}

static void what_is_not_finite_is_infinitely_far(void **state)
{
    (void)state;
    float a[VOCAB], b[VOCAB], values[RECORD_VALUES(8)];
    for (uint32_t i = 0; i < 3; i++) {
        make_logits(1, a);
        memcpy(b, a, sizeof(b));
        record_make(a, VOCAB, 8, values);
        assert_true(divergence_at(a, b, VOCAB, 0).kl == 0.0 && record_against(values, 8, b, VOCAB).kl < 1e-15);
        b[7] = i == 0 ? NAN : i == 1 ? INFINITY : 0.0f;
        b[8] = i == 2 ? 3e38f : b[8];
        const divergence_point d = divergence_at(a, b, VOCAB, 0), r = record_against(values, 8, b, VOCAB);
        assert_true(d.kl > 1e30 && r.kl > 1.0 && (i == 2 || (isinf(d.kl) && isinf(r.kl))));
    }
}

/* Classes put together are never further apart than they are one by one. */
static void a_record_tells_no_more_than_all_logits(void **state)
{
    (void)state;
    float a[VOCAB], b[VOCAB], values[RECORD_VALUES(VOCAB)];
    for (uint32_t trial = 0; trial < 50; trial++) {
        double before = 0.0;
        make_logits(300 + trial, a);
        make_logits(400 + trial, b);
        const divergence_point all = divergence_at(a, b, VOCAB, -1);
        for (uint32_t top = 5; top <= VOCAB; top += top < 60 ? 11 : 4) {
            record_make(a, VOCAB, top, values);
            assert_true(record_check(values, top, VOCAB));
            assert_true(record_sum_error(values, top, a, VOCAB) < 1e-6 && record_sum_error(values, top, b, VOCAB) > 1e-4);
            const divergence_point r = record_against(values, top, b, VOCAB);
            assert_true(r.kl >= before - 1e-9 && r.kl <= all.kl + 1e-9 && r.top1 == all.top1 && r.top5 == all.top5);
            before = r.kl;
        }
        if (!(fabs(before - all.kl) < 1e-6 * all.kl))
            fail_msg("KL of a whole record is %.9e, expected %.9e", before, all.kl);
    }
    record_make(a, VOCAB, 8, values);
    static const struct { uint32_t at; float value; } wrong[] = {{0, -1.0f}, {0, 64.0f}, {0, 1.5f}, {0, NAN}, {8, 99.0f}, {15, 99.0f},
                                                                 {16, INFINITY}, {16, -9.0f}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const float kept = values[wrong[i].at];
        values[wrong[i].at] = wrong[i].value;
        assert_false(record_check(values, 8, VOCAB));
        values[wrong[i].at] = kept;
    }
    assert_true(record_check(values, 8, VOCAB));
}

/* ---------------------------------------------------------------- criteria */

static const divergence_bar bar = {1.5, 1.5, 1.5, 3.0};

/* A control with KL spread over four decades; every token is the same. */
static void make_points(divergence_point *points)
{
    for (uint32_t i = 0; i < COUNT; i++)
        points[i] = (divergence_point){.kl = 1e-9 * pow(10.0, 4.0 * i / COUNT), .top1 = 1.0, .top5 = 1.0, .nll = i % 2 ? 1.0 : 3.0};
}

static const char *missed_with(const divergence_point *points)
{
    divergence_point control[COUNT];
    make_points(control);
    const divergence c = divergence_sum(control, COUNT), d = divergence_sum(points, COUNT);
    return divergence_misses(&d, &c, &bar);
}

static void each_criterion_refuses_what_it_is_for(void **state)
{
    (void)state;
    divergence_point p[COUNT];
    make_points(p);
    assert_null(missed_with(p));
    for (uint32_t i = 0; i < COUNT; i++)
        p[i].kl *= 1.45;
    assert_null(missed_with(p));
    for (uint32_t i = 0; i < COUNT; i++)
        p[i].kl *= 1.55 / 1.45;
    assert_string_equal(missed_with(p), "mean KL");
    make_points(p); /* the lower half, which adds next to nothing to the mean */
    for (uint32_t i = 0; i <= COUNT / 2; i++)
        p[i].kl = 1.6 * 1e-9 * pow(10.0, 2.0);
    assert_string_equal(missed_with(p), "median KL");
    make_points(p); /* twelve of a thousand positions */
    for (uint32_t i = 988; i < COUNT; i++)
        p[i].kl *= 1.7;
    assert_string_equal(missed_with(p), "99th percentile of KL");
    make_points(p);
    p[COUNT - 1].kl *= 3.1;
    assert_string_equal(missed_with(p), "greatest KL");
    make_points(p); /* the standard error is e^2 sqrt(1 / 1000) = 0.23 */
    for (uint32_t i = 0; i < COUNT; i++)
        p[i].nll_difference = 0.031;
    assert_null(missed_with(p));
    for (uint32_t i = 0; i < COUNT; i++)
        p[i].nll_difference = -0.033;
    assert_string_equal(missed_with(p), "perplexity");
    make_points(p);
    for (uint32_t i = 0; i < 11; i++)
        p[i].top1 = 0.0;
    assert_string_equal(missed_with(p), "first tokens");
    make_points(p);
    for (uint32_t i = 0; i < 60; i++)
        p[i].top5 = 0.8;
    assert_string_equal(missed_with(p), "first five tokens");
    make_points(p);
    p[0].kl = NAN;
    assert_string_equal(missed_with(p), "mean KL");
}

/* ----------------------------------------------------------------- vectors */

/* Calls `each` with every folder of vectors that has the text. */
static uint32_t for_texts(uint32_t vocab, void (*each)(const char *folder, const cuda_text *text))
{
    const char *root = getenv("PUMICE_TEST_SOURCE");
    char folder[1300], path[1600], why[1800];
    uint32_t count = 0;
    snprintf(folder, sizeof(folder), "%s/tests/cuda/vectors", root != NULL ? root : ".");
    DIR *all = opendir(folder);
    for (struct dirent *e; all != NULL && (e = readdir(all)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        cuda_text *text = e->d_name[0] != '.' ? cuda_text_read(path, vocab, why, sizeof(why)) : NULL;
        if (text != NULL) {
            each(path, text);
            count++;
        } else if (e->d_name[0] != '.' && why[0] != '\0')
            fail_msg("%s", why);
        free(text);
    }
    if (all != NULL)
        closedir(all);
    return count;
}

static cuda_model *open_demo(char path[1200])
{
    const char *root = getenv("PUMICE_TEST_SOURCE");
    char why[512];
    snprintf(path, 1200, "%s/tools/demo_model/pumice-demo-q8_0.gguf", root != NULL ? root : ".");
    cuda_model *model = cuda_model_open(cuda_kernels_host(), path, why, sizeof(why));
    if (model == NULL)
        fail_msg("%s", why);
    return model;
}

/* As the conversations of the demo model and the kernels here make it, of a sequence's first positions. */
#define REMADE 48u
static void remake(const char *folder, const cuda_text *text)
{
    static divergence_point mine[REMADE], f32[REMADE], int8[REMADE];
    static int32_t tokens[TEXT_POSITIONS];
    const char *root = getenv("PUMICE_TEST_SOURCE");
    char path[1200], lines[1200], why[512];
    cuda_model *model = open_demo(path);
    const uint32_t vocab = cuda_model_vocab(model), first = (TEXT_SEQUENCES - 1) * TEXT_TOKENS;
    float *logits = malloc((uint64_t)REMADE * vocab * sizeof(*logits));
    assert_non_null(logits);
    snprintf(lines, sizeof(lines), "%s/tools/demo_model/heldout-200.jsonl", root != NULL ? root : ".");
    if (!cuda_text_tokens(path, lines, tokens, why, sizeof(why)))
        fail_msg("%s", why);
    if (memcmp(tokens, text->tokens, sizeof(tokens)) != 0 || text->source.inputs != cuda_model_inputs(path, tokens, TEXT_POSITIONS))
        fail_msg("%s: the model or its tokens are not those that the vectors were made of", folder);
    assert_true(cuda_model_score(model, tokens + first, REMADE, &(cuda_model_pass){.chunk = TEXT_CHUNK}, logits));
    for (uint32_t p = 0; p < REMADE; p++) {
        const float *values = text->values[first + p];
        mine[p] = cuda_text_against(values, tokens[first + p + 1], logits + (uint64_t)p * vocab, vocab);
        f32[p] = text->controls[CONTROL_F32][first + p];
        assert_true(record_sum_error(values + 2, TEXT_TOP, logits + (uint64_t)p * vocab, vocab) < 1e-4);
    }
    const divergence exact = divergence_sum(mine, REMADE), control = divergence_sum(f32, REMADE);
    print_message("%s: KL of this build's logits to the record: %.1e, of the f32 control's %.1e\n", folder, exact.kl_mean,
                  control.kl_mean);
    assert_true(exact.kl_mean <= 1.5 * control.kl_mean && exact.top1 > 0.999);
    const cuda_model_pass pass = cuda_control_pass(CONTROL_INT8, TEXT_CONTROL_CHUNK, 1.0f);
    assert_true(cuda_model_score(model, tokens + first, REMADE, &pass, logits));
    for (uint32_t p = 0; p < REMADE; p++) {
        mine[p] = cuda_text_against(text->values[first + p], tokens[first + p + 1], logits + (uint64_t)p * vocab, vocab);
        int8[p] = text->controls[CONTROL_INT8][first + p];
    }
    const divergence remade = divergence_sum(mine, REMADE), recorded = divergence_sum(int8, REMADE);
    print_message("%s: the int8 control's KL is %.4e here, recorded %.4e\n", folder, remade.kl_mean, recorded.kl_mean);
    assert_true(remade.kl_mean <= 1.5 * recorded.kl_mean && recorded.kl_mean <= 1.5 * remade.kl_mean);
    cuda_model_close(model);
    free(logits);
}

static void recorded_texts_are_what_the_kernels_give(void **state)
{
    (void)state;
    char path[1200];
    cuda_model *model = open_demo(path);
    const uint32_t vocab = cuda_model_vocab(model);
    cuda_model_close(model);
    assert_true(for_texts(vocab, remake) > 0);
}

/* Copies a vector of a text to `to`, with another value, element count or provenance. */
static void copy_vector(const char *from, const char *to, const char *name, uint32_t at, float value, const char *date)
{
    char path[1800], why[1900];
    cuda_vector v;
    snprintf(path, sizeof(path), "%s/%s.vec", from, name);
    if (!cuda_vector_read(path, &v, why, sizeof(why)))
        fail_msg("%s", why);
    if (at < v.count)
        v.values[at] = value;
    if (date != NULL)
        snprintf(v.date, sizeof(v.date), "%s", date);
    snprintf(path, sizeof(path), "%s/%s.vec", to, name);
    if (!cuda_vector_write(path, &v, why, sizeof(why)))
        fail_msg("%s", why);
    cuda_vector_free(&v);
}

static char broken[512];
static uint32_t broken_vocab;

/* The folder with all of its vectors and one of them wrong is not read. */
static void break_each(const char *folder, const cuda_text *text)
{
    (void)text;
    char name[64], path[700], why[1800];
    for (uint32_t i = 0; i < TEXT_SEQUENCES + CONTROLS; i++) {
        (i < TEXT_SEQUENCES ? cuda_text_sequence_name : cuda_text_control_name)(i < TEXT_SEQUENCES ? i : i - TEXT_SEQUENCES, name);
        copy_vector(folder, broken, name, UINT32_MAX, 0.0f, NULL);
    }
    free(cuda_text_read(broken, broken_vocab, why, sizeof(why)));
    assert_string_equal(why, "");
    static const struct { const char *name; uint32_t at; float value; const char *date, *says; } wrong[] = {
        {"model.text.3", 0, 1e6f, NULL, "out of range"},                 /* a token */
        {"model.text.3", 2 * TEXT_VALUES - 1, NAN, NULL, "out of range"}, /* a checksum */
        {"model.text.7", 3 * TEXT_VALUES + 1, 1e9f, NULL, "out of range"}, /* a next logit above the first */
        {"model.text.f16", 0, -1.0f, NULL, "out of range"},              /* KL */
        {"model.text.int8", 2, 0.5f, NULL, "out of range"},              /* a first token that is half the same */
        {"model.text.f32", UINT32_MAX, 0.0f, "2001-01-01", "another run"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        copy_vector(folder, broken, wrong[i].name, wrong[i].at, wrong[i].value, wrong[i].date);
        assert_null(cuda_text_read(broken, broken_vocab, why, sizeof(why)));
        if (strstr(why, wrong[i].says) == NULL)
            fail_msg("expected \"%s\", got: %s", wrong[i].says, why);
        copy_vector(folder, broken, wrong[i].name, UINT32_MAX, 0.0f, NULL);
    }
    snprintf(path, sizeof(path), "%s/model.text.5.vec", broken);
    assert_int_equal(truncate(path, 4096), 0);
    assert_null(cuda_text_read(broken, broken_vocab, why, sizeof(why)));
    assert_non_null(strstr(why, "wrong"));
    for (uint32_t i = 0; i < TEXT_SEQUENCES + CONTROLS; i++) {
        (i < TEXT_SEQUENCES ? cuda_text_sequence_name : cuda_text_control_name)(i < TEXT_SEQUENCES ? i : i - TEXT_SEQUENCES, name);
        snprintf(path, sizeof(path), "%.40s/%s.vec", broken, name);
        assert_int_equal(remove(path), 0);
    }
}

static void a_text_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    char path[1200];
    cuda_model *model = open_demo(path);
    broken_vocab = cuda_model_vocab(model);
    cuda_model_close(model);
    temporary_template(broken, sizeof(broken), "text");
    assert_non_null(mkdtemp(broken));
    assert_true(for_texts(broken_vocab, break_each) > 0);
    assert_int_equal(rmdir(broken), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divergences_are_those_worked_out_by_hand),
        cmocka_unit_test(the_least_divergences_are_not_rounding),
        cmocka_unit_test(what_is_not_finite_is_infinitely_far),
        cmocka_unit_test(a_record_tells_no_more_than_all_logits),
        cmocka_unit_test(each_criterion_refuses_what_it_is_for),
        cmocka_unit_test(recorded_texts_are_what_the_kernels_give),
        cmocka_unit_test(a_text_that_is_not_whole_is_refused),
    };
    return cmocka_run_group_tests_name("cuda_record", tests, NULL, NULL);
}
