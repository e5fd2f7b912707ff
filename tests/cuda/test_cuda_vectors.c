/* test_cuda_vectors.c - Pumice against recorded outputs of the reference kernels, on any device.
 *
 * Every vector under tests/cuda/vectors (or PUMICE_CUDA_VECTORS) is replayed, see replay.h. */
#include "cuda/replay.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS_MAX 2048u

static struct {
    cuda_vector v;
    bool used;
} vectors[VECTORS_MAX];
static uint32_t vector_count;

static void read_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        fail_msg("cannot open %s", path);
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        char name[1400], why[1600];
        const size_t length = strlen(e->d_name);
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        if (e->d_name[0] == '.')
            continue;
        if (e->d_type == DT_DIR) {
            read_folder(name);
        } else if (length > 4 && strcmp(e->d_name + length - 4, ".vec") == 0) {
            assert_true(vector_count < VECTORS_MAX);
            if (!cuda_vector_read(name, &vectors[vector_count].v, why, sizeof(why)))
                fail_msg("%s", why);
            vector_count++;
        }
    }
    closedir(folder);
}

static void read_all(void)
{
    const char *path = getenv("PUMICE_CUDA_VECTORS"), *root = getenv("PUMICE_TEST_SOURCE");
    char fixed[1200];
    snprintf(fixed, sizeof(fixed), "%s/tests/cuda/vectors", root != NULL ? root : ".");
    if (vector_count == 0)
        read_folder(path != NULL ? path : fixed);
}

static void check_case(const cuda_case *c, replay_tally *t)
{
    bool seen = false;
    for (uint32_t n = 0; n < vector_count; n++) {
        const cuda_vector *v = &vectors[n].v;
        if (strcmp(v->name, c->name) != 0)
            continue;
        vectors[n].used = seen = true;
        cuda_inputs in;
        cuda_inputs_make(c, v->seed, &in);
        if (in.hash != v->inputs)
            fail_msg("%s: seed %llu gives other inputs than those of the vector: its generator changed, or the C library's "
                     "log() or cos() differs", c->name, (unsigned long long)v->seed);
        if (v->elements != cuda_case_elements(c))
            fail_msg("%s: the vector is of %llu elements, expected %llu", c->name, (unsigned long long)v->elements,
                     (unsigned long long)cuda_case_elements(c));
        replay(c, &in, v, t);
        cuda_inputs_free(&in);
    }
    if (!seen)
        fail_msg("%s: no vector; pumice-cuda-capture makes them", c->name);
}

/* Each variant ran with each vector, or lacks something there, or has no turn; and with some where it lacks nothing. */
static void check_rows(cuda_op op, const replay_tally *t)
{
    uint32_t int8 = 0;
    for (const replay_row *row = t->rows; row < t->rows + REPLAY_ROWS_MAX && row->name != NULL; row++) {
        if (op == CUDA_MATMUL || op == CUDA_DECODE)
            assert_int_equal(row->runs + row->lacking + row->waiting, t->vectors);
        assert_true(row->waiting == 0 || row->runs > 0); /* what waits for some types had its turn with others */
        int8 += row->int8 ? row->runs : 0;
    }
    if (op == CUDA_MATMUL && pm_vk_module_exists("matmul_dot_q8_0") && int8 == 0)
        fail_msg("no vector was compared with a matmul of 8-bit blocks");
}

static void run_ops(cuda_op first, cuda_op last, const char *what)
{
    uint32_t count;
    replay_tally t = {0};
    const cuda_case *cases = cuda_cases(&count);
    read_all();
    for (uint32_t i = 0; i < count; i++)
        if (cases[i].op >= first && cases[i].op <= last)
            check_case(&cases[i], &t);
    replay_report(what, &t);
    check_rows(first, &t);
    assert_true(t.runs > 0 || first == CUDA_TOPK);
}

static void embeddings_are_those_of_the_vectors(void **state) { (void)state; run_ops(CUDA_EMBEDDING, CUDA_EMBEDDING, "embedding"); }
static void matmuls_are_those_of_the_vectors(void **state) { (void)state; run_ops(CUDA_MATMUL, CUDA_MATMUL, "matmul"); }
static void norms_and_rotations_are_those_of_the_vectors(void **state) { (void)state; run_ops(CUDA_RMSNORM, CUDA_ROPE, "rmsnorm, rope"); }
static void attention_is_that_of_the_vectors(void **state) { (void)state; run_ops(CUDA_DECODE, CUDA_PREFILL, "attention"); }
static void the_rest_is_that_of_the_vectors(void **state) { (void)state; run_ops(CUDA_SWIGLU, CUDA_TOPK, "swiglu, argmax, topk"); }

static void every_vector_is_of_a_case(void **state)
{
    (void)state;
    read_all();
    for (uint32_t n = 0; n < vector_count; n++)
        if (!vectors[n].used && strncmp(vectors[n].v.name, "model.", 6) != 0 &&
            strncmp(vectors[n].v.name, "torch.", 6) != 0) /* those: test_cuda_model.c and test_cuda_torch.c */
            fail_msg("%s: no such case; vectors of cases that are gone must go, too", vectors[n].v.name);
}

static int finish(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < vector_count; n++)
        cuda_vector_free(&vectors[n].v);
    harness_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings_are_those_of_the_vectors),
        cmocka_unit_test(matmuls_are_those_of_the_vectors),
        cmocka_unit_test(norms_and_rotations_are_those_of_the_vectors),
        cmocka_unit_test(attention_is_that_of_the_vectors),
        cmocka_unit_test(the_rest_is_that_of_the_vectors),
        cmocka_unit_test(every_vector_is_of_a_case),
    };
    return cmocka_run_group_tests_name("cuda_vectors", tests, NULL, finish);
}
