/* test_dispatches.c - the dispatches and barriers of a layer, of what goes before and of the head, for every
 * architecture and for the kernels of CPU drivers and GPUs.
 *
 * A dispatch more is a fused kernel lost, and a barrier more a device that waits: both change no result, so
 * that nothing else would tell. What a layer costs is the difference between passes of two layers and of one.
 */
#include "model/model_file.h"
#include "op/sample.h"
#include "plan/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ok(call) do { if ((call) != PM_OK) fail_msg("%s: %s", #call, pm_error_message()); } while (0)

enum { ROWS = 128, SEQS = 16, CONTEXT = 1024, PAGE = 16 };

/* Recorded commands. */
typedef struct counts {
    uint32_t dispatches, barriers;
} counts;

/* ------------------------------------------------------------------ table */

/* A layer that is fused as far as it is, each dispatch waiting for the one before:
 *   rmsnorm (adds the residual), q k v as one matmul (with its bias), rope_kv (rotates q and k, stores k and
 *   v), attention, output matmul, rmsnorm (adds), gate and up as one matmul, swiglu, down matmul. */
#define LAYER 9

/* The kernels that a bucket is recorded with. */
typedef struct form {
    const char *variant;           /* PUMICE_VARIANT; "" = what this device takes */
    const char *why;
    bool prompts;                  /* also for chunks of a prompt */
    uint32_t layer;                /* dispatches and barriers on top of LAYER */
    uint32_t head;
} form;

static const form forms[] = {
    {"", "what a CPU driver takes by itself: no kernel quantises x, none splits", true, 0, 0},
    {"matmul:rows8,attention:decode", "f32 on a GPU", true, 0, 0},
    {"matmul:dot8,attention:decode", "x is quantised once for each of four maps and the head", true, 4, 1},
    {"matmul:rows8,attention:split", "the parts of a split attention are merged", false, 1, 0},
    {"matmul:dot8,attention:split", "both", false, 5, 1},
};

static const struct {
    const char *path;              /* below the source */
    uint32_t layer, head;          /* dispatches on top */
    bool forms;                    /* weights are of a type that all forms read */
    const char *why;
} models[] = {
    {"tools/demo_model/pumice-demo-q8_0.gguf", 0, 0, true, "llama"},
    {"tests/data/hf/llama-gqa/model.gguf", 0, 0, false, "llama with fewer KV heads"},
    {"tests/data/hf/llama-biases/model.gguf", 0, 0, false, "llama with biases: they are the matmuls'"},
    {"tests/data/hf/llama-tied/model.gguf", 0, 0, false, "llama with one matrix for embedding and output"},
    {"tests/data/hf/mistral-window/model.gguf", 0, 0, false, "Mistral: the window is attention's"},
    {"tests/data/hf/qwen2/model.gguf", 0, 0, false, "qwen2: q, k and v have biases"},
    {"tests/data/hf/mixed-quants/model.gguf", 3, 0, false, "q, k and v are of three types, gate and up of two: a matmul "
     "for each, which write columns between each other's, so that their ranges overlap"},
};

/* step_tokens and embedding; of the head rmsnorm (adds the residual), matmul and argmax. */
enum { BEFORE = 2, HEAD = 3 };

/* ----------------------------------------------------------------- passes */

static pm_vk_device *device;
static struct {
    pm_hparams hparams;
    pm_weights weights, twice;     /* twice: the first layer as both of two, borrowed */
    pm_layer_weights layers[2];
    pm_kv_store kv;
    pm_step step;
    pm_vk_buffer *results;
    pm_decoder decoder;
} loaded;

static void load(const char *name)
{
    const char *source = getenv("PUMICE_TEST_SOURCE");
    char path[4096];
    pm_model_file *file = NULL;
    snprintf(path, sizeof(path), "%s/%s", source != NULL ? source : ".", name);
    ok(pm_model_file_open(path, &file));
    ok(pm_hparams_read(pm_model_file_gguf(file), &loaded.hparams));
    const pm_hparams *h = &loaded.hparams;
    ok(pm_weights_load(device, pm_model_file_gguf(file), h, CONTEXT, NULL, NULL, false, &loaded.weights));
    pm_model_file_close(file);
    loaded.twice = loaded.weights;
    loaded.twice.layers = loaded.layers;
    loaded.layers[0] = loaded.layers[1] = loaded.weights.layers[0];
    const pm_kv_layout layout = {.type = PM_KV_F16, .kv_heads = h->kv_heads, .head_dim = h->head_dim,
                                 .page_tokens = PAGE};
    ok(pm_kv_store_init(&loaded.kv, device, &layout, 2, CONTEXT / PAGE, 0));
    ok(pm_step_init(&loaded.step, device, ROWS, SEQS, SEQS, 0, CONTEXT / PAGE, h->vocab));
    const uint64_t words = SEQS * 4, logprobs = words * PM_SAMPLE_LOGPROBS_WORDS;
    ok(pm_vk_buffer_create(device, 3 * words + logprobs, PM_VK_READBACK, "results", &loaded.results));
    loaded.decoder = (pm_decoder){.hparams = h, .weights = &loaded.twice, .kv = &loaded.kv, .step = &loaded.step,
                                  .picked = pm_vk_buffer_slice(loaded.results, 0, words),
                                  .picked_before = pm_vk_buffer_slice(loaded.results, words, words),
                                  .pick_flags = pm_vk_buffer_slice(loaded.results, 2 * words, words),
                                  .logprobs = pm_vk_buffer_slice(loaded.results, 3 * words, logprobs),
                                  .context = CONTEXT};
}

static void unload(void)
{
    pm_vk_buffer_destroy(loaded.results);
    pm_step_finish(&loaded.step);
    pm_kv_store_finish(&loaded.kv);
    pm_weights_finish(&loaded.weights);
}

static counts end(pm_vk_recorder *recorder)
{
    pm_vk_commands *commands = NULL;
    ok(pm_vk_recorder_end(recorder, &commands));
    const counts c = {pm_vk_commands_dispatches(commands), pm_vk_commands_barriers(commands)};
    pm_vk_commands_destroy(commands);
    return c;
}

static counts body(pm_vk_recorder *recorder, const pm_bucket *bucket, uint32_t layers)
{
    pm_hparams some = loaded.hparams;
    pm_decoder decoder = loaded.decoder;
    some.layers = layers;
    decoder.hparams = &some;
    ok(pm_decoder_record_body(recorder, &decoder, bucket));
    return end(recorder);
}

static void expect(const char *model, const char *variant, const char *what, uint32_t rows, counts got, counts want)
{
    if (got.dispatches != want.dispatches || got.barriers != want.barriers)
        fail_msg("%s, %s, %s of %u rows: %u dispatches and %u barriers, expected %u and %u", model,
                 variant[0] != '\0' ? variant : "the device's own kernels", what, rows, got.dispatches, got.barriers,
                 want.dispatches, want.barriers);
}

/* All buckets of a model with one form of kernels. */
static void check(size_t model, const form *f)
{
    static const pm_bucket buckets[] = {{1, 1, true}, {2, 2, true}, {4, 4, true}, {8, 8, true}, {16, 16, true},
                                        {2, 2, false}, {16, 2, false}, {ROWS, SEQS, false}};
    const char *name = models[model].why;
    pm_vk_recorder *recorder = NULL;
    uint64_t scratch = 0;
    assert_int_equal(setenv("PUMICE_VARIANT", f->variant, 1), 0);
    const pm_vk_caps *caps = pm_vk_device_caps(device);
    for (size_t b = 0; b < sizeof(buckets) / sizeof(buckets[0]); b++) {
        const uint64_t need = pm_decoder_scratch_bytes(caps, &loaded.decoder, &buckets[b]);
        scratch = need > scratch ? need : scratch;
    }
    ok(pm_activations_init(&loaded.decoder.activations, device, &loaded.hparams, ROWS, SEQS, loaded.step.edits_max,
                           scratch));
    ok(pm_vk_recorder_create(device, &recorder));
    const uint32_t layer = LAYER + models[model].layer + f->layer, head = HEAD + models[model].head + f->head;
    for (size_t b = 0; b < sizeof(buckets) / sizeof(buckets[0]); b++) {
        if (!buckets[b].decode && !f->prompts)
            continue;
        const char *what = buckets[b].decode ? "a layer of decoding" : "a layer of a prompt";
        const counts one = body(recorder, &buckets[b], 1), two = body(recorder, &buckets[b], 2);
        expect(name, f->variant, what, buckets[b].rows,
               (counts){two.dispatches - one.dispatches, two.barriers - one.barriers}, (counts){layer, layer});
        expect(name, f->variant, "what goes before", buckets[b].rows,
               (counts){one.dispatches - layer, one.barriers - layer}, (counts){BEFORE, BEFORE - 1});
        if (!buckets[b].decode)
            continue;
        ok(pm_decoder_record_head(recorder, &loaded.decoder, buckets[b].rows));
        expect(name, f->variant, "the head", buckets[b].rows, end(recorder), (counts){head, head - 1});
    }
    pm_vk_recorder_destroy(recorder);
    pm_activations_finish(&loaded.decoder.activations);
}

/* A GPU's own choice may be any of the others, by its capabilities and the rows: there it is left out. */
static void a_layer_has_as_many_dispatches_as_the_table_says(void **state)
{
    (void)state;
    const size_t first = pm_vk_device_caps(device)->is_cpu ? 0 : 1;
    for (size_t m = 0; m < sizeof(models) / sizeof(models[0]); m++) {
        load(models[m].path);
        for (size_t f = first; f < (models[m].forms ? sizeof(forms) / sizeof(forms[0]) : first + 1); f++)
            check(m, &forms[f]);
        unload();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_layer_has_as_many_dispatches_as_the_table_says)};
    if (pm_vk_device_open(NULL, false, &device) != PM_OK) {
        fprintf(stderr, "%s\n", pm_error_message());
        return 1;
    }
    const int failed = cmocka_run_group_tests_name("dispatches", tests, NULL, NULL);
    pm_vk_device_close(device);
    return failed;
}
