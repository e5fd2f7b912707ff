/* bench.c - pumice bench: prompt and generation speed of one sequence. */
#include "common.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *prompt_list = "128,512";
static uint32_t generate_tokens = 64, reps = 3;
static bool as_json;
static const arg bench_args[] = {
    {"--pp", NULL, ARG_TEXT, &prompt_list, 0, 0, "LIST", "prompt lengths in tokens (default 128,512)"},
    {"--tg", NULL, ARG_UINT, &generate_tokens, 0, 1 << 20, "N", "tokens to generate after one of prompt (default 64)"},
    {"--reps", NULL, ARG_UINT, &reps, 1, 100, "R", "measured runs, after one that warms up (default 3)"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "a JSON object on stdout"},
    {0},
};

static void drop_text(void *context, const char *text, size_t len)
{
    (void)context;
    (void)text;
    (void)len;
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
    int32_t *tokens = malloc(prompt_tokens * sizeof(*tokens));
    pm_result result = tokens != NULL ? PM_OK : PM_ERR_NOMEM;
    for (uint32_t i = 0; i < prompt_tokens && result == PM_OK; i++)
        tokens[i] = (int32_t)((i * 7919u + 13u) % info.vocab);
    for (uint32_t rep = 0; rep <= reps && result == PM_OK; rep++) { /* the first warms up */
        const pm_request_params params = {.tokens = tokens, .token_count = prompt_tokens, .max_tokens = max_tokens,
                                          .ignore_end = true};
        generation g;
        result = generate(engine, &params, drop_text, NULL, NULL, &g);
        if (rep > 0)
            rates[rep - 1] = max_tokens == 1 ? prompt_tokens / g.total_s
                                             : (g.generated_tokens - 1) / (g.total_s - g.first_token_s);
        progress_bar(max_tokens == 1 ? "prompt" : "generation", (double)(rep + 1) / (reps + 1));
    }
    free(tokens);
    qsort(rates, reps, sizeof(*rates), by_value);
    return result;
}

/* One row: median, spread, and the share of the memory bandwidth that it needs. */
static void report(cJSON *json, const char *name, const double *rates, double percent)
{
    const double median = reps % 2 ? rates[reps / 2] : (rates[reps / 2 - 1] + rates[reps / 2]) / 2;
    if (json == NULL) {
        printf("%-8s %10.2f tok/s   %10.2f .. %-10.2f", name, median, rates[0], rates[reps - 1]);
        if (percent > 0.0)
            printf("%6.1f %% of bandwidth", percent * median);
        putchar('\n');
        fflush(stdout);
        return;
    }
    cJSON *row = cJSON_AddObjectToObject(json, name);
    cJSON_AddNumberToObject(row, "tokens_per_second", median);
    cJSON_AddNumberToObject(row, "min", rates[0]);
    cJSON_AddNumberToObject(row, "max", rates[reps - 1]);
    if (percent > 0.0)
        cJSON_AddNumberToObject(row, "percent_of_bandwidth", percent * median);
}

static int measure_all(pm_engine *engine, cJSON *json)
{
    pm_engine_info info;
    double bandwidth = 0.0, rates[100];
    pm_engine_describe(engine, &info);
    if (pm_engine_bandwidth(engine, &bandwidth) != PM_OK)
        return fail("bench");
    if (json == NULL) {
        printf("%s on %s: weights %.1f MB, read bandwidth %.1f GB/s\n", engine_opts.model, info.device,
               (double)info.weight_bytes * 1e-6, bandwidth * 1e-9);
    } else {
        cJSON_AddStringToObject(json, "model", engine_opts.model);
        cJSON_AddStringToObject(json, "device", info.device);
        cJSON_AddNumberToObject(json, "weight_bytes", (double)info.weight_bytes);
        cJSON_AddNumberToObject(json, "bandwidth_bytes_per_second", bandwidth);
    }
    for (const char *p = prompt_list; *p != '\0';) {
        char *end, name[32];
        const unsigned long tokens = strtoul(p, &end, 10);
        if (end == p || tokens == 0 || tokens >= info.context_tokens || (*end != ',' && *end != '\0')) {
            fprintf(stderr, "pumice bench: --pp is '%s', expected lengths from 1 to %u\n", prompt_list, info.context_tokens - 1);
            return EXIT_USAGE;
        }
        if (measure(engine, (uint32_t)tokens, 1, rates) != PM_OK)
            return fail("bench");
        snprintf(name, sizeof(name), "pp%lu", tokens);
        report(json, name, rates, 0.0);
        p = *end == ',' ? end + 1 : end;
    }
    if (generate_tokens >= 2) {
        char name[32];
        snprintf(name, sizeof(name), "tg%u", generate_tokens);
        if (measure(engine, 1, generate_tokens, rates) != PM_OK)
            return fail("bench");
        report(json, name, rates, 100.0 * (double)info.weight_step_bytes / bandwidth);
    }
    return EXIT_OK;
}

int bench_main(int argc, char **argv)
{
    const args_spec spec = {"bench", "measure prompt and generation speed", {bench_args, engine_args}};
    int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    pm_engine *engine = NULL;
    cJSON *json = as_json ? cJSON_CreateObject() : NULL;
    code = engine_open("bench", 1, &engine);
    if (code < 0)
        code = measure_all(engine, json);
    if (code == EXIT_OK && as_json) {
        char *text = cJSON_Print(json);
        puts(text != NULL ? text : "{}");
        cJSON_free(text);
    }
    if (engine != NULL && engine_opts.profile)
        engine_print_profile(engine);
    cJSON_Delete(json);
    pm_engine_destroy(engine);
    return code;
}
