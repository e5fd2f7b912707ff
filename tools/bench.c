/* bench.c - pumice bench: prompt and generation speed of one sequence. */
#include "engine.h"
#include "generate.h"
#include "terminal.h"

#include <stdlib.h>

static const char *prompt_list;
static uint32_t generate_tokens = 64, reps = 3;
static bool as_json;
enum { REPS_MAX = 100 };
static const arg bench_args[] = {
    {"--pp", NULL, ARG_TEXT, &prompt_list, 0, 0, "LIST", "prompt lengths in tokens (default 128,512 where they fit)"},
    {"--tg", NULL, ARG_UINT, &generate_tokens, 0, 1 << 20, "N", "tokens to generate after one of prompt (default 64)"},
    {"--reps", NULL, ARG_UINT, &reps, 1, REPS_MAX, "R", "measured runs, after one that warms up (default 3)"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "a JSON object on stdout"},
    {0},
};

static void drop_event(void *context, const pm_event *event)
{
    (void)context;
    (void)event;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Tokens per second of `reps` runs, sorted. */
static pm_result measure(pm_engine *engine, uint32_t prompt_tokens, uint32_t max_tokens, double *rates)
{
    pm_engine_info info;
    pm_engine_describe(engine, &info);
    int32_t *tokens = must(malloc(prompt_tokens * sizeof(*tokens)));
    pm_result result = PM_OK;
    for (uint32_t i = 0; i < prompt_tokens; i++)
        tokens[i] = (int32_t)((i * 7919u + 13u) % info.vocab);
    for (uint32_t rep = 0; rep <= reps && result == PM_OK; rep++) { /* the first warms up */
        const pm_request_params params = {.tokens = tokens, .token_count = prompt_tokens, .max_tokens = max_tokens,
                                          .ignore_end = true};
        generation g;
        result = generate(engine, &params, drop_event, NULL, &g);
        if (rep > 0)
            rates[rep - 1] = max_tokens == 1 ? prompt_tokens / g.total_s
                                             : generation_rate(&g);
        terminal_progress(max_tokens == 1 ? "prompt" : "generation", (double)(rep + 1) / (reps + 1));
    }
    free(tokens);
    qsort(rates, reps, sizeof(*rates), by_value);
    return result;
}

/* One row: median, spread, and the share of the memory bandwidth that `step_bytes` for each
 * token need; 0 = not said. */
static void report(cJSON *json, const char *name, const double *rates, double step_bytes, double bandwidth)
{
    const double median = reps % 2 ? rates[reps / 2] : (rates[reps / 2 - 1] + rates[reps / 2]) / 2;
    const double percent = 100.0 * step_bytes * median / bandwidth;
    if (json == NULL) {
        printf("%-8s %10.2f tok/s   %10.2f .. %-10.2f", name, median, rates[0], rates[reps - 1]);
        if (step_bytes > 0.0)
            printf("%6.1f %% of bandwidth", percent);
        putchar('\n');
        fflush(stdout);
        return;
    }
    cJSON *row = cJSON_AddObjectToObject(json, name);
    cJSON_AddNumberToObject(row, "tokens_per_s", median);
    cJSON_AddNumberToObject(row, "min", rates[0]);
    cJSON_AddNumberToObject(row, "max", rates[reps - 1]);
    if (step_bytes > 0.0)
        cJSON_AddNumberToObject(row, "percent_of_bandwidth", percent);
}

/* What a decode step reads: weights, and keys and values of half the text on average. */
static double decode_bytes(const pm_engine_info *info)
{
    return (double)info->weight_step_bytes + (double)info->page_bytes / info->page_tokens * generate_tokens / 2;
}

static int measure_prompts(pm_engine *engine, const pm_engine_info *info, cJSON *json)
{
    const char *list = prompt_list != NULL ? prompt_list : "128,512";
    double rates[REPS_MAX];
    for (const char *p = list; *p != '\0';) {
        char *end, name[32];
        const unsigned long tokens = strtoul(p, &end, 10);
        const bool fits = tokens < info->context_tokens;
        if (end == p || tokens == 0 || (!fits && prompt_list != NULL) || (*end != ',' && *end != '\0')) {
            fprintf(stderr, "pumice bench: --pp is '%s', expected lengths from 1 to %u\n", list, info->context_tokens - 1);
            return EXIT_USAGE;
        }
        snprintf(name, sizeof(name), "pp%lu", tokens);
        p = end + (*end == ',');
        if (!fits)
            continue;
        if (measure(engine, (uint32_t)tokens, 1, rates) != PM_OK)
            return fail("bench");
        report(json, name, rates, 0.0, 1.0);
    }
    return EXIT_OK;
}

static int measure_all(pm_engine *engine, cJSON *json)
{
    pm_engine_info info;
    double bandwidth = 0.0, rates[REPS_MAX];
    pm_engine_describe(engine, &info);
    if (pm_engine_bandwidth(engine, &bandwidth) != PM_OK)
        return fail("bench");
    if (json == NULL) {
        printf("%s on %s: weights %.1f MB, memory bandwidth %.1f GB/s\n", engine_opts.model, info.device,
               (double)info.weight_bytes * 1e-6, bandwidth * 1e-9);
    } else {
        cJSON_AddStringToObject(json, "model", engine_opts.model);
        cJSON_AddStringToObject(json, "device", info.device);
        cJSON_AddNumberToObject(json, "weight_bytes", (double)info.weight_bytes);
        cJSON_AddNumberToObject(json, "bandwidth_bytes_per_s", bandwidth);
    }
    const int code = measure_prompts(engine, &info, json);
    if (code != EXIT_OK || generate_tokens < 2)
        return code;
    char name[32];
    snprintf(name, sizeof(name), "tg%u", generate_tokens);
    if (measure(engine, 1, generate_tokens, rates) != PM_OK)
        return fail("bench");
    report(json, name, rates, decode_bytes(&info), bandwidth);
    return EXIT_OK;
}

int bench_main(int argc, char **argv)
{
    const args_spec spec = {"bench", "measure prompt and generation speed", {bench_args, engine_args}};
    int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    pm_engine *engine = NULL;
    code = engine_open("bench", &engine);
    if (code < 0) {
        cJSON *json = as_json ? must(cJSON_CreateObject()) : NULL;
        code = measure_all(engine, json);
        if (code == EXIT_OK && as_json)
            print_json(json);
        else
            cJSON_Delete(json);
    }
    engine_close(engine);
    return code;
}
