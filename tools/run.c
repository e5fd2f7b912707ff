/* run.c - pumice run: complete a prompt. */
#include "engine.h"
#include "generate.h"
#include "input.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *prompt_text, *prompt_file;
static bool no_bos, as_json;

static const arg run_args[] = {
    {"--prompt", "-p", ARG_TEXT, &prompt_text, 0, 0, "TEXT", "prompt; '' starts from BOS, '-' reads standard input"},
    {"--file", "-f", ARG_TEXT, &prompt_file, 0, 0, "FILE", "prompt from a file"},
    {"--no-bos", NULL, ARG_FLAG, &no_bos, 0, 0, NULL, "do not put BOS in front"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "one JSON object on stdout: text, tokens, timings"},
    {0},
};

/* The completion, kept for --json. */
typedef struct completion {
    char *text;
    size_t len;
    cJSON *tokens;
} completion;

static void keep(void *context, const pm_event *event)
{
    completion *c = context;
    c->text = must(realloc(c->text, c->len + event->text_len + 1));
    if (event->text_len > 0)
        memcpy(c->text + c->len, event->text, event->text_len);
    c->len += event->text_len;
    c->text[c->len] = '\0';
    if (event->token >= 0)
        cJSON_AddItemToArray(c->tokens, cJSON_CreateNumber(event->token));
}

static void print(void *context, const pm_event *event)
{
    (void)context;
    if (event->text_len > 0)
        fwrite(event->text, 1, event->text_len, stdout);
    fflush(stdout);
}

static cJSON *to_json(const completion *c, const generation *g)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "text", c->text != NULL ? c->text : "");
    cJSON_AddItemToObject(object, "tokens", c->tokens);
    cJSON_AddStringToObject(object, "finish", pm_finish_name(g->finish));
    cJSON_AddNumberToObject(object, "prompt_tokens", g->prompt_tokens);
    cJSON_AddNumberToObject(object, "generated_tokens", g->generated_tokens);
    cJSON_AddNumberToObject(object, "kv_pages", g->pages_max);
    cJSON *timings = cJSON_AddObjectToObject(object, "timings");
    cJSON_AddNumberToObject(timings, "first_token_s", g->first_token_s);
    cJSON_AddNumberToObject(timings, "total_s", g->total_s);
    cJSON_AddNumberToObject(timings, "prompt_tokens_per_s", generation_prompt_rate(g));
    cJSON_AddNumberToObject(timings, "generated_tokens_per_s", generation_rate(g));
    return object;
}

static int run(pm_engine *engine, const char *prompt, size_t prompt_len)
{
    const pm_request_params params = {.prompt = prompt,
                                      .prompt_len = prompt_len,
                                      .prompt_flags = PM_TOKENIZE_SPECIAL | (no_bos ? 0u : (unsigned)PM_TOKENIZE_ADD_BOS),
                                      .max_tokens = sample_opts.max_tokens,
                                      .ignore_end = sample_opts.ignore_end,
                                      .sample = sample_params()};
    completion c = {.tokens = as_json ? must(cJSON_CreateArray()) : NULL};
    generation g;
    interrupts_catch();
    if (generate(engine, &params, as_json ? keep : print, &c, &g) != PM_OK) {
        cJSON_Delete(c.tokens);
        free(c.text);
        return fail("run");
    }
    if (as_json)
        print_json(to_json(&c, &g));
    else if (isatty(STDOUT_FILENO))
        putchar('\n'); /* for the eye; a file gets the completion alone */
    free(c.text);
    fflush(stdout);
    generation_print(engine, &g);
    return interrupted() ? EXIT_INTERRUPTED : EXIT_OK;
}

int run_main(int argc, char **argv)
{
    const args_spec spec = {"run", "complete a prompt", {run_args, sample_args, engine_args}};
    int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    if ((prompt_text != NULL) == (prompt_file != NULL))
        return usage("run", "give the prompt with -p TEXT or with -f FILE");
    const char *file = prompt_file != NULL ? prompt_file : strcmp(prompt_text, "-") == 0 ? "-" : NULL;
    char *read = NULL;
    size_t len = prompt_text != NULL ? strlen(prompt_text) : 0;
    if (file != NULL && !input_read("run", file, &read, &len))
        return EXIT_FAILED;
    pm_engine *engine = NULL;
    code = engine_open("run", &engine);
    if (code < 0)
        code = run(engine, read != NULL ? read : prompt_text, len);
    engine_close(engine);
    free(read);
    return code;
}
