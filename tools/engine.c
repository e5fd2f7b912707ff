/* engine.c - the options of a model on a device, and opening one. */
#include "engine.h"
#include "terminal.h"

#include <stdlib.h>

engine_options engine_opts;
const arg engine_args[] = {
    {"--model", "-m", ARG_TEXT, &engine_opts.model, 0, 0, "FILE", "GGUF model file"},
    {"--device", NULL, ARG_TEXT, &engine_opts.device, 0, 0, "D", "index, part of the name or UUID (see pumice devices)"},
    {"--ctx", "-c", ARG_UINT, &engine_opts.context, 1, 1 << 24, "N", "context in tokens (default: the model's, at most 4096)"},
    {"--kv-type", NULL, ARG_CHOICE, &engine_opts.kv_type, 0, 0, "f16|f32|q8_0|q4_0", "numbers of the KV pages (default f16)"},
    {"--kv-bytes", NULL, ARG_BYTES, &engine_opts.kv_bytes, 1, 1e15, "SIZE", "memory of the KV pool, for example 512M"},
    {"--swap-bytes", NULL, ARG_BYTES, &engine_opts.swap_bytes, 1, 1e15, "SIZE", "host memory for pages of sequences that give way"},
    {"--page-tokens", NULL, ARG_CHOICE, &engine_opts.page_choice, 0, 0, "16|32", "tokens of a KV page (default 16)"},
    {"--batch-tokens", NULL, ARG_UINT, &engine_opts.batch_tokens, 1, 2048, "N", "most tokens of one step (default: as tuned, else 512)"},
    {"--variant", NULL, ARG_TEXT, &engine_opts.variant, 0, 0, "OP:NAME", "force kernel variants (see pumice devices --variants)"},
    {"--deterministic", NULL, ARG_FLAG, &engine_opts.deterministic, 0, 0, NULL, "the same bits in any batch and chunks"},
    {"--profile", NULL, ARG_FLAG, &engine_opts.profile, 0, 0, NULL, "device time of each op, on stderr at the end"},
    {0},
};

static void on_progress(void *context, const char *stage, double fraction)
{
    (void)context;
    terminal_progress(stage, fraction);
}

int engine_open(const char *command, pm_engine **out)
{
    if (engine_opts.model == NULL)
        return usage(command, "-m FILE is missing");
    if (engine_opts.variant != NULL && setenv("PUMICE_VARIANT", engine_opts.variant, 1) != 0) {
        perror("pumice: --variant");
        return EXIT_FAILED;
    }
    const pm_engine_params params = {.model_path = engine_opts.model,
                                     .device = engine_opts.device,
                                     .max_seqs = engine_opts.seqs != 0 ? engine_opts.seqs : 1,
                                     .max_context_tokens = engine_opts.context,
                                     .max_batch_tokens = engine_opts.batch_tokens,
                                     .page_tokens = 16u << engine_opts.page_choice,
                                     .kv_bytes = engine_opts.kv_bytes,
                                     .swap_bytes = engine_opts.swap_bytes,
                                     .kv_type = (pm_kv_type)engine_opts.kv_type,
                                     .deterministic = engine_opts.deterministic,
                                     .profile = engine_opts.profile,
                                     .draft_path = engine_opts.draft,
                                     .warm_up = engine_opts.warm_up,
                                     .progress = on_progress};
    return pm_engine_create(&params, out) == PM_OK ? -1 : fail(command);
}

static void print_profile(pm_engine *engine)
{
    pm_profile_row rows[64];
    size_t count = 0;
    if (pm_engine_profile(engine, rows, 64, &count) != PM_OK) {
        fprintf(stderr, "no profile: %s\n", pm_error_message());
        return;
    }
    double total_ns = 1.0;
    for (size_t i = 0; i < count && i < 64; i++)
        total_ns += (double)rows[i].ns;
    fprintf(stderr, "%-24s %10s %12s %7s %10s %10s\n", "op", "dispatches", "time ms", "%", "GB/s", "GFLOP/s");
    for (size_t i = 0; i < count && i < 64; i++) {
        const pm_profile_row *r = &rows[i];
        const double ns = r->ns > 0 ? (double)r->ns : 1.0;
        if (r->dispatches > 0)
            fprintf(stderr, "%-24s %10llu %12.3f %7.1f %10.2f %10.2f\n", r->op, (unsigned long long)r->dispatches,
                    ns * 1e-6, 100.0 * ns / total_ns, (double)r->bytes / ns, (double)r->flops / ns);
    }
}

void engine_close(pm_engine *engine)
{
    if (engine != NULL && engine_opts.profile)
        print_profile(engine);
    pm_engine_destroy(engine);
}

int32_t *engine_tokenize(const char *command, const pm_tokenizer *tokenizer, const char *text, size_t len,
                         uint32_t flags, size_t *count)
{
    const size_t capacity = 3 * len + 3; /* the most there can be, see pumice.h */
    int32_t *tokens = must(malloc(capacity * sizeof(*tokens)));
    if (pm_tokenize(tokenizer, text, len, flags, tokens, capacity, count) == PM_OK)
        return tokens;
    free(tokens);
    fail(command);
    return NULL;
}
