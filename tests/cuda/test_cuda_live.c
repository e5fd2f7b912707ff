/* test_cuda_live.c - Pumice against CUDA in one process, on fresh random inputs.
 *
 * nvcc's build of the kernels comes from PUMICE_CUDA_LIBRARY, or from where the test cuda.nvcc put it. Every
 * case runs on the GPU, is held to double, and is replayed through Pumice as a vector is; matmuls
 * of f16 also through cuBLAS. Skipped where there is no library or no NVIDIA GPU. */
#include "cuda/cublas.h"
#include "cuda/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const cuda_kernels *kernels;
static uint64_t seed;
static bool cublas;

static void check_double(const cuda_case *c, const cuda_inputs *in, const cuda_vector *v)
{
    double *want = malloc(v->elements * sizeof(*want)), *size = malloc(v->elements * sizeof(*size)), rtol, atol;
    uint64_t at;
    assert_true(want != NULL && size != NULL);
    cuda_case_double(c, in, want, size);
    cuda_case_bounds(c, &rtol, &atol);
    const double worst = cuda_worst(v->values, want, size, v->elements, rtol, atol, &at);
    if (!(worst <= 1.0))
        fail_msg("%s: %s's element %llu is %.9g, expected %.9g: %.2f times the bound", c->name, v->kernel, (unsigned long long)at,
                 (double)v->values[at], want[at], worst);
    free(want);
    free(size);
}

static void check_case(const cuda_case *c, replay_tally *t)
{
    cuda_inputs in;
    cuda_vector v = {.elements = cuda_case_elements(c)};
    v.count = (uint32_t)v.elements;
    v.values = malloc(v.elements * sizeof(float));
    assert_non_null(v.values);
    cuda_inputs_make(c, seed, &in);
    snprintf(v.name, sizeof(v.name), "%s", c->name);
    snprintf(v.origin, sizeof(v.origin), "%s", kernels->origin);
    snprintf(v.device, sizeof(v.device), "%s", kernels->device);
    for (int library = 0; library < (cublas && c->half_x ? 2 : 1); library++) {
        snprintf(v.kernel, sizeof(v.kernel), "%s", library ? "cublas" : "kernel");
        if (!(library ? cuda_cublas_run : cuda_case_run)(kernels, c, &in, v.values))
            fail_msg("%s: %s: %s", c->name, v.kernel, kernels->error());
        check_double(c, &in, &v);
        replay(c, &in, &v, t);
    }
    cuda_inputs_free(&in);
    cuda_vector_free(&v);
}

static void run_ops(cuda_op first, cuda_op last, const char *what)
{
    uint32_t count;
    replay_tally t = {0};
    const cuda_case *cases = cuda_cases(&count);
    for (uint32_t i = 0; i < count; i++)
        if (cases[i].op >= first && cases[i].op <= last)
            check_case(&cases[i], &t);
    replay_report(what, &t);
    assert_true(t.runs > 0);
}

static void every_case_is_what_cuda_gives(void **state)
{
    (void)state;
    run_ops(CUDA_EMBEDDING, CUDA_EMBEDDING, "embedding");
    run_ops(CUDA_MATMUL, CUDA_MATMUL, "matmul");
    run_ops(CUDA_RMSNORM, CUDA_ROPE, "rmsnorm, rope");
    run_ops(CUDA_DECODE, CUDA_PREFILL, "attention");
    run_ops(CUDA_SWIGLU, CUDA_TOPK, "swiglu, argmax, topk");
}

int main(void)
{
    const char *library = getenv("PUMICE_CUDA_LIBRARY"), *folder = getenv("PUMICE_TEST_BINARY");
    char path[1200], why[512];
    snprintf(path, sizeof(path), "%s/tests/cuda/libpumice_cuda.so", folder != NULL ? folder : ".");
    kernels = cuda_kernels_load(library != NULL ? library : path, why, sizeof(why));
    if (kernels == NULL) {
        printf("skipped: %s\n", why);
        return 77;
    }
    seed = getenv("PUMICE_TEST_SEED") != NULL ? harness_seed() : (uint64_t)time(NULL);
    cublas = cuda_cublas_open(why, sizeof(why));
    printf("%s, driver %s, %s; %s; PUMICE_TEST_SEED=%llu\n", kernels->device, kernels->driver, kernels->runtime,
           cublas ? "with cuBLAS" : why, (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_what_cuda_gives),
    };
    return cmocka_run_group_tests_name("cuda_live", tests, NULL, harness_finish);
}
