/* engine.h - the options of a model on a device, and opening one. */
#ifndef ENGINE_H
#define ENGINE_H

#include "common.h"

/* One set, since a program runs one subcommand. */
typedef struct engine_options {
    const char *model, *draft, *device, *variant;
    uint32_t context, page_choice, batch_tokens, kv_type;
    uint64_t kv_bytes, swap_bytes;
    bool deterministic, profile;
    uint32_t seqs;                 /* sequences at once; 0 = 1 */
    pm_warm_up warm_up;
} engine_options;
extern engine_options engine_opts;
extern const arg engine_args[];

/* Creates the engine of engine_opts, with a progress bar on a terminal.
 * Returns -1, or the exit code after a message. */
int engine_open(const char *command, pm_engine **out);

/* Prints the table of --profile, where it was asked for, and destroys the engine. */
void engine_close(pm_engine *engine);

/* The text's tokens, owned (free()); NULL after a message on stderr. */
int32_t *engine_tokenize(const char *command, const pm_tokenizer *tokenizer, const char *text, size_t len,
                         uint32_t flags, size_t *count);

#endif /* ENGINE_H */
