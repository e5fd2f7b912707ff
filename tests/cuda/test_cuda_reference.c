/* test_cuda_reference.c - the reference kernels, built by gcc through shim.h, against double; and
 * the shim itself, which must show what a kernel does wrong. */
#include "cuda/cases.h"
#include "cuda/shim.h"
#include "ref/matmul.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void every_kernel_matches_double(void **state)
{
    (void)state;
    uint32_t count;
    const cuda_case *cases = cuda_cases(&count);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t elements = cuda_case_elements(&cases[i]);
        float *got = malloc(elements * sizeof(*got));
        double *want = malloc(elements * sizeof(*want)), *size = malloc(elements * sizeof(*size)), rtol, atol;
        uint64_t at;
        cuda_inputs in;
        assert_true(got != NULL && want != NULL && size != NULL);
        cuda_inputs_make(&cases[i], harness_seed(), &in);
        assert_true(cuda_case_run(cuda_kernels_host(), &cases[i], &in, got));
        cuda_case_double(&cases[i], &in, want, size);
        cuda_case_bounds(&cases[i], &rtol, &atol);
        const double worst = cuda_worst(got, want, size, elements, rtol, atol, &at);
        if (worst > 0.25)
            print_message("%s: %.2f of the bound\n", cases[i].name, worst);
        if (!(worst <= 1.0))
            fail_msg("%s: element %llu of %llu is %.9g, expected %.9g: %.2f times the bound", cases[i].name,
                     (unsigned long long)at, (unsigned long long)elements, (double)got[at], want[at], worst);
        cuda_inputs_free(&in);
        free(got);
        free(want);
        free(size);
    }
    print_message("%u cases\n", count);
}

/* Bits, not values: what threads do between two barriers must not depend on who is first. */
static void no_kernel_depends_on_the_order_of_its_threads(void **state)
{
    (void)state;
    uint32_t count;
    const cuda_case *cases = cuda_cases(&count);
    for (uint32_t i = 0; i < count; i++) {
        const cuda_case *c = &cases[i];
        if (c->op == CUDA_MATMUL && c->k > 768)
            continue; /* the same kernel, only longer */
        const uint64_t elements = cuda_case_elements(c);
        float *got[2] = {malloc(elements * sizeof(float)), malloc(elements * sizeof(float))};
        cuda_inputs in;
        assert_true(got[0] != NULL && got[1] != NULL);
        cuda_inputs_make(c, harness_seed(), &in);
        for (int order = 0; order < 2; order++) {
            shim_order(order == 0 ? 0 : (uint32_t)harness_seed() | 1);
            assert_true(cuda_case_run(cuda_kernels_host(), c, &in, got[order]));
        }
        shim_order(0);
        if (memcmp(got[0], got[1], elements * sizeof(float)) != 0)
            fail_msg("%s: another order of threads gives another result", c->name);
        cuda_inputs_free(&in);
        free(got[0]);
        free(got[1]);
    }
}

/* What model.c's controls are made of: each precision of a matmul against plain C with the same roundings. */
static void every_precision_rounds_as_it_says(void **state)
{
    (void)state;
    enum { N = 40, K = 800, ROWS = 11 }; /* neither of whole blocks of 64 outputs or 8 rows */
    const cuda_kernels *kernels = cuda_kernels_host();
    static float w[N * K], x[ROWS * K], rounded[ROWS * K], y[ROWS * N];
    input_fill(w, N * K, INPUT_NORMAL, harness_seed());
    input_fill(x, ROWS * K, INPUT_NORMAL, harness_seed() + 1);
    float plain_differs = 0.0f;
    for (uint32_t precision = CUDA_PLAIN; precision <= CUDA_BYTES; precision++) {
        const bool rounds = precision >= CUDA_HALF;
        const cuda_round r = {.x = x, .y = rounded, .rows = ROWS, .k = K, .precision = precision};
        const cuda_matmul m = {.w = (const uint8_t *)w, .type = PM_DTYPE_F32, .x = rounds ? rounded : x, .y = y, .rows = ROWS,
                               .n = N, .k = K, .x_stride = K, .y_stride = N, .precision = precision, .block = 24};
        assert_true(!rounds || kernels->round_rows(&r));
        assert_true(kernels->matmul(&m));
        for (uint32_t i = 0; i < ROWS * N; i++) {
            const float *row = w + i % N * K, *in = x + i / N * K;
            double size, block_size;
            const double exact = ref_matmul(row, in, K, &size, &block_size);
            const double want = precision == CUDA_HALF    ? (double)ref_matmul_f16(row, in, K)
                                : precision == CUDA_BYTES ? (double)ref_matmul_int8(row, in, K)
                                                          : exact;
            if (!(fabs((double)y[i] - want) <= 2e-6 * size))
                fail_msg("precision %u: element %u is %.9g, expected %.9g", precision, i, (double)y[i], want);
            plain_differs = fmaxf(plain_differs, rounds ? fabsf(y[i] - (float)exact) / (float)size : 0.0f);
        }
    }
    assert_true(plain_differs > 1e-4f); /* the roundings are there */
}

/* ------------------------------------------------------------------ shim */

/* Each thread takes what its right neighbour wrote; without a barrier that may be the last block's. */
static uint32_t neighbours[64];

static void take_neighbour(const void *args)
{
    static uint32_t shared[64];
    const bool barrier = *(const bool *)args;
    shared[threadIdx.x] = threadIdx.x + 100 * blockIdx.x;
    if (barrier)
        __syncthreads();
    neighbours[threadIdx.x] = shared[(threadIdx.x + 1) % 64];
}

static void leave_early(const void *args)
{
    (void)args;
    if (threadIdx.x > 3)
        __syncthreads();
}

static void a_missing_barrier_shows(void **state)
{
    (void)state;
    const dim3 grid = {3, 1, 1}, block = {64, 1, 1};
    for (int barrier = 0; barrier < 2; barrier++) {
        const bool flag = barrier != 0;
        bool right = true;
        for (uint32_t seed = 0; seed < 3; seed++) {
            shim_order(seed);
            shim_launch("take_neighbour", take_neighbour, &flag, grid, block);
            for (uint32_t i = 0; i < 64; i++)
                right = right && neighbours[i] == (i + 1) % 64 + 200;
        }
        assert_int_equal(right, flag);
    }
    shim_order(0);
}

static void a_barrier_that_not_all_reach_ends_the_program(void **state)
{
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const dim3 one = {1, 1, 1}, block = {8, 1, 1};
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) != NULL)
            shim_launch("leave_early", leave_early, NULL, one, block);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Every (block, thread) once, in three dimensions. */
static uint32_t visits[2][3][4][2][3];

static void visit(const void *args)
{
    (void)args;
    assert_true(blockDim.x == 3 && blockDim.y == 2 && gridDim.x == 4 && gridDim.y == 3);
    visits[blockIdx.z][blockIdx.y][blockIdx.x][threadIdx.y][threadIdx.x] += 1 + blockDim.z * gridDim.z;
}

static void every_thread_of_every_block_runs_once(void **state)
{
    (void)state;
    const dim3 grid = {4, 3, 2}, block = {3, 2, 1};
    for (uint32_t seed = 0; seed < 4; seed++) {
        memset(visits, 0, sizeof(visits));
        shim_order(seed);
        shim_launch("visit", visit, NULL, grid, block);
        const uint32_t *all = &visits[0][0][0][0][0];
        for (size_t i = 0; i < sizeof(visits) / sizeof(*all); i++)
            assert_int_equal(all[i], 3);
    }
    shim_order(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_of_every_block_runs_once),
        cmocka_unit_test(a_missing_barrier_shows),
        cmocka_unit_test(a_barrier_that_not_all_reach_ends_the_program),
        cmocka_unit_test(every_kernel_matches_double),
        cmocka_unit_test(every_precision_rounds_as_it_says),
        cmocka_unit_test(no_kernel_depends_on_the_order_of_its_threads),
    };
    print_message("seed %llu\n", (unsigned long long)harness_seed());
    return cmocka_run_group_tests_name("cuda_reference", tests, NULL, NULL);
}
