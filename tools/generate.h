/* generate.h - one request from submit to its last token: for run, chat and bench. */
#ifndef GENERATE_H
#define GENERATE_H

#include "common.h"

typedef struct sample_options {
    float temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
    uint32_t top_k, seed, max_tokens, min_tokens, speculate, draft_tokens;
    bool ignore_end;
    arg_texts stops, biases;
} sample_options;
extern sample_options sample_opts;
extern const arg sample_args[];

/* The options as the engine takes them, with *params zero before; without --seed, another
 * seed each time. What it points to is static. Returns -1, or the exit code after a message. */
int sample_read(const char *command, pm_request_params *params);

/* Those of --speculate, --draft and --draft-tokens alone; --draft asks for drafts by itself. */
void sample_speculate(pm_request_params *params);

typedef struct generation {
    uint32_t prompt_tokens, cached_tokens, generated_tokens; /* generated: of all answers */
    uint32_t drafted_tokens, accepted_tokens;
    double first_token_s;          /* from submit */
    double total_s;
    pm_finish finish;              /* of the first answer */
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
