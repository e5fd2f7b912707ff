/* replay.c - Pumice's run of a case against a vector. */
#include "cuda/replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The greatest |error| / size of errors above atol. */
static double relative(const float *got, const double *want, const double *size, uint32_t count, double atol)
{
    double worst = 0.0;
    for (uint32_t i = 0; i < count; i++)
        if (fabs((double)got[i] - want[i]) > atol)
            worst = fmax(worst, fabs((double)got[i] - want[i]) / size[i]);
    return worst;
}

/* At the elements that a vector has: its values, the result in double, the sum of its |terms|. */
typedef struct expected {
    double *vector, *want, *size;
} expected;

static expected expect(const cuda_case *c, const cuda_inputs *in, const cuda_vector *v)
{
    double *want = malloc(v->elements * sizeof(double)), *size = malloc(v->elements * sizeof(double));
    expected e = {.vector = malloc(v->count * sizeof(double)), .want = want, .size = size};
    assert_true(want != NULL && size != NULL && e.vector != NULL);
    cuda_case_double(c, in, want, size);
    for (uint32_t i = 0; i < v->count; i++) { /* in place: an element's place is never before its sample's */
        e.vector[i] = (double)v->values[i];
        want[i] = want[cuda_vector_element(v, i)];
        size[i] = size[cuda_vector_element(v, i)];
    }
    return e;
}

static void check_variant(const cuda_case *c, uint32_t variant, const cuda_vector *v, const expected *e, const float *full,
                          replay_tally *t)
{
    double rtol, atol;
    const double own = vulkan_rtol(c, variant);
    const char *name = vulkan_variant(c, variant);
    float *got = malloc(v->count * sizeof(float));
    uint64_t at;
    assert_non_null(got);
    cuda_case_bounds(c, &rtol, &atol);
    for (uint32_t i = 0; i < v->count; i++)
        got[i] = full[cuda_vector_element(v, i)];
    const double worst = cuda_worst(got, e->vector, e->size, v->count, 2.0 * rtol + own, 2.0 * atol, &at);
    const double mine = relative(got, e->want, e->size, v->count, atol);
    const double theirs = relative(v->values, e->want, e->size, v->count, atol);
    print_message("%-4s %-36s %-10s %.2f of the bound; against double %.1e, %s %.1e\n", v->origin, c->name, name, worst, mine,
                  v->kernel, theirs);
    if (!(worst <= 1.0))
        fail_msg("%s, %s, %s's %s on %s: element %llu is %.9g, expected %.9g: %.2f times the bound", c->name, name, v->origin,
                 v->kernel, v->device, (unsigned long long)cuda_vector_element(v, (uint32_t)at), (double)got[at], e->vector[at],
                 worst);
    if (!(mine <= fmax(2.0 * theirs, rtol + own)))
        fail_msg("%s, %s: worst error %.2e of the terms' sum, %s's is %.2e", c->name, name, mine, v->kernel, theirs);
    t->runs++;
    *(strcmp(v->origin, "CUDA") == 0 ? &t->cuda : &t->host) += 1;
    free(got);
}

void replay(const cuda_case *c, const cuda_inputs *in, const cuda_vector *v, replay_tally *t)
{
    uint32_t ran = 0;
    expected e = expect(c, in, v);
    float *full = malloc(v->elements * sizeof(*full));
    assert_non_null(full);
    for (uint32_t variant = 0; vulkan_variant(c, variant) != NULL; variant++)
        if (vulkan_run(c, in, variant, full)) {
            check_variant(c, variant, v, &e, full, t);
            ran++;
        }
    if (ran == 0)
        print_message("%-4s %-36s not supported\n", v->origin, c->name);
    t->unsupported += ran == 0;
    free(full);
    free(e.vector);
    free(e.want);
    free(e.size);
}
