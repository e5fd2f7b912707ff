/* load.c - many requests at once, by a plan of arrivals. */
#include "load.h"
#include "generate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void load_times_add(load_times *times, double value)
{
    if (times->count == times->capacity) {
        times->capacity = times->capacity ? 2 * times->capacity : 256;
        times->list = must(realloc(times->list, times->capacity * sizeof(*times->list)));
    }
    times->list[times->count++] = value;
}

void load_times_finish(load_times *times)
{
    free(times->list);
    *times = (load_times){0};
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double load_quantile(load_times *times, double q)
{
    if (times->count == 0)
        return 0.0;
    qsort(times->list, times->count, sizeof(*times->list), by_value);
    const size_t index = (size_t)(q * (double)times->count);
    return times->list[index < times->count ? index : times->count - 1];
}

/* ------------------------------------------------------------------- run */

uint32_t load_token(uint32_t stream, uint32_t i, uint32_t vocab)
{
    uint64_t x = ((uint64_t)stream << 32 | i) * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x632be59bd9b4e019);
    x ^= x >> 31;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)((x ^ x >> 29) >> 16) % vocab;
}

static pm_result submit(pm_engine *engine, load_request *request, uint32_t number, uint32_t vocab)
{
    int32_t *tokens = must(malloc((request->prompt_tokens + 1) * sizeof(*tokens)));
    for (uint32_t i = 0; i < request->prompt_tokens; i++)
        tokens[i] = (int32_t)load_token(i < request->shared_tokens ? 0 : number + 1, i, vocab);
    pm_request_params params = {.tokens = tokens, .token_count = request->prompt_tokens,
                                .max_tokens = request->generate_tokens, .ignore_end = true,
                                .no_prefix_cache = request->fresh};
    sample_speculate(&params);
    const pm_result result = pm_request_submit(engine, &params, &request->id);
    free(tokens);
    return result;
}

static load_request *find(load_request *requests, size_t count, uint64_t id)
{
    for (size_t i = count; i-- > 0;) /* the latest are those that run */
        if (requests[i].id == id)
            return &requests[i];
    return NULL;
}

/* Between the last first token and the first end. */
static double steady_rate(const load_request *requests, size_t count, const load_times *stamps)
{
    double from = 0.0, to = 1e300;
    uint64_t tokens = 0;
    for (size_t i = 0; i < count; i++) {
        from = requests[i].first_s > from ? requests[i].first_s : from;
        to = requests[i].end_s < to ? requests[i].end_s : to;
    }
    for (size_t i = 0; i < stamps->count; i++)
        tokens += stamps->list[i] > from && stamps->list[i] <= to;
    return to > from ? (double)tokens / (to - from) : 0.0;
}

static void take(load_request *request, const pm_event *event, double now, load_result *out, load_times *stamps)
{
    if (event->token >= 0) {
        load_times_add(stamps, now);
        if (request->tokens++ == 0)
            load_times_add(&out->first_ms, ((request->first_s = now) - request->submitted_s) * 1e3);
        else
            load_times_add(&out->gap_ms, (now - request->last_s) * 1e3);
        request->last_s = now;
        request->cached_tokens = event->cached_tokens;
        out->generated_tokens++;
    }
    if (event->finish != PM_FINISH_NONE) {
        request->finish = event->finish;
        request->end_s = now;
    }
}

/* Hands over those whose time has come; *next: the first that has not. */
static pm_result arrive(pm_engine *engine, load_request *requests, size_t count, size_t *next, double now, uint32_t vocab,
                        load_result *out)
{
    for (; *next < count && requests[*next].at_s <= now; ++*next) {
        load_request *request = &requests[*next];
        const pm_result result = submit(engine, request, (uint32_t)*next, vocab);
        if (result == PM_ERR_FULL)
            return PM_OK; /* after a step */
        if (result != PM_OK)
            return result;
        request->submitted_s = request->at_s;
        out->prompt_tokens += request->prompt_tokens;
    }
    return PM_OK;
}

static void sleep_s(double seconds)
{
    const struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

static pm_result run(pm_engine *engine, load_request *requests, size_t count, load_result *out, load_times *stamps)
{
    pm_event events[256];
    pm_engine_info info;
    size_t next = 0;
    pm_engine_describe(engine, &info);
    pm_engine_statistics(engine, &out->before);
    const double start = now_s();
    while (next < count || pm_engine_busy(engine)) {
        pm_result result = arrive(engine, requests, count, &next, now_s() - start, info.vocab, out);
        size_t n = 0;
        if (interrupted())
            return PM_ERR_STATE;
        if (result == PM_OK && pm_engine_busy(engine))
            result = pm_engine_step(engine, events, sizeof(events) / sizeof(events[0]), &n);
        else if (result == PM_OK && next < count)
            sleep_s(requests[next].at_s - (now_s() - start) > 0.0 ? requests[next].at_s - (now_s() - start) : 0.0);
        if (result != PM_OK)
            return result;
        const double now = now_s() - start;
        for (size_t i = 0; i < n; i++) {
            load_request *request = find(requests, next, events[i].request_id);
            if (request != NULL)
                take(request, &events[i], now, out, stamps);
        }
    }
    out->total_s = now_s() - start;
    pm_engine_statistics(engine, &out->after);
    return PM_OK;
}

pm_result load_run(pm_engine *engine, load_request *requests, size_t count, load_result *out)
{
    load_times stamps = {0};       /* of all tokens */
    *out = (load_result){0};
    const pm_result result = run(engine, requests, count, out, &stamps);
    if (result == PM_OK)
        out->steady_rate = steady_rate(requests, count, &stamps);
    load_times_finish(&stamps);
    return result;
}

void load_result_finish(load_result *result)
{
    load_times_finish(&result->first_ms);
    load_times_finish(&result->gap_ms);
}

/* ----------------------------------------------------------------- trace */

/* Seconds of "2023-11-16 18:17:03.9799600" within its month: traces are shorter. */
static bool read_time(const char *text, double *seconds)
{
    int year, month, day, hour, minute;
    double second;
    if (sscanf(text, "%d-%d-%d %d:%d:%lf", &year, &month, &day, &hour, &minute, &second) != 6)
        return false;
    *seconds = ((day * 24.0 + hour) * 60.0 + minute) * 60.0 + second;
    return true;
}

static bool read_line(const char *line, uint32_t context, load_request *out)
{
    unsigned prompt, generate;
    const char *comma = strchr(line, ',');
    *out = (load_request){0};
    if (comma == NULL || sscanf(comma, ",%u,%u", &prompt, &generate) != 2 || !read_time(line, &out->at_s))
        return false;
    generate = generate < 1 ? 1 : generate < context / 2 ? generate : context / 2;
    prompt = prompt < 1 ? 1 : prompt + generate <= context ? prompt : context - generate;
    out->prompt_tokens = prompt;
    out->generate_tokens = generate;
    return true;
}

int load_read_trace(const char *path, size_t most, uint32_t context, double speed, load_request **out, size_t *count)
{
    FILE *file = fopen(path, "r");
    char line[256];
    size_t lines = 0;
    if (file == NULL) {
        fprintf(stderr, "pumice bench: %s: cannot open\n", path);
        return EXIT_FAILED;
    }
    *out = must(calloc(most, sizeof(**out)));
    for (*count = 0; *count < most && fgets(line, sizeof(line), file) != NULL; lines++) {
        if (read_line(line, context, &(*out)[*count])) {
            load_request *request = &(*out)[*count];
            request->at_s = *count == 0 ? request->at_s : request->at_s - (*out)[0].at_s;
            ++*count;
        } else if (lines > 0) {
            fprintf(stderr, "pumice bench: %s:%zu: expected TIMESTAMP,ContextTokens,GeneratedTokens\n", path, lines + 1);
            fclose(file);
            free(*out);
            return EXIT_FAILED;
        }
    }
    fclose(file);
    if (*count == 0) {
        fprintf(stderr, "pumice bench: %s: no requests\n", path);
        free(*out);
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < *count; i++)
        (*out)[i].at_s = i == 0 ? 0.0 : (*out)[i].at_s / speed;
    return -1;
}

/* ---------------------------------------------------------------- report */

void load_print(const char *name, load_result *r, cJSON *array)
{
    const pm_engine_stats *a = &r->after, *b = &r->before;
    const double first[] = {load_quantile(&r->first_ms, 0.5), load_quantile(&r->first_ms, 0.9), load_quantile(&r->first_ms, 0.99)};
    const double gap[] = {load_quantile(&r->gap_ms, 0.5), load_quantile(&r->gap_ms, 0.9), load_quantile(&r->gap_ms, 0.99)};
    const double rate = (double)r->generated_tokens / r->total_s, prompt_rate = (double)r->prompt_tokens / r->total_s;
    const double prompt = (double)(a->prompt_tokens - b->prompt_tokens);
    const double hits = prompt > 0 ? 100.0 * (double)(a->cached_tokens - b->cached_tokens) / prompt : 0.0;
    const unsigned long long evicted = a->evicted_pages - b->evicted_pages;
    const double host = a->step_us > b->step_us ? 100.0 * (a->host_us - b->host_us) / (a->step_us - b->step_us) : 0.0;
    const double steps = (double)(a->steps - b->steps);
    if (array == NULL) {
        printf("%-10s %5zu requests %8.2f s  %9.1f tok/s out %9.1f in   first token ms %8.1f %8.1f %8.1f   between "
               "%7.2f %7.2f %7.2f (p50 p90 p99)   %u preemptions  cache %.1f %%, %llu pages evicted  host %.1f %% of steps, %.0f us each\n", name,
               r->first_ms.count, r->total_s, rate, prompt_rate, first[0], first[1], first[2], gap[0], gap[1], gap[2],
               a->preemptions - b->preemptions, hits, evicted, host, steps > 0 ? (a->host_us - b->host_us) / steps : 0.0);
        fflush(stdout);
        return;
    }
    cJSON *row = must(cJSON_CreateObject());
    cJSON_AddStringToObject(row, "name", name);
    cJSON_AddNumberToObject(row, "requests", (double)r->first_ms.count);
    cJSON_AddNumberToObject(row, "seconds", r->total_s);
    cJSON_AddNumberToObject(row, "generated_tokens_per_s", rate);
    cJSON_AddNumberToObject(row, "steady_tokens_per_s", r->steady_rate);
    cJSON_AddNumberToObject(row, "prompt_tokens_per_s", prompt_rate);
    cJSON_AddItemToObject(row, "first_token_ms", cJSON_CreateDoubleArray(first, 3));
    cJSON_AddItemToObject(row, "between_tokens_ms", cJSON_CreateDoubleArray(gap, 3));
    cJSON_AddNumberToObject(row, "preemptions", a->preemptions - b->preemptions);
    cJSON_AddNumberToObject(row, "cached_percent", hits);
    cJSON_AddNumberToObject(row, "evicted_pages", (double)evicted);
    cJSON_AddNumberToObject(row, "host_percent", host);
    cJSON_AddItemToArray(array, row);
}
