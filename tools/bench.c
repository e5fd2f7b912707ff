/* bench.c - pumice bench without a mode: prompt and generation speed of one sequence, and of many. */
#include "bench_modes.h"
#include "engine.h"
#include "generate.h"
#include "load.h"
#include "soak.h"
#include "terminal.h"

#include <stdlib.h>

static const char *prompt_list, *batch_list, *trace_path;
static uint32_t seqs = 16, trace_requests = 100, shared_tokens, stall_tokens, soak_seconds;
static float speed = 1.0f;
static uint32_t generate_tokens = 64, reps = 3;
static bool as_json;
enum { REPS_MAX = 100 };
static const arg bench_args[] = {
    {"--pp", NULL, ARG_TEXT, &prompt_list, 0, 0, "LIST", "prompt lengths in tokens (default 128,512 where they fit)"},
    {"--tg", NULL, ARG_UINT, &generate_tokens, 0, 1 << 20, "N", "tokens to generate after one of prompt (default 64)"},
    {"--batch", NULL, ARG_TEXT, &batch_list, 0, 0, "LIST", "sequences that generate --tg tokens each at once: 1,4,16,64"},
    {"--trace", NULL, ARG_TEXT, &trace_path, 0, 0, "FILE", "requests as a CSV file of arrivals and lengths has them"},
    {"--requests", NULL, ARG_UINT, &trace_requests, 1, 1 << 20, "N", "of the trace, or with --shared (default 100)"},
    {"--speed", NULL, ARG_FLOAT, &speed, 0.001, 1e6, "X", "the trace X times as fast (default 1)"},
    {"--duration", NULL, ARG_UINT, &soak_seconds, 1, 1 << 20, "SECONDS", "--trace again and again: a CSV row each minute, exits with 1 when a request is lost or memory grows"},
    {"--shared", NULL, ARG_UINT, &shared_tokens, 1, 1 << 20, "N", "requests one after another whose first N tokens are the same"},
    {"--stall", NULL, ARG_UINT, &stall_tokens, 1, 1 << 20, "N", "a prompt of N tokens comes while --seqs - 1 sequences generate"},
    {"--seqs", NULL, ARG_UINT, &seqs, 1, 256, "N", "sequences at once, with --trace, --shared and --stall (default 16)"},
    {"--draft", NULL, ARG_TEXT, &engine_opts.draft, 0, 0, "FILE", "a smaller model of the same vocabulary that guesses tokens"},
    {"--draft-tokens", NULL, ARG_UINT, &sample_opts.draft_tokens, 1, PM_DRAFT_TOKENS_MAX, "N", "guessed tokens a step (default 4)"},
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
        pm_request_params params = {.tokens = tokens, .token_count = prompt_tokens, .max_tokens = max_tokens,
                                    .ignore_end = true, .no_prefix_cache = true}; /* all of it, each time */
        sample_speculate(&params);
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

/* ----------------------------------------------------------------- loads */

static int run_load(pm_engine *engine, const char *name, load_request *requests, size_t count, cJSON *array,
                    load_result *result)
{
    if (load_run(engine, requests, count, result) != PM_OK) {
        load_result_finish(result);
        return interrupted() ? EXIT_INTERRUPTED : fail("bench");
    }
    load_print(name, result, array);
    return EXIT_OK;
}

/* As many sequences as the list says, each generating --tg tokens after a prompt of one. */
static int measure_batches(pm_engine *engine, cJSON *array)
{
    double alone = 0.0;
    for (const char *p = batch_list; *p != '\0';) {
        char *end, name[32];
        const unsigned long count = strtoul(p, &end, 10);
        load_request *requests = must(calloc(count, sizeof(*requests)));
        load_result result;
        for (unsigned long i = 0; i < count; i++)
            requests[i] = (load_request){.prompt_tokens = 1, .generate_tokens = generate_tokens};
        snprintf(name, sizeof(name), "batch%lu", count);
        const int code = run_load(engine, name, requests, count, array, &result);
        free(requests);
        if (code != EXIT_OK)
            return code;
        alone = alone == 0.0 ? result.steady_rate : alone;
        if (array == NULL)
            printf("%-10s %.2f tok/s while all generate, %.2f times the first row's\n", "", result.steady_rate,
                   result.steady_rate / alone);
        load_result_finish(&result);
        p = end + (*end == ',');
    }
    return EXIT_OK;
}

static int measure_trace(pm_engine *engine, cJSON *array)
{
    pm_engine_info info;
    load_request *requests = NULL;
    size_t count = 0;
    load_result result;
    pm_engine_describe(engine, &info);
    int code = load_read_trace(trace_path, trace_requests, info.context_tokens, (double)speed, &requests, &count);
    if (code >= 0)
        return code;
    if (soak_seconds > 0) {
        code = soak_run(engine, requests, count, soak_seconds, engine_opts.deterministic);
    } else {
        code = run_load(engine, "trace", requests, count, array, &result);
        if (code == EXIT_OK)
            load_result_finish(&result);
    }
    free(requests);
    return code;
}

/* One after the other, so that time to the first token is that of the prompt alone. */
static int measure_shared(pm_engine *engine, cJSON *array)
{
    double first_ms = 0.0;
    uint64_t evicted = 0;
    load_times later = {0};
    int code = EXIT_OK;
    for (uint32_t i = 0; i < trace_requests && code == EXIT_OK; i++) {
        char name[32];
        load_request request = {.prompt_tokens = shared_tokens + 8, .shared_tokens = shared_tokens, .generate_tokens = 4};
        load_result result = {0};
        if (load_run(engine, &request, 1, &result) != PM_OK)
            code = fail("bench");
        const double ms = load_quantile(&result.first_ms, 0.5);
        if (i == 0)
            first_ms = ms;
        else
            load_times_add(&later, ms);
        evicted += result.after.evicted_pages - result.before.evicted_pages;
        snprintf(name, sizeof(name), "shared%u", i);
        if (array != NULL && code == EXIT_OK)
            load_print(name, &result, array);
        load_result_finish(&result);
    }
    if (array == NULL && code == EXIT_OK)
        printf("%u requests with %u shared tokens: first token after %.1f ms, then %.1f ms (median; p99 %.1f), %.1f times shorter; %llu pages evicted\n",
               trace_requests, shared_tokens, first_ms, load_quantile(&later, 0.5), load_quantile(&later, 0.99),
               first_ms / load_quantile(&later, 0.5), (unsigned long long)evicted);
    load_times_finish(&later);
    return code;
}

/* The pace of others with and without a long prompt beside them; first all at once, so that the engine knows what
 * steps take. With a draft model it goes on behind the prompt, which that reads then. */
static int measure_stall(pm_engine *engine, cJSON *array)
{
    load_request *requests = must(calloc(seqs, sizeof(*requests)));
    static const char *const names[] = {"between tokens p50", "p99", "at most"};
    double alone[3] = {0}, during[3] = {0};
    int code = EXIT_OK;
    for (int pass = 0; pass < 3 && code == EXIT_OK; pass++) {
        load_result result;
        const uint32_t count = pass == 1 ? seqs - 1 : seqs;
        for (uint32_t i = 0; i < count; i++)
            requests[i] = (load_request){.prompt_tokens = 8, .generate_tokens = generate_tokens, .fresh = true};
        if (pass != 1)
            requests[seqs - 1] = (load_request){.at_s = 1e-3, .prompt_tokens = stall_tokens, .fresh = true,
                                                .generate_tokens = engine_opts.draft != NULL ? generate_tokens : 1};
        code = run_load(engine, pass == 0 ? "warm" : pass == 1 ? "alone" : "stalled", requests, count, array, &result);
        if (code != EXIT_OK)
            break;
        for (int q = 0; q < 3; q++)
            *(pass == 1 ? &alone[q] : &during[q]) = load_quantile(&result.gap_ms, q == 0 ? 0.5 : q == 1 ? 0.99 : 1.0);
        load_result_finish(&result);
    }
    if (array == NULL && code == EXIT_OK)
        for (int q = 0; q < 3; q++)
            printf("%s %.2f ms alone, %.2f ms with the prompt (%.2f times)%s", names[q], alone[q], during[q],
                   during[q] / alone[q], q < 2 ? "; " : "\n");
    free(requests);
    return code;
}

/* The largest number of --batch, or 0 after a message. */
static uint32_t batch_most(void)
{
    uint32_t most = 0;
    for (const char *p = batch_list; *p != '\0';) {
        char *end;
        const unsigned long count = strtoul(p, &end, 10);
        if (end == p || count < 1 || count > 256 || (*end != ',' && *end != '\0')) {
            fprintf(stderr, "pumice bench: --batch is '%s', expected numbers from 1 to 256\n", batch_list);
            return 0;
        }
        most = count > most ? (uint32_t)count : most;
        p = end + (*end == ',');
    }
    return most;
}

/* How many guesses of the draft model were right, where there is one. */
static void report_guesses(const pm_engine *engine, cJSON *json)
{
    pm_engine_stats stats;
    pm_engine_statistics(engine, &stats);
    if (engine_opts.draft == NULL)
        return;
    if (json == NULL)
        printf("%llu of %llu guesses right, in %llu passes of the draft model\n", (unsigned long long)stats.accepted_tokens,
               (unsigned long long)stats.drafted_tokens, (unsigned long long)stats.draft_steps);
    else {
        cJSON_AddNumberToObject(json, "drafted_tokens", (double)stats.drafted_tokens);
        cJSON_AddNumberToObject(json, "accepted_tokens", (double)stats.accepted_tokens);
        cJSON_AddNumberToObject(json, "draft_steps", (double)stats.draft_steps);
    }
}

static int measure_loads(pm_engine *engine, cJSON *json)
{
    cJSON *array = json != NULL ? cJSON_AddArrayToObject(json, "loads") : NULL;
    if (batch_list != NULL)
        return measure_batches(engine, array);
    if (trace_path != NULL)
        return measure_trace(engine, array);
    return shared_tokens > 0 ? measure_shared(engine, array) : measure_stall(engine, array);
}

int bench_main(int argc, char **argv)
{
    if (argc > 0 && argv[0][0] != '-')
        return bench_modes_main(argc, argv);
    const args_spec spec = {"bench", "measure prompt and generation speed; 'bench ops|model|trace|startup|all' measure more", {bench_args, engine_args}};
    int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    const bool loads = batch_list != NULL || trace_path != NULL || shared_tokens > 0 || stall_tokens > 0;
    if (batch_list != NULL && (seqs = batch_most()) == 0)
        return EXIT_USAGE;
    if (soak_seconds > 0 && (trace_path == NULL || as_json))
        return usage("bench", "--duration goes with --trace, not with --json");
    engine_opts.seqs = loads ? seqs : 1;
    engine_opts.warm_up = loads ? PM_WARM_UP_STEPS : PM_WARM_UP_KERNELS;
    interrupts_catch();
    pm_engine *engine = NULL;
    code = engine_open("bench", &engine);
    if (code < 0) {
        cJSON *json = as_json ? must(cJSON_CreateObject()) : NULL;
        code = loads ? measure_loads(engine, json) : measure_all(engine, json);
        report_guesses(engine, json);
        if (code == EXIT_OK && as_json)
            print_json(json);
        else
            cJSON_Delete(json);
    }
    engine_close(engine);
    return code;
}
