/* ppl.c - pumice ppl: perplexity of a text.
 *
 * The text is cut into windows of --ctx tokens that do not overlap. Of each window the
 * second half is scored: position i predicts token i + 1 for i from ctx / 2 to ctx - 2.
 * The first token of a window is BOS where the model adds it. */
#include "engine.h"
#include "input.h"
#include "terminal.h"

#include <math.h>
#include <stdlib.h>

static const char *text_file;
static bool as_json;
static uint32_t window_tokens = 512; /* --ctx */
static const arg ppl_args[] = {
    {"--file", "-f", ARG_TEXT, &text_file, 0, 0, "TEXT", "text file; '-' reads standard input"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "one JSON object on stdout"},
    {0},
};

/* Sums of -log p over the scored tokens. */
typedef struct score {
    const int32_t *tokens;             /* of the window */
    uint32_t count, vocab;
    double sum, sum_squares;
    uint64_t scored;
} score;

static bool add_position(void *context, uint32_t position, const float *logits)
{
    score *s = context;
    if (position + 1 >= s->count)
        return true;
    double most = -INFINITY, total = 0.0;
    for (uint32_t i = 0; i < s->vocab; i++)
        most = (double)logits[i] > most ? (double)logits[i] : most;
    for (uint32_t i = 0; i < s->vocab; i++)
        total += exp((double)logits[i] - most);
    const double nll = log(total) + most - (double)logits[s->tokens[position + 1]];
    s->sum += nll;
    s->sum_squares += nll * nll;
    s->scored++;
    return true;
}

static void print_result(const score *s, size_t windows)
{
    const double n = (double)s->scored, mean = s->sum / n;
    const double variance = s->scored > 1 ? (s->sum_squares / n - mean * mean) / (n - 1.0) : 0.0;
    const double ppl = exp(mean), error = ppl * sqrt(variance > 0.0 ? variance : 0.0);
    if (!as_json) {
        printf("%.4f +/- %.4f\n", ppl, error);
        return;
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "perplexity", ppl);
    cJSON_AddNumberToObject(o, "standard_error", error);
    cJSON_AddNumberToObject(o, "scored_tokens", n);
    cJSON_AddNumberToObject(o, "windows", (double)windows);
    cJSON_AddNumberToObject(o, "window_tokens", window_tokens);
    print_json(o);
}

static int measure(pm_engine *engine, const char *text, size_t len)
{
    const pm_tokenizer *tokenizer = pm_engine_tokenizer(engine);
    pm_engine_info info;
    pm_engine_describe(engine, &info);
    size_t count = 0;
    int32_t *tokens = engine_tokenize("ppl", tokenizer, text, len, PM_TOKENIZE_ADD_BOS, &count);
    if (tokens == NULL)
        return EXIT_FAILED;
    const bool has_bos = count > 0 && tokens[0] == pm_tokenizer_bos(tokenizer);
    const size_t windows = count / window_tokens;
    score s = {.count = window_tokens, .vocab = info.vocab};
    int code = EXIT_OK;
    if (windows == 0) {
        fprintf(stderr, "pumice ppl: the text has %zu tokens, a window has %u\n", count, window_tokens);
        code = EXIT_FAILED;
    }
    for (size_t w = 0; w < windows && code == EXIT_OK; w++) {
        int32_t *window = tokens + w * window_tokens, first = window[0];
        if (has_bos)
            window[0] = pm_tokenizer_bos(tokenizer);
        s.tokens = window;
        terminal_progress("perplexity", (double)w / (double)windows);
        if (pm_engine_score(engine, window, window_tokens, window_tokens / 2, add_position, &s) != PM_OK)
            code = fail("ppl");
        window[0] = first;
    }
    terminal_progress("perplexity", 1.0);
    if (code == EXIT_OK)
        print_result(&s, windows);
    free(tokens);
    return code;
}

int ppl_main(int argc, char **argv)
{
    const args_spec spec = {"ppl", "measure perplexity on a text", {ppl_args, engine_args}};
    int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    if (text_file == NULL)
        return usage("ppl", "-f TEXT is missing");
    if (engine_opts.context != 0)
        window_tokens = engine_opts.context;
    if (window_tokens < 4)
        return usage("ppl", "--ctx is the window, at least 4 tokens");
    engine_opts.context = window_tokens;
    char *text = NULL;
    size_t len = 0;
    if (!input_read("ppl", text_file, &text, &len))
        return EXIT_FAILED;
    pm_engine *engine = NULL;
    engine_opts.warm_up = PM_WARM_UP_NOTHING;
    code = engine_open("ppl", &engine);
    if (code < 0)
        code = measure(engine, text, len);
    engine_close(engine);
    free(text);
    return code;
}
