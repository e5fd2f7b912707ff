/* llama_bench.c - llama.cpp's speed on one model, for run.py.
 *
 *   llama_bench LIB_DIR MODEL.gguf [pp=128,512] [tg=64] [batch=1,4,16] [steps=64] [threads=N] [seconds=S]
 *
 * First the token after one of prompt, as "first SECONDS\n": seconds of this process, its libraries included. Then one
 * line of JSON: tokens per second of prompts (pp), of one sequence (tg) and of several at once (batch), each measured
 * once after a run that warms up; greedy tokens, F16 keys and values, everything else as the library has it. A
 * generation ends after S seconds, but not before 4 steps. Exit status 77: the libraries are not what they should be.
 */
#include "llama_abi.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LIST_MAX = 16, SEQS_MAX = 256, BATCH_MAX = 4096, STEPS_MIN = 4 };

static char last_log[512];
static llama_batch batch;
static int32_t vocab;
static void *model;

static void keep_log(int level, const char *text, void *context)
{
    (void)level;
    (void)context;
    if (strlen(text) > 2)
        snprintf(last_log, sizeof(last_log), "%s", text);
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "llama_bench: %s: %s\n", what, last_log);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---------------------------------------------------------------- options */

static const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
    const size_t length = strlen(name);
    for (int i = 3; i < argc; i++)
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=')
            return argv[i] + length + 1;
    return otherwise;
}

/* Numbers with commas, each in [1, most]; "" = none. */
static int32_t read_list(const char *name, const char *text, long most, int32_t list[LIST_MAX])
{
    int32_t count = 0;
    for (const char *p = text; *p != '\0';) {
        char *end;
        const long value = strtol(p, &end, 10);
        if (end == p || value < 1 || value > most || (*end != ',' && *end != '\0') || count == LIST_MAX) {
            fprintf(stderr, "llama_bench: %s is '%s', expected up to %d numbers from 1 to %ld\n", name, text, LIST_MAX,
                    most);
            exit(2);
        }
        list[count++] = (int32_t)value;
        p = end + (*end == ',');
    }
    return count;
}

static double read_number(const char *name, const char *text, double most)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0.0 && value <= most)) {
        fprintf(stderr, "llama_bench: %s is '%s', expected a number up to %g\n", name, text, most);
        exit(2);
    }
    return value;
}

/* ------------------------------------------------------------------ decode */

static void make_batch(void)
{
    static int32_t token[BATCH_MAX], position[BATCH_MAX], seq_id_count[BATCH_MAX], seq_id[BATCH_MAX];
    static int32_t *seq_ids[BATCH_MAX];
    static int8_t logits[BATCH_MAX];
    for (int32_t i = 0; i < BATCH_MAX; i++) {
        seq_id_count[i] = 1;
        seq_ids[i] = &seq_id[i];
    }
    batch = (llama_batch){.token = token, .position = position, .seq_id_count = seq_id_count, .seq_id = seq_ids,
                          .logits = logits};
}

static void put(int32_t i, int32_t token, int32_t position, int32_t sequence, bool output)
{
    batch.token[i] = token;
    batch.position[i] = position;
    batch.seq_id[i][0] = sequence;
    batch.logits[i] = output;
}

static void decode(void *context, int32_t count)
{
    batch.n_tokens = count;
    if (llama_decode(context, batch) != 0)
        die("decode failed");
    llama_synchronize(context);
}

static int32_t best(void *context, int32_t output)
{
    const float *logits = llama_get_logits_ith(context, output);
    int32_t token = 0;
    for (int32_t i = 1; logits != NULL && i < vocab; i++)
        token = logits[i] > logits[token] ? i : token;
    if (logits == NULL || !isfinite(logits[token]))
        die("logits that are no numbers");
    return token;
}

static void *make_context(uint32_t seqs, uint32_t tokens, int32_t threads)
{
    llama_context_params params = llama_context_default_params();
    params.n_seq_max = seqs;
    params.n_ctx = seqs * ((tokens + 255) / 256 * 256);
    params.n_threads = params.n_threads_batch = threads;
    void *context = llama_init_from_model(model, params);
    if (context == NULL)
        die("no context");
    return context;
}

/* ----------------------------------------------------------------- measure */

static double prompt_rate(void *context, int32_t tokens)
{
    llama_memory_clear(llama_get_memory(context), true);
    const double start = now_s();
    for (int32_t done = 0; done < tokens;) { /* as much at once as a batch may hold */
        const int32_t count = tokens - done < 2048 ? tokens - done : 2048;
        for (int32_t i = 0; i < count; i++)
            put(i, (int32_t)(((int64_t)(done + i) * 7919 + 13) % vocab), done + i, 0, done + i == tokens - 1);
        decode(context, count);
        done += count;
        if (done == tokens)
            (void)best(context, count - 1);
    }
    return tokens / (now_s() - start);
}

/* Each of `seqs` sequences a token a step, from an empty context. */
static double generation_rate(void *context, int32_t seqs, int32_t steps, double seconds)
{
    int32_t tokens[SEQS_MAX], step = 0;
    llama_memory_clear(llama_get_memory(context), true);
    for (int32_t s = 0; s < seqs; s++)
        tokens[s] = (s * 131 + 7) % vocab;
    const double start = now_s();
    for (; step < steps && (step < STEPS_MIN || now_s() - start < seconds); step++) {
        for (int32_t s = 0; s < seqs; s++)
            put(s, tokens[s], step, s, true);
        decode(context, seqs);
        for (int32_t s = 0; s < seqs; s++)
            tokens[s] = best(context, s);
    }
    return (double)seqs * step / (now_s() - start);
}

static void print_devices(void)
{
    printf("{\"devices\": [");
    for (size_t i = 0; i < ggml_backend_dev_count(); i++)
        printf("%s\"%s: %s\"", i > 0 ? ", " : "", ggml_backend_dev_name(ggml_backend_dev_get(i)),
               ggml_backend_dev_description(ggml_backend_dev_get(i)));
    printf("]");
}

int main(int argc, char **argv)
{
    const double start = now_s();
    int32_t prompts[LIST_MAX], batches[LIST_MAX], context_tokens = 32;
    if (argc < 3) {
        fprintf(stderr, "usage: llama_bench LIB_DIR MODEL.gguf [pp=LIST] [tg=N] [batch=LIST] [steps=N] [threads=N] [seconds=S]\n");
        return 2;
    }
    const int32_t prompt_count = read_list("pp", option(argc, argv, "pp", ""), BATCH_MAX, prompts);
    const int32_t batch_count = read_list("batch", option(argc, argv, "batch", ""), SEQS_MAX, batches);
    const char *tg = option(argc, argv, "tg", "");
    const int32_t generate = tg[0] != '\0' ? (int32_t)read_number("tg", tg, 4096) : 0;
    const int32_t steps = (int32_t)read_number("steps", option(argc, argv, "steps", "64"), 4096);
    const double seconds = read_number("seconds", option(argc, argv, "seconds", "1e9"), 1e9);
    char cores[16];
    snprintf(cores, sizeof(cores), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    const int32_t threads = (int32_t)read_number("threads", option(argc, argv, "threads", cores), 1024);
    for (int32_t i = 0; i < prompt_count; i++)
        context_tokens = prompts[i] > context_tokens ? prompts[i] : context_tokens;
    context_tokens = generate > context_tokens ? generate : context_tokens;

    llama_abi_load(argv[1]);
    llama_log_set(keep_log, NULL);
    ggml_backend_load_all_from_path(argv[1]);
    llama_backend_init();
    llama_model_params params = llama_model_default_params();
    params.gpu_layers = 999;
    model = llama_model_load_from_file(argv[2], params);
    if (model == NULL)
        die(argv[2]);
    vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    make_batch();
    void *context = make_context(1, (uint32_t)context_tokens, threads);
    put(0, 1 % vocab, 0, 0, true);
    decode(context, 1);
    (void)best(context, 0);
    printf("first %.6f\n", now_s() - start);
    fflush(stdout);

    print_devices();
    for (int32_t i = 0; i < prompt_count; i++) {
        (void)prompt_rate(context, prompts[i]);
        printf(", \"pp%d\": %.6g", prompts[i], prompt_rate(context, prompts[i]));
    }
    if (generate > 0) {
        (void)generation_rate(context, 1, STEPS_MIN, 0.0);
        printf(", \"tg%d\": %.6g", generate, generation_rate(context, 1, generate, seconds));
    }
    llama_free(context);
    for (int32_t i = 0; i < batch_count; i++) {
        context = make_context((uint32_t)batches[i], (uint32_t)steps, threads);
        (void)generation_rate(context, batches[i], STEPS_MIN, 0.0);
        printf(", \"batch%d\": %.6g", batches[i], generation_rate(context, batches[i], steps, seconds));
        llama_free(context);
    }
    printf("}\n");
    fflush(stdout);
    _Exit(0); /* the libraries' own threads need no farewell */
}
