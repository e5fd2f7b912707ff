/* capture.c - pumice-cuda-capture: what the reference kernels give, as vectors.
 *
 *   pumice-cuda-capture OUT_DIR [--library FILE] [--seed N] [--only PREFIX] [--demo FILE [--text FILE]]
 *                       [--layer FILE]
 *
 * With --library, nvcc's build on an NVIDIA GPU, and cuBLAS where it is there; without, gcc's
 * build on this CPU: vectors that say "host". --demo and --layer name the models of model_cases.h,
 * of which the logits of some positions are kept; --text names the conversations of text.h, of which those of all
 * positions are. Each goes to OUT_DIR/<device>/<case>.vec. The
 * date is today's, or SOURCE_DATE_EPOCH's. Exits with 77 when the library or a GPU is not there. */
#include "cuda/cublas.h"
#include "cuda/model.h"
#include "cuda/model_cases.h"
#include "cuda/text.h"
#include "cuda/vectors.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct options {
    const char *out, *library, *only, *demo, *layer, *text;
    uint64_t seed;
} options;

_Noreturn static void die(const char *what, const char *why)
{
    fprintf(stderr, "pumice-cuda-capture: %s: %s\n", what, why);
    exit(1);
}

#define USAGE "expected OUT_DIR [--library FILE] [--seed N] [--only PREFIX] [--demo FILE [--text FILE]] [--layer FILE]"

static options parse(int argc, char **argv)
{
    options o = {.only = "", .seed = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--library") == 0 && value != NULL)
            o.library = argv[++i];
        else if (strcmp(argv[i], "--only") == 0 && value != NULL)
            o.only = argv[++i];
        else if (strcmp(argv[i], "--demo") == 0 && value != NULL)
            o.demo = argv[++i];
        else if (strcmp(argv[i], "--layer") == 0 && value != NULL)
            o.layer = argv[++i];
        else if (strcmp(argv[i], "--text") == 0 && value != NULL)
            o.text = argv[++i];
        else if (strcmp(argv[i], "--seed") == 0 && value != NULL)
            o.seed = strtoull(argv[++i], NULL, 0);
        else if (o.out == NULL && argv[i][0] != '-')
            o.out = argv[i];
        else
            die(argv[i], USAGE);
    }
    if (o.out == NULL || (o.text != NULL && o.demo == NULL))
        die("arguments", USAGE);
    return o;
}

/* "NVIDIA H100 PCIe, sm_90" becomes nvidia-h100-pcie-sm-90; gcc's build is host. */
static void make_folder(const options *o, const cuda_kernels *kernels, char *path, size_t capacity)
{
    char slug[128];
    size_t length = 0;
    for (const char *p = kernels->device; *p != '\0' && length + 1 < sizeof(slug); p++)
        if (isalnum((unsigned char)*p))
            slug[length++] = (char)tolower((unsigned char)*p);
        else if (length > 0 && slug[length - 1] != '-')
            slug[length++] = '-';
    slug[length] = '\0';
    snprintf(path, capacity, "%s/%s", o->out, strcmp(kernels->origin, "host") == 0 ? "host" : slug);
    if ((mkdir(o->out, 0777) != 0 && errno != EEXIST) || (mkdir(path, 0777) != 0 && errno != EEXIST))
        die(path, strerror(errno));
}

static void today(char date[16])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    const time_t now = epoch != NULL ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm day;
    if (gmtime_r(&now, &day) == NULL || strftime(date, 16, "%Y-%m-%d", &day) == 0)
        die("date", "no such day");
}

/* Takes `samples` of out when it has more elements, and writes the vector. */
static void write_vector(const options *o, const cuda_kernels *kernels, const char *folder, const char *name,
                         const char *kernel, uint64_t inputs, const float *out, uint64_t elements, uint32_t samples)
{
    char path[1400], why[256];
    cuda_vector v = {.seed = o->seed, .inputs = inputs, .elements = elements,
                     .count = (uint32_t)(elements < samples ? elements : samples)};
    snprintf(v.name, sizeof(v.name), "%s", name);
    snprintf(v.kernel, sizeof(v.kernel), "%s", kernel);
    snprintf(v.origin, sizeof(v.origin), "%s", kernels->origin);
    snprintf(v.device, sizeof(v.device), "%s", kernels->device);
    snprintf(v.driver, sizeof(v.driver), "%s", kernels->driver);
    snprintf(v.runtime, sizeof(v.runtime), "%s", kernels->runtime);
    today(v.date);
    v.values = malloc(v.count * sizeof(float));
    if (v.values == NULL)
        die(name, "out of memory");
    for (uint32_t i = 0; i < v.count; i++)
        v.values[i] = out[cuda_vector_element(&v, i)];
    snprintf(path, sizeof(path), "%s/%s%s.vec", folder, name, strncmp(kernel, "cublas", 6) == 0 ? ".cublas" : "");
    if (!cuda_vector_write(path, &v, why, sizeof(why)))
        die(name, why);
    cuda_vector_free(&v);
}

static const char *kernel_of(const cuda_case *c)
{
    static const char *const names[] = {[CUDA_EMBEDDING] = "embedding", [CUDA_MATMUL] = "matmul", [CUDA_RMSNORM] = "rmsnorm",
                                        [CUDA_ROPE] = "rope", [CUDA_DECODE] = "attention_decode",
                                        [CUDA_PREFILL] = "attention_prefill", [CUDA_SWIGLU] = "swiglu",
                                        [CUDA_ARGMAX] = "argmax", [CUDA_TOPK] = "topk"};
    return names[c->op];
}

static void capture_model(const options *o, const cuda_kernels *kernels, const char *folder, const char *name, const char *path)
{
    const cuda_model_case *c = cuda_model_case_find(name);
    int32_t tokens[MODEL_TOKENS_MAX];
    char why[512];
    const uint32_t count = cuda_model_tokens(c, path, tokens, why, sizeof(why));
    cuda_model *model = count > 0 ? cuda_model_open(kernels, path, why, sizeof(why)) : NULL;
    if (model == NULL)
        die(name, why);
    const uint32_t vocab = cuda_model_vocab(model);
    float *logits = malloc((uint64_t)count * vocab * sizeof(*logits)), *values = malloc(c->positions * MODEL_VALUES * sizeof(*values));
    if (logits == NULL || values == NULL ||
        !cuda_model_score(model, tokens, count, &(cuda_model_pass){.chunk = c->chunk, .kv_f16 = true}, logits))
        die(name, kernels->error());
    for (uint32_t i = 0; i < c->positions; i++)
        record_make(logits + (uint64_t)cuda_model_position(c, count, i) * vocab, vocab, MODEL_TOP, values + i * MODEL_VALUES);
    write_vector(o, kernels, folder, name, "model", cuda_model_inputs(path, tokens, count), values, c->positions * MODEL_VALUES,
                 c->positions * MODEL_VALUES);
    cuda_model_close(model);
    free(logits);
    free(values);
}

/* Of one sequence: the reference into values, and its controls into points, as they are kept, and into full, with KL over
 * all tokens. */
static void capture_sequence(const cuda_kernels *kernels, cuda_model *model, const int32_t *tokens, float *reference, float *other,
                             float (*values)[TEXT_VALUES], divergence_point *points, divergence_point *full)
{
    const uint32_t vocab = cuda_model_vocab(model);
    if (!cuda_model_score(model, tokens, TEXT_TOKENS, &(cuda_model_pass){.chunk = TEXT_CHUNK}, reference))
        die("model.text", kernels->error());
    for (uint32_t p = 0; p < TEXT_TOKENS; p++)
        cuda_text_record(reference + (uint64_t)p * vocab, vocab, tokens[p], cuda_text_next(tokens, p), values[p]);
    for (uint32_t c = 0; c < CONTROLS; c++) {
        const cuda_model_pass pass = cuda_control_pass(c, TEXT_CONTROL_CHUNK, 1.0f);
        if (!cuda_model_score(model, tokens, TEXT_TOKENS, &pass, other))
            die("model.text", kernels->error());
        for (uint32_t p = 0; p < TEXT_TOKENS; p++) {
            const uint64_t at = (uint64_t)p * vocab;
            const int32_t next = cuda_text_next(tokens, p);
            points[c * TEXT_POSITIONS + p] = cuda_text_against(values[p], next, other + at, vocab);
            full[c * TEXT_POSITIONS + p] = divergence_at(reference + at, other + at, vocab, next);
        }
    }
}

/* A sequence of the text at a time: text.h. Prints what is lost where KL is over a record's tokens. */
static void capture_text(const options *o, const cuda_kernels *kernels, const char *folder)
{
    static int32_t tokens[TEXT_POSITIONS];
    static float values[TEXT_TOKENS][TEXT_VALUES], kept[TEXT_POSITIONS][TEXT_POINT_VALUES];
    static divergence_point points[CONTROLS][TEXT_POSITIONS], full[CONTROLS][TEXT_POSITIONS];
    char why[512], name[64];
    cuda_model *model = cuda_text_tokens(o->demo, o->text, tokens, why, sizeof(why))
                            ? cuda_model_open(kernels, o->demo, why, sizeof(why)) : NULL;
    if (model == NULL)
        die("model.text", why);
    const uint64_t inputs = cuda_model_inputs(o->demo, tokens, TEXT_POSITIONS);
    const uint64_t floats = (uint64_t)TEXT_TOKENS * cuda_model_vocab(model);
    float *reference = malloc(floats * sizeof(*reference)), *other = malloc(floats * sizeof(*other));
    if (reference == NULL || other == NULL)
        die("model.text", "out of memory");
    for (uint32_t s = 0; s < TEXT_SEQUENCES; s++) {
        const uint32_t first = s * TEXT_TOKENS;
        capture_sequence(kernels, model, tokens + first, reference, other, values, &points[0][first], &full[0][first]);
        cuda_text_sequence_name(s, name);
        write_vector(o, kernels, folder, name, "model", inputs, values[0], TEXT_TOKENS * TEXT_VALUES, TEXT_TOKENS * TEXT_VALUES);
    }
    divergence_print_head("controls, KL over all tokens, then recorded");
    for (uint32_t c = 0; c < CONTROLS; c++) {
        const divergence all = divergence_sum(full[c], TEXT_POSITIONS), recorded = divergence_sum(points[c], TEXT_POSITIONS);
        divergence_print(cuda_controls[c].name, &all);
        divergence_print("", &recorded);
        for (uint32_t p = 0; p < TEXT_POSITIONS; p++)
            cuda_text_keep(&points[c][p], kept[p]);
        cuda_text_control_name(c, name);
        write_vector(o, kernels, folder, name, "control", inputs, kept[0], TEXT_POSITIONS * TEXT_POINT_VALUES,
                     TEXT_POSITIONS * TEXT_POINT_VALUES);
    }
    cuda_model_close(model);
    free(reference);
    free(other);
}

int main(int argc, char **argv)
{
    const options o = parse(argc, argv);
    char why[512] = "", folder[1200];
    const cuda_kernels *kernels = o.library != NULL ? cuda_kernels_load(o.library, why, sizeof(why)) : cuda_kernels_host();
    if (kernels == NULL) {
        printf("skipped: %s\n", why);
        return 77;
    }
    make_folder(&o, kernels, folder, sizeof(folder));
    bool cublas = o.library != NULL;
    if (cublas && !cuda_cublas_open(why, sizeof(why))) {
        printf("without cuBLAS: %s\n", why);
        cublas = false;
    }
    uint32_t count, written = 0;
    const cuda_case *cases = cuda_cases(&count);
    for (uint32_t i = 0; i < count; i++) {
        const cuda_case *c = &cases[i];
        if (strncmp(c->name, o.only, strlen(o.only)) != 0)
            continue;
        const uint64_t elements = cuda_case_elements(c);
        float *out = malloc(elements * sizeof(*out));
        cuda_inputs in;
        if (out == NULL)
            die(c->name, "out of memory");
        cuda_inputs_make(c, o.seed, &in);
        if (!cuda_case_run(kernels, c, &in, out))
            die(c->name, kernels->error());
        write_vector(&o, kernels, folder, c->name, kernel_of(c), in.hash, out, elements, CUDA_VECTOR_SAMPLES);
        written++;
        if (cublas && c->half_x) {
            if (!cuda_cublas_run(kernels, c, &in, out))
                die(c->name, "cuBLAS failed");
            write_vector(&o, kernels, folder, c->name, "cublasGemmEx", in.hash, out, elements, CUDA_VECTOR_SAMPLES);
            written++;
        }
        cuda_inputs_free(&in);
        free(out);
    }
    if (o.demo != NULL)
        capture_model(&o, kernels, folder, "model.demo", o.demo);
    if (o.layer != NULL)
        capture_model(&o, kernels, folder, "model.layer", o.layer);
    if (o.text != NULL)
        capture_text(&o, kernels, folder);
    written += (o.demo != NULL) + (o.layer != NULL) + (o.text != NULL ? TEXT_SEQUENCES + CONTROLS : 0);
    printf("%u vectors from %s (%s, %s, %s) in %s\n", written, kernels->origin, kernels->device, kernels->driver,
           kernels->runtime, folder);
    return 0;
}
