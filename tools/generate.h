/* generate.h - one request from submit to its last token: for run, chat and bench. */
#ifndef GENERATE_H
#define GENERATE_H

#include "common.h"

typedef struct sample_options {
    float temperature, top_p, min_p, repeat_penalty;
    uint32_t top_k, seed, max_tokens;
    bool ignore_end;
} sample_options;
extern sample_options sample_opts;
extern const arg sample_args[];

/* The options as the engine takes them; without --seed, another seed each time. */
pm_sample_params sample_params(void);

typedef struct generation {
    uint32_t prompt_tokens, generated_tokens;
    double first_token_s;          /* from submit */
    double total_s;
    pm_finish finish;
    uint32_t pages_max;            /* KV pages in use at most, since the engine began */
} generation;

/* Tokens per second; 0 where there was nothing to time. */
double generation_prompt_rate(const generation *g);
double generation_rate(const generation *g);

/* Called with each event as it comes. */
typedef void event_sink(void *context, const pm_event *event);

/* Submits one request and steps until it ends; Ctrl-C cancels it. */
pm_result generate(pm_engine *engine, const pm_request_params *params, event_sink *sink, void *context,
                   generation *out);

/* The one line on stderr that ends every generation. */
void generation_print(const pm_engine *engine, const generation *g);

/* From here on Ctrl-C only makes interrupted() true, and interrupts_fd() readable, until
 * interrupts_forget(). */
void interrupts_catch(void);
bool interrupted(void);
int interrupts_fd(void);
void interrupts_forget(void);

double now_s(void);

#endif /* GENERATE_H */
