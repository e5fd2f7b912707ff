/* common.h - what the subcommands share: engine options, loading, generation, output. */
#ifndef COMMON_H
#define COMMON_H

#include "args.h"
#include "pumice.h"

#include <signal.h>
#include <stdio.h>

/* ------------------------------------------------------------ subcommands */

int run_main(int argc, char **argv);
int chat_main(int argc, char **argv);
int devices_main(int argc, char **argv);
int inspect_main(int argc, char **argv);
int tokenize_main(int argc, char **argv);
int logits_main(int argc, char **argv);
int ppl_main(int argc, char **argv);
int bench_main(int argc, char **argv);

/* ----------------------------------------------------------------- engine */

/* Options of every subcommand that runs a model; one set, since one runs at a time. */
typedef struct engine_options {
    const char *model, *device, *kv_type;
    uint32_t context, page_tokens, batch_tokens;
    uint64_t kv_bytes;
    bool profile;
} engine_options;
extern engine_options engine_opts;
extern const arg engine_args[];

/* Options of sampling. */
typedef struct sample_options {
    float temperature, top_p, min_p, repeat_penalty;
    uint32_t top_k, seed, max_tokens;
    bool ignore_end;
} sample_options;
extern sample_options sample_opts;
extern const arg sample_args[];

/* Creates the engine of engine_opts with a progress bar on a terminal. Returns -1, or the
 * exit code after a message. */
int engine_open(const char *command, uint32_t max_seqs, pm_engine **out);

/* Prints the table of --profile to stderr. */
void engine_print_profile(pm_engine *engine);

pm_sample_params sample_params(void);

/* "pumice run: <what went wrong>" on stderr; returns EXIT_FAILED. */
int fail(const char *command);
int usage(const char *command, const char *message);

/* The text's tokens. *tokens: owned (free()). Errors: those of pm_tokenize(). */
pm_result tokenize_all(const pm_tokenizer *tokenizer, const char *text, size_t len, uint32_t flags, int32_t **tokens,
                       size_t *count);

/* ------------------------------------------------------------- generation */

typedef struct generation {
    uint32_t prompt_tokens, generated_tokens;
    double first_token_s;          /* from submit */
    double total_s;
    pm_finish finish;
    uint32_t pages_max;            /* KV pages in use at most, since the engine began */
} generation;

/* Called with the text as it comes. */
typedef void text_sink(void *context, const char *text, size_t len);

/* Submits one request and steps until it ends. *interrupted (may be NULL) cancels it. */
pm_result generate(pm_engine *engine, const pm_request_params *params, text_sink *sink, void *context,
                   volatile sig_atomic_t *interrupted, generation *out);

/* The one line on stderr that ends every generation. */
void print_generation(const pm_engine *engine, const generation *g);

void write_stdout(void *context, const char *text, size_t len);

/* ------------------------------------------------------------------ output */

double now_s(void);

/* A bar on stderr, only when that is a terminal. fraction 1 ends the line. */
void progress_bar(const char *what, double fraction);

#endif /* COMMON_H */
