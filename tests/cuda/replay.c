/* replay.c - Pumice's run of a case against a vector. */
#include "cuda/replay.h"

#include "op/turn.h"
#include "ref/matmul.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TYPES_AT_LENGTH 3          /* about so many types have all sizes on a CPU driver */

/* At the elements that a vector has: its values, the result in double, the sum of its |terms|, and what a kind
 * of low precision, if matmul has a row of it, may add: see replay.h. */
typedef struct expected {
    double *vector, *want, *size;
    double *reach;                 /* PM_MATMUL_INT8: of the rounding of x */
    double trusted[PM_MATMUL_INT8 + 1]; /* worst error of plain C with the same roundings, in units of size or reach */
} expected;

/* The greatest |error| / unit of errors above atol. */
static double relative(const float *got, const double *want, const double *unit, uint32_t count, double atol)
{
    double worst = 0.0;
    for (uint32_t i = 0; i < count; i++)
        if (fabs((double)got[i] - want[i]) > atol)
            worst = fmax(worst, fabs((double)got[i] - want[i]) / unit[i]);
    return worst;
}

/* The square root of the sum of (|w| d / 2)^2, d the step of x in its block of 32. */
static double reach_of(const float *w, const float *x, uint32_t k)
{
    double sum = 0.0;
    for (uint32_t b = 0; b < k; b += 32) {
        double most = 0.0, squares = 0.0;
        for (uint32_t j = b; j < b + 32 && j < k; j++) {
            most = fmax(most, fabs((double)x[j]));
            squares += (double)w[j] * (double)w[j];
        }
        sum += most * most / (254.0 * 254.0) * squares;
    }
    return sqrt(sum);
}

static void expect_matmul(const cuda_case *c, const cuda_inputs *in, const cuda_vector *v, double atol, expected *e)
{
    float *plain = malloc(2 * v->count * sizeof(*plain)), *bytes = plain + v->count;
    assert_non_null(plain);
    for (uint32_t i = 0; i < v->count; i++) {
        const uint64_t element = cuda_vector_element(v, i), column = element % c->n;
        const float *w = in->w + column * c->k, *x = in->x + element / c->n * c->k;
        const float bias = in->bias != NULL ? in->bias[column] : 0.0f;
        plain[i] = ref_matmul_f16(w, x, c->k) + bias;
        bytes[i] = ref_matmul_int8(w, x, c->k) + bias;
        e->reach[i] = reach_of(w, x, c->k);
    }
    e->trusted[PM_MATMUL_MATRIX] = relative(plain, e->want, e->size, v->count, atol);
    e->trusted[PM_MATMUL_INT8] = relative(bytes, e->want, e->reach, v->count, atol);
    free(plain);
}

static expected expect(const cuda_case *c, const cuda_inputs *in, const cuda_vector *v, double atol)
{
    double *want = malloc(v->elements * sizeof(double)), *size = malloc(v->elements * sizeof(double));
    expected e = {.vector = malloc(v->count * sizeof(double)), .want = want, .size = size,
                  .reach = calloc(v->count, sizeof(double))};
    assert_true(want != NULL && size != NULL && e.vector != NULL && e.reach != NULL);
    cuda_case_double(c, in, want, size);
    for (uint32_t i = 0; i < v->count; i++) { /* in place: an element's place is never before its sample's */
        e.vector[i] = (double)v->values[i];
        want[i] = want[cuda_vector_element(v, i)];
        size[i] = size[cuda_vector_element(v, i)];
    }
    if (c->op == CUDA_MATMUL)
        expect_matmul(c, in, v, atol, &e);
    return e;
}

/* What the variant's own roundings add to the bound of element i. */
static double own(pm_matmul_numerics numerics, const expected *e, uint32_t i)
{
    switch (numerics) {
    case PM_MATMUL_F32: return 0.0;
    case PM_MATMUL_MATRIX: return 0x1p-10 * e->size[i];
    case PM_MATMUL_INT8: return 6.0 * e->reach[i];
    }
    return 0.0;
}

static void check_variant(const cuda_case *c, uint32_t variant, const cuda_vector *v, const expected *e, const float *full,
                          replay_row *row)
{
    double rtol, atol;
    const pm_matmul_numerics numerics = vulkan_numerics(c, variant);
    const double *unit = numerics == PM_MATMUL_INT8 ? e->reach : e->size;
    float *got = malloc(v->count * sizeof(*got));
    double *bound = malloc(v->count * sizeof(*bound));
    uint64_t at;
    assert_true(got != NULL && bound != NULL);
    cuda_case_bounds(c, &rtol, &atol);
    for (uint32_t i = 0; i < v->count; i++) {
        got[i] = full[cuda_vector_element(v, i)];
        bound[i] = 2.0 * (atol + rtol * e->size[i]) + own(numerics, e, i);
    }
    const double worst = cuda_worst(got, e->vector, bound, v->count, 1.0, 0.0, &at);
    if (!(worst <= 1.0))
        fail_msg("%s, %s, %s's %s on %s: element %llu is %.9g, expected %.9g: %.2f times the bound", c->name, row->name, v->origin,
                 v->kernel, v->device, (unsigned long long)cuda_vector_element(v, (uint32_t)at), (double)got[at], e->vector[at],
                 worst);
    const double mine = relative(got, e->want, unit, v->count, atol);
    const double theirs = numerics == PM_MATMUL_F32 ? relative(v->values, e->want, unit, v->count, atol) : e->trusted[numerics];
    const double slack = numerics == PM_MATMUL_INT8 ? 0.0 : c->op == CUDA_MATMUL || numerics == PM_MATMUL_F32 ? rtol : 0x1p-10 + rtol;
    if (!(mine <= fmax(2.0 * theirs, slack)))
        fail_msg("%s, %s: worst error against double %.2e, that of %s is %.2e, in units of %s", c->name, row->name, mine,
                 numerics == PM_MATMUL_F32 ? v->kernel : "plain C with the same roundings", theirs,
                 numerics == PM_MATMUL_INT8 ? "what rounding x reaches" : "the terms' sum");
    if (row->runs == 0 || worst > row->worst) {
        row->worst = worst;
        row->worst_case = c->name;
    }
    row->runs++;
    free(got);
    free(bound);
}

static bool has_turn(const cuda_case *c, uint32_t variant)
{
    return c->op != CUDA_MATMUL || !pm_vk_device_caps(harness_device())->is_cpu ||
           matmul_variants_in_turn(c->type, TYPES_AT_LENGTH) >> variant & 1;
}

void replay(const cuda_case *c, const cuda_inputs *in, const cuda_vector *v, replay_tally *t)
{
    uint32_t ran = 0;
    double rtol, atol;
    cuda_case_bounds(c, &rtol, &atol);
    expected e = expect(c, in, v, atol);
    float *full = malloc(v->elements * sizeof(*full));
    assert_non_null(full);
    for (uint32_t variant = 0; vulkan_variant(c, variant) != NULL; variant++) {
        assert_true(variant < REPLAY_ROWS_MAX);
        replay_row *row = &t->rows[variant];
        const char *lacks = vulkan_lacks(c, in, variant);
        row->name = vulkan_variant(c, variant);
        row->int8 = vulkan_numerics(c, variant) == PM_MATMUL_INT8;
        if (lacks != NULL) {
            row->lacks = lacks;
            row->lacking++;
            continue;
        }
        if (!has_turn(c, variant)) {
            row->waiting++;
            continue;
        }
        vulkan_run(c, in, variant, full);
        check_variant(c, variant, v, &e, full, row);
        ran++;
    }
    t->vectors++;
    t->runs += ran;
    *(strcmp(v->origin, "CUDA") == 0 ? &t->cuda : &t->host) += ran;
    t->unsupported += ran == 0;
    free(full);
    free(e.vector);
    free(e.want);
    free(e.size);
    free(e.reach);
}

void replay_report(const char *op, const replay_tally *t)
{
    print_message("%s: %u vectors, %u comparisons, %u with CUDA's and %u with the host's; %u vectors without an op here\n", op,
                  t->vectors, t->runs, t->cuda, t->host, t->unsupported);
    uint32_t waiting = 0;
    for (const replay_row *row = t->rows; row < t->rows + REPLAY_ROWS_MAX && row->name != NULL; row++) {
        if (row->runs > 0)
            print_message("  %-16s %4u, worst %.2f of the bound (%s)", row->name, row->runs, row->worst, row->worst_case);
        else
            print_message("  %-16s none", row->name);
        if (row->lacking > 0)
            print_message("; %u not: needs %s", row->lacking, row->lacks);
        print_message("\n");
        waiting += row->waiting;
    }
    if (waiting > 0)
        print_message("skipped: %s vectors with sizes of kernels whose turn it is not, by seed; PUMICE_TEST_FULL=1 has all "
                      "(%u cases)\n", op, waiting);
}
