/* common.c - what the subcommands share. */
#include "common.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --------------------------------------------------------------- options */

engine_options engine_opts;
const arg engine_args[] = {
    {"--model", "-m", ARG_TEXT, &engine_opts.model, 0, 0, "FILE", "GGUF model file"},
    {"--device", NULL, ARG_TEXT, &engine_opts.device, 0, 0, "D", "index, part of the name or UUID (see pumice devices)"},
    {"--ctx", "-c", ARG_UINT, &engine_opts.context, 1, 1 << 24, "N", "context in tokens (default: the model's, at most 4096)"},
    {"--kv-type", NULL, ARG_TEXT, &engine_opts.kv_type, 0, 0, "T", "KV pages in f16 (default) or f32"},
    {"--kv-bytes", NULL, ARG_BYTES, &engine_opts.kv_bytes, 1, 1e15, "SIZE", "memory of the KV pool, for example 512M"},
    {"--page-tokens", NULL, ARG_UINT, &engine_opts.page_tokens, 16, 32, "N", "tokens of a KV page: 16 (default) or 32"},
    {"--batch-tokens", NULL, ARG_UINT, &engine_opts.batch_tokens, 1, 2048, "N", "most tokens of one step (default 512)"},
    {"--profile", NULL, ARG_FLAG, &engine_opts.profile, 0, 0, NULL, "device time of each op, on stderr at the end"},
    {0},
};

sample_options sample_opts = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.0f};
const arg sample_args[] = {
    {"--max-tokens", "-n", ARG_UINT, &sample_opts.max_tokens, 0, 1 << 24, "N", "tokens to generate (default: until the end)"},
    {"--temp", NULL, ARG_FLOAT, &sample_opts.temperature, 0, 100, "T", "temperature; 0 is greedy (default 0.8)"},
    {"--top-k", NULL, ARG_UINT, &sample_opts.top_k, 0, 1 << 24, "K", "best K tokens only; 0 = all (default 40)"},
    {"--top-p", NULL, ARG_FLOAT, &sample_opts.top_p, 0, 1, "P", "nucleus; 1 = all (default 0.95)"},
    {"--min-p", NULL, ARG_FLOAT, &sample_opts.min_p, 0, 0.999, "P", "at least P times the best token's probability (default 0.05)"},
    {"--repeat-penalty", NULL, ARG_FLOAT, &sample_opts.repeat_penalty, 0.01, 100, "R", "on the last 64 tokens; 1 = none (default)"},
    {"--seed", NULL, ARG_UINT, &sample_opts.seed, 0, 4294967295.0, "S", "of the draws; 0 = another each time (default)"},
    {"--ignore-eos", NULL, ARG_FLAG, &sample_opts.ignore_end, 0, 0, NULL, "go on after an end token"},
    {0},
};

pm_sample_params sample_params(void)
{
    pm_sample_params p = {.temperature = sample_opts.temperature, .top_p = sample_opts.top_p, .min_p = sample_opts.min_p,
                          .top_k = sample_opts.top_k, .repeat_penalty = sample_opts.repeat_penalty,
                          .seed = sample_opts.seed};
    if (p.seed == 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        p.seed = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    }
    return p;
}

int fail(const char *command)
{
    fprintf(stderr, "pumice %s: %s\n", command, pm_error_message());
    return EXIT_FAILED;
}

int usage(const char *command, const char *message)
{
    fprintf(stderr, "pumice %s: %s ('pumice %s --help' says more)\n", command, message, command);
    return EXIT_USAGE;
}

/* ---------------------------------------------------------------- output */

double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void progress_bar(const char *what, double fraction)
{
    enum { WIDTH = 30 };
    static int shown = -1;
    const int filled = (int)(fraction * WIDTH);
    if (!isatty(STDERR_FILENO) || (filled == shown && fraction < 1.0))
        return;
    fprintf(stderr, "\r%-12s [", what);
    for (int i = 0; i < WIDTH; i++)
        fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %3d %%", (int)(fraction * 100.0));
    shown = filled;
    if (fraction >= 1.0) {
        fprintf(stderr, "\r%*s\r", WIDTH + 24, "");
        shown = -1;
    }
    fflush(stderr);
}

static void on_progress(void *context, const char *stage, double fraction)
{
    (void)context;
    progress_bar(stage, fraction);
}

/* ---------------------------------------------------------------- engine */

int engine_open(const char *command, uint32_t max_seqs, pm_engine **out)
{
    if (engine_opts.model == NULL)
        return usage(command, "-m FILE is missing");
    pm_engine_params params = {.model_path = engine_opts.model,
                               .device = engine_opts.device,
                               .max_seqs = max_seqs,
                               .max_context_tokens = engine_opts.context,
                               .max_batch_tokens = engine_opts.batch_tokens,
                               .page_tokens = engine_opts.page_tokens,
                               .kv_bytes = engine_opts.kv_bytes,
                               .profile = engine_opts.profile,
                               .progress = on_progress};
    if (engine_opts.kv_type != NULL && strcmp(engine_opts.kv_type, "f32") == 0)
        params.kv_type = PM_KV_F32;
    else if (engine_opts.kv_type != NULL && strcmp(engine_opts.kv_type, "f16") != 0)
        return usage(command, "--kv-type is neither f16 nor f32");
    if (pm_engine_create(&params, out) != PM_OK)
        return fail(command);
    return -1;
}

void engine_print_profile(pm_engine *engine)
{
    pm_profile_row rows[64];
    size_t count = 0;
    if (pm_engine_profile(engine, rows, 64, &count) != PM_OK) {
        fprintf(stderr, "no profile: %s\n", pm_error_message());
        return;
    }
    uint64_t total = 0;
    for (size_t i = 0; i < count && i < 64; i++)
        total += rows[i].ns;
    fprintf(stderr, "%-20s %10s %12s %7s %10s %10s\n", "op", "dispatches", "time ms", "%", "GB/s", "GFLOP/s");
    for (size_t i = 0; i < count && i < 64; i++) {
        if (rows[i].dispatches == 0)
            continue;
        const double ns = rows[i].ns > 0 ? (double)rows[i].ns : 1.0;
        fprintf(stderr, "%-20s %10llu %12.3f %7.1f %10.2f %10.2f\n", rows[i].op, (unsigned long long)rows[i].dispatches,
                ns * 1e-6, 100.0 * ns / (double)(total + 1), (double)rows[i].bytes / ns, (double)rows[i].flops / ns);
    }
}

pm_result tokenize_all(const pm_tokenizer *tokenizer, const char *text, size_t len, uint32_t flags, int32_t **tokens,
                       size_t *count)
{
    const size_t capacity = 3 * len + 3; /* the most there can be, see pumice.h */
    *tokens = malloc(capacity * sizeof(**tokens));
    if (*tokens == NULL)
        return PM_ERR_NOMEM;
    const pm_result result = pm_tokenize(tokenizer, text, len, flags, *tokens, capacity, count);
    if (result != PM_OK) {
        free(*tokens);
        *tokens = NULL;
    }
    return result;
}

/* ------------------------------------------------------------ generation */

void write_stdout(void *context, const char *text, size_t len)
{
    (void)context;
    fwrite(text, 1, len, stdout);
    fflush(stdout);
}

pm_result generate(pm_engine *engine, const pm_request_params *params, text_sink *sink, void *context,
                   volatile sig_atomic_t *interrupted, generation *out)
{
    pm_event events[256];
    uint64_t id;
    *out = (generation){0};
    const double start = now_s();
    pm_result result = pm_request_submit(engine, params, &id);
    bool cancelled = false;
    while (result == PM_OK && pm_engine_busy(engine)) {
        if (interrupted != NULL && *interrupted && !cancelled) {
            pm_request_cancel(engine, id);
            cancelled = true;
        }
        size_t count = 0;
        result = pm_engine_step(engine, events, sizeof(events) / sizeof(events[0]), &count);
        for (size_t i = 0; i < count && result == PM_OK; i++) {
            const pm_event *e = &events[i];
            if (e->token >= 0 && out->first_token_s == 0.0)
                out->first_token_s = now_s() - start;
            if (e->text_len > 0)
                sink(context, e->text, e->text_len);
            out->prompt_tokens = e->prompt_tokens;
            out->generated_tokens = e->generated_tokens;
            out->finish = e->finish;
            if (e->finish == PM_FINISH_ERROR)
                result = e->error;
        }
    }
    out->total_s = now_s() - start;
    pm_engine_stats stats;
    pm_engine_statistics(engine, &stats);
    out->pages_max = stats.pages_used_max;
    return result;
}

void print_generation(const pm_engine *engine, const generation *g)
{
    pm_engine_info info;
    pm_engine_describe(engine, &info);
    const double decode_s = g->total_s - g->first_token_s;
    fprintf(stderr, "%u prompt + %u generated tokens (%s), prompt %.1f tok/s, generation %.1f tok/s, first token %.0f ms, "
            "%u of %u KV pages\n", g->prompt_tokens, g->generated_tokens, pm_finish_name(g->finish),
            g->first_token_s > 0.0 ? g->prompt_tokens / g->first_token_s : 0.0,
            g->generated_tokens > 1 && decode_s > 0.0 ? (g->generated_tokens - 1) / decode_s : 0.0,
            g->first_token_s * 1e3, g->pages_max, info.pages);
}
