/* load.h - many requests at once, by a plan of arrivals, and how long their callers waited. */
#ifndef LOAD_H
#define LOAD_H

#include "common.h"

/* One request. Its tokens are made up: the first `shared` are the same in all of a load, the
 * others its own. */
typedef struct load_request {
    double at_s;                   /* after the start */
    uint32_t prompt_tokens, shared_tokens, generate_tokens;
    bool fresh;                    /* all of its prompt is computed, whatever came before */

    double submitted_s, first_s, last_s, end_s; /* filled in; first_s: of the first token */
    uint32_t tokens, cached_tokens;
    pm_finish finish;
    uint64_t id;
} load_request;

/* Token i of made-up text number `stream`. */
uint32_t load_token(uint32_t stream, uint32_t i, uint32_t vocab);

/* Samples in any order; quantiles sort them. */
typedef struct load_times {
    double *list;                  /* owned */
    size_t count, capacity;
} load_times;

void load_times_add(load_times *times, double value);
void load_times_finish(load_times *times);
double load_quantile(load_times *times, double q); /* 0 where there are none */

typedef struct load_result {
    double total_s;
    double steady_rate;            /* tokens per second while all of them generated; 0 = they never did */
    uint64_t prompt_tokens, generated_tokens;
    load_times first_ms;           /* time to the first token of each request, from its arrival */
    load_times gap_ms;             /* between two tokens of one sequence */
    pm_engine_stats before, after;
} load_result;

/* Runs them all: requests [count], by at_s. Errors: the engine's; PM_ERR_STATE after Ctrl-C. */
pm_result load_run(pm_engine *engine, load_request *requests, size_t count, load_result *out);
void load_result_finish(load_result *result);

/* Arrivals and lengths of a CSV file "TIMESTAMP,ContextTokens,GeneratedTokens" as Azure's LLM
 * traces are; at most `most`, lengths cut to `context` tokens, `speed` times as fast. *out: owned,
 * free(). Returns -1, or the exit code after a message. */
int load_read_trace(const char *path, size_t most, uint32_t context, double speed, load_request **out, size_t *count);

/* Table lines on stdout, or an entry of the JSON array. */
void load_print(const char *name, load_result *result, cJSON *array);

#endif /* LOAD_H */
