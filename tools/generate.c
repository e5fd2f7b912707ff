/* generate.c - one request from submit to its last token. */
#include "generate.h"
#include "engine.h"
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

sample_options sample_opts = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.0f,
                              .draft_tokens = 4};
const arg sample_args[] = {
    {"--max-tokens", "-n", ARG_UINT, &sample_opts.max_tokens, 0, 1 << 24, "N", "tokens to generate (default: until the end)"},
    {"--min-tokens", NULL, ARG_UINT, &sample_opts.min_tokens, 0, 1 << 24, "N", "no end before so many (default 0)"},
    {"--temp", NULL, ARG_FLOAT, &sample_opts.temperature, 0, 100, "T", "temperature; 0 is greedy (default 0.8)"},
    {"--top-k", NULL, ARG_UINT, &sample_opts.top_k, 0, 1 << 24, "K", "best K tokens only; 0 = all (default 40)"},
    {"--top-p", NULL, ARG_FLOAT, &sample_opts.top_p, 0, 1, "P", "nucleus; 1 = all (default 0.95)"},
    {"--min-p", NULL, ARG_FLOAT, &sample_opts.min_p, 0, 0.999, "P", "at least P times the best token's probability (default 0.05)"},
    {"--repeat-penalty", NULL, ARG_FLOAT, &sample_opts.repeat_penalty, 0.01, 100, "R", "on the last 64 tokens; 1 = none (default)"},
    {"--presence-penalty", NULL, ARG_FLOAT, &sample_opts.presence_penalty, -2, 2, "P", "once for each token generated before (default 0)"},
    {"--frequency-penalty", NULL, ARG_FLOAT, &sample_opts.frequency_penalty, -2, 2, "P", "for each time it was (default 0)"},
    {"--logit-bias", NULL, ARG_TEXTS, &sample_opts.biases, 0, 0, "ID=B,..", "add B to the logits of tokens; -inf bans"},
    {"--stop", NULL, ARG_TEXTS, &sample_opts.stops, 0, 0, "TEXT", "end before TEXT; may be given again"},
    {"--seed", NULL, ARG_UINT, &sample_opts.seed, 0, 4294967295.0, "S", "of the draws; 0 = another each time (default)"},
    {"--ignore-eos", NULL, ARG_FLAG, &sample_opts.ignore_end, 0, 0, NULL, "go on after an end token"},
    {"--speculate", NULL, ARG_CHOICE, &sample_opts.speculate, 0, 0, "off|lookup|draft", "guess tokens from earlier text, or with --draft; the answer is the same"},
    {"--draft", NULL, ARG_TEXT, &engine_opts.draft, 0, 0, "FILE", "a smaller model of the same vocabulary that guesses tokens"},
    {"--draft-tokens", NULL, ARG_UINT, &sample_opts.draft_tokens, 1, PM_DRAFT_TOKENS_MAX, "N", "guessed tokens a step (default 4)"},
    {0},
};

/* "15=-inf,7=1.5" behind those there are. */
static bool read_biases(const char *text, pm_logit_bias *biases, uint32_t *count)
{
    for (const char *p = text; *p != '\0';) {
        char *end;
        const long token = strtol(p, &end, 10);
        if (end == p || *end != '=' || token < 0 || token > INT32_MAX || *count == PM_LOGIT_BIAS_MAX)
            return false;
        p = end + 1;
        biases[*count] = (pm_logit_bias){(int32_t)token, strtof(p, &end)};
        if (end == p || (*end != ',' && *end != '\0'))
            return false;
        ++*count;
        p = end + (*end == ',');
    }
    return true;
}

static uint64_t seed_of_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void sample_speculate(pm_request_params *params)
{
    const bool draft = engine_opts.draft != NULL && sample_opts.speculate == PM_SPECULATE_NONE;
    params->speculate = draft ? PM_SPECULATE_DRAFT : (pm_speculation)sample_opts.speculate;
    params->draft_tokens = sample_opts.draft_tokens;
}

int sample_read(const char *command, pm_request_params *params)
{
    static pm_logit_bias biases[PM_LOGIT_BIAS_MAX];
    const sample_options *o = &sample_opts;
    uint32_t count = 0;
    for (size_t i = 0; i < o->biases.count; i++)
        if (!read_biases(o->biases.list[i], biases, &count)) {
            fprintf(stderr, "pumice %s: --logit-bias is '%.60s', expected up to %d of TOKEN=BIAS such as 15=-inf,7=1.5\n",
                    command, o->biases.list[i], PM_LOGIT_BIAS_MAX);
            return EXIT_USAGE;
        }
    params->max_tokens = o->max_tokens;
    params->min_tokens = o->min_tokens;
    params->ignore_end = o->ignore_end;
    params->stop = o->stops.list;
    params->stop_count = o->stops.count;
    sample_speculate(params);
    if (params->speculate == PM_SPECULATE_DRAFT && engine_opts.draft == NULL)
        return usage(command, "--speculate draft goes with --draft FILE");
    params->sample = (pm_sample_params){
        .temperature = o->temperature, .top_p = o->top_p, .min_p = o->min_p, .top_k = o->top_k,
        .repeat_penalty = o->repeat_penalty, .presence_penalty = o->presence_penalty,
        .frequency_penalty = o->frequency_penalty, .seed = o->seed != 0 ? o->seed : seed_of_now(),
        .logit_bias = biases, .logit_bias_count = count};
    return -1;
}

/* ------------------------------------------------------------ interrupts */

static volatile sig_atomic_t interrupt_seen;
static int interrupt_pipe[2] = {-1, -1}; /* for poll(): a signal before it is seen, in whichever thread it came */

static void on_interrupt(int signal)
{
    (void)signal;
    const int before = errno;
    interrupt_seen = 1;
    (void)!write(interrupt_pipe[1], "", 1);
    errno = before;
}

/* Without SA_RESTART, so that a read for the next prompt ends, too. */
void interrupts_catch(void)
{
    const struct sigaction action = {.sa_handler = on_interrupt};
    if (pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) != 0) /* then poll() passes over it */
        interrupt_pipe[0] = interrupt_pipe[1] = -1;
    sigaction(SIGINT, &action, NULL);
}

bool interrupted(void)
{
    return interrupt_seen != 0;
}

int interrupts_fd(void)
{
    return interrupt_pipe[0];
}

void interrupts_forget(void)
{
    char bytes[64];
    interrupt_seen = 0;
    while (read(interrupt_pipe[0], bytes, sizeof(bytes)) > 0)
        continue;
}

/* ------------------------------------------------------------ generation */

double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

pm_result generate(pm_engine *engine, const pm_request_params *params, event_sink *sink, void *context,
                   generation *out)
{
    pm_event events[64];
    uint64_t id;
    bool cancelled = false;
    *out = (generation){0};
    pm_engine_stats before, stats;
    pm_engine_statistics(engine, &before);
    const double start = now_s();
    pm_result result = pm_request_submit(engine, params, &id);
    while (result == PM_OK && pm_engine_busy(engine)) {
        if (interrupted() && !cancelled) {
            pm_request_cancel(engine, id);
            cancelled = true;
        }
        size_t count = 0;
        result = pm_engine_step(engine, events, sizeof(events) / sizeof(events[0]), &count);
        for (size_t i = 0; i < count && result == PM_OK; i++) {
            const pm_event *e = &events[i];
            if (e->token >= 0 && out->first_token_s == 0.0)
                out->first_token_s = now_s() - start;
            sink(context, e);
            out->prompt_tokens = e->prompt_tokens;
            out->cached_tokens = e->cached_tokens;
            out->generated_tokens += e->token >= 0;
            out->finish = e->index == 0 && e->finish != PM_FINISH_NONE ? e->finish : out->finish;
            if (e->finish == PM_FINISH_ERROR)
                result = e->error;
        }
    }
    out->total_s = now_s() - start;
    pm_engine_statistics(engine, &stats);
    out->pages_max = stats.pages_used_max;
    out->drafted_tokens = (uint32_t)(stats.drafted_tokens - before.drafted_tokens);
    out->accepted_tokens = (uint32_t)(stats.accepted_tokens - before.accepted_tokens);
    return result;
}

double generation_prompt_rate(const generation *g)
{
    return g->first_token_s > 0.0 ? g->prompt_tokens / g->first_token_s : 0.0;
}

/* The first token is the prompt's work. */
double generation_rate(const generation *g)
{
    const double decode_s = g->total_s - g->first_token_s;
    return g->generated_tokens > 1 && decode_s > 0.0 ? (g->generated_tokens - 1) / decode_s : 0.0;
}

void generation_print(const pm_engine *engine, const generation *g)
{
    pm_engine_info info;
    char drafts[64] = "";
    pm_engine_describe(engine, &info);
    if (g->drafted_tokens > 0)
        snprintf(drafts, sizeof(drafts), ", %u of %u guesses right", g->accepted_tokens, g->drafted_tokens);
    fprintf(stderr, "%s%u prompt + %u generated tokens (%s), prompt %.1f tok/s, generation %.1f tok/s, "
            "first token %.0f ms, %u of %u KV pages%s%s\n", terminal_dim(), g->prompt_tokens, g->generated_tokens,
            pm_finish_name(g->finish), generation_prompt_rate(g), generation_rate(g), g->first_token_s * 1e3,
            g->pages_max, info.pages, drafts, terminal_plain());
}
