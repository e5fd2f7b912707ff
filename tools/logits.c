/* logits.c - pumice logits: the logits of every position, as raw float32. */
#include "engine.h"
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *prompt, *ids, *output;
static bool no_bos;
static const arg logits_args[] = {
    {"--prompt", "-p", ARG_TEXT, &prompt, 0, 0, "TEXT", "text; '-' reads standard input"},
    {"--tokens", NULL, ARG_TEXT, &ids, 0, 0, "IDS", "exactly these tokens: 1,2,3; '-' reads them from standard input"},
    {"--no-bos", NULL, ARG_FLAG, &no_bos, 0, 0, NULL, "with -p: do not put BOS in front"},
    {"--output", "-o", ARG_TEXT, &output, 0, 0, "OUT", "little-endian float32 [tokens, vocabulary]"},
    {0},
};

typedef struct writer {
    FILE *file;
    uint32_t vocab;
    bool failed;
} writer;

static bool write_row(void *context, uint32_t position, const float *logits)
{
    writer *w = context;
    (void)position;
    w->failed = fwrite(logits, sizeof(*logits), w->vocab, w->file) != w->vocab;
    return !w->failed;
}

/* Into a neighbour first, so that OUT is whole or not there. */
static int write_all(pm_engine *engine, const int32_t *tokens, size_t count)
{
    char temporary[4096];
    pm_engine_info info;
    pm_engine_describe(engine, &info);
    snprintf(temporary, sizeof(temporary), "%s.part", output);
    writer w = {.file = fopen(temporary, "wb"), .vocab = info.vocab};
    if (w.file == NULL) {
        fprintf(stderr, "pumice logits: %s: cannot create: %s\n", temporary, strerror(errno));
        return EXIT_FAILED;
    }
    const bool ran = pm_engine_score(engine, tokens, (uint32_t)count, 0, write_row, &w) == PM_OK;
    const bool closed = fclose(w.file) == 0 && !w.failed;
    if (ran && closed && rename(temporary, output) == 0) {
        fprintf(stderr, "%zu tokens, %u logits each\n", count, info.vocab);
        return EXIT_OK;
    }
    if (ran)
        fprintf(stderr, "pumice logits: %s: cannot write: %s\n", output, strerror(errno));
    else
        fail("logits");
    unlink(temporary);
    return EXIT_FAILED;
}

int logits_main(int argc, char **argv)
{
    const args_spec spec = {"logits", "write the logits of every position", {logits_args, engine_args}};
    int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    if ((prompt != NULL) == (ids != NULL))
        return usage("logits", "give -p TEXT or --tokens IDS");
    if (output == NULL)
        return usage("logits", "-o OUT is missing");
    const char *given = prompt != NULL ? prompt : ids;
    char *read = NULL;
    size_t len = strlen(given), count = 0;
    if (strcmp(given, "-") == 0 && !input_read("logits", "-", &read, &len))
        return EXIT_FAILED;
    given = read != NULL ? read : given;
    int32_t *tokens = ids != NULL ? input_tokens("logits", given, &count) : NULL;
    code = ids != NULL && tokens == NULL ? EXIT_USAGE : -1;
    pm_engine *engine = NULL;
    engine_opts.warm_up = PM_WARM_UP_NOTHING;
    if (code < 0)
        code = engine_open("logits", &engine);
    if (code < 0 && ids == NULL)
        tokens = engine_tokenize("logits", pm_engine_tokenizer(engine), given, len,
                                 PM_TOKENIZE_SPECIAL | (no_bos ? 0u : (unsigned)PM_TOKENIZE_ADD_BOS), &count);
    if (code < 0)
        code = tokens != NULL ? write_all(engine, tokens, count) : EXIT_FAILED;
    engine_close(engine);
    free(tokens);
    free(read);
    return code;
}
