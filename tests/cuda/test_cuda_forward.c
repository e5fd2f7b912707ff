/* test_cuda_forward.c - the forward pass of model.c, out of gcc's build of the kernels, against
 * logits recorded from Hugging Face transformers: it is an oracle only as far as it is right. */
#include "cuda/model.h"
#include "op/harness.h"

#include <stdio.h>
#include <stdlib.h>

#define TOKENS 96u
#define VOCAB_MAX 1024u

static size_t read_file(const char *name, const char *file, void *data, size_t bytes)
{
    const char *root = getenv("PUMICE_TEST_SOURCE");
    char path[1200];
    snprintf(path, sizeof(path), "%s/tests/data/hf/%s/%s", root != NULL ? root : ".", name, file);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("cannot open %s", path);
    const size_t got = fread(data, 1, bytes, f);
    fclose(f);
    return got;
}

/* float64 is 1e-12 from the recorded float32; test_hf_logits.c holds Pumice to the same 1e-9. */
static void agrees_with_transformers(void **state)
{
    const char *name = *state, *root = getenv("PUMICE_TEST_SOURCE");
    char path[1200], why[512];
    int32_t tokens[TOKENS];
    float *want = malloc(TOKENS * VOCAB_MAX * sizeof(*want)), *got = malloc(TOKENS * VOCAB_MAX * sizeof(*got));
    assert_true(want != NULL && got != NULL);
    assert_int_equal(read_file(name, "tokens.bin", tokens, sizeof(tokens)), sizeof(tokens));
    const size_t floats = read_file(name, "logits.bin", want, TOKENS * VOCAB_MAX * sizeof(*want)) / sizeof(*want);
    snprintf(path, sizeof(path), "%s/tests/data/hf/%s/model.gguf", root != NULL ? root : ".", name);
    cuda_model *model = cuda_model_open(cuda_kernels_host(), path, why, sizeof(why));
    if (model == NULL)
        fail_msg("%s", why);
    assert_int_equal(floats, TOKENS * cuda_model_vocab(model));
    static const uint32_t chunks[] = {TOKENS, 7, 1};
    for (size_t c = 0; c < 3; c++) {
        double error = 0.0, power = 0.0;
        assert_true(cuda_model_score(model, tokens, TOKENS, &(cuda_model_pass){.chunk = chunks[c]}, got));
        for (size_t i = 0; i < floats; i++) {
            error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
            power += (double)want[i] * (double)want[i];
        }
        print_message("%s, %u rows at a time: NMSE %.2e\n", name, chunks[c], error / power);
        if (!(error / power < 1e-9))
            fail_msg("%s: NMSE %.3e, expected below 1e-9", name, error / power);
    }
    cuda_model_close(model);
    free(want);
    free(got);
}

int main(void)
{
#define MODEL(name) {name, agrees_with_transformers, NULL, NULL, (void *)(uintptr_t)(name)}
    const struct CMUnitTest tests[] = {
        MODEL("llama-gqa"),     MODEL("llama-tied"),   MODEL("llama-rope3"),    MODEL("llama-linear"),
        MODEL("llama-headdim"), MODEL("llama-biases"), MODEL("mistral-window"), MODEL("qwen2"),
        MODEL("mixed-quants"),
    };
    return cmocka_run_group_tests_name("cuda_forward", tests, NULL, NULL);
}
