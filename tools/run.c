/* run.c - pumice run: complete a prompt. */
#include "common.h"
#include "input.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const char *prompt_text, *prompt_file;
static bool no_bos, as_json;

static const arg run_args[] = {
    {"--prompt", "-p", ARG_TEXT, &prompt_text, 0, 0, "TEXT", "prompt; '' starts from BOS, '-' reads standard input"},
    {"--file", "-f", ARG_TEXT, &prompt_file, 0, 0, "FILE", "prompt from a file"},
    {"--no-bos", NULL, ARG_FLAG, &no_bos, 0, 0, NULL, "do not put BOS in front"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "one JSON object on stdout: text, tokens, timings"},
    {0},
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

typedef struct collected {
    char *text;
    size_t len, capacity;
} collected;

static void collect(void *context, const char *text, size_t len)
{
    collected *c = context;
    if (c->len + len + 1 > c->capacity) {
        c->capacity = (c->len + len + 1) * 2;
        c->text = realloc(c->text, c->capacity);
        if (c->text == NULL)
            abort();
    }
    memcpy(c->text + c->len, text, len);
    c->len += len;
    c->text[c->len] = '\0';
}

static void print_json(const collected *c, const generation *g)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "text", c->text != NULL ? c->text : "");
    cJSON_AddStringToObject(object, "finish", pm_finish_name(g->finish));
    cJSON_AddNumberToObject(object, "prompt_tokens", g->prompt_tokens);
    cJSON_AddNumberToObject(object, "generated_tokens", g->generated_tokens);
    cJSON_AddNumberToObject(object, "first_token_s", g->first_token_s);
    cJSON_AddNumberToObject(object, "total_s", g->total_s);
    cJSON_AddNumberToObject(object, "kv_pages", g->pages_max);
    char *text = cJSON_Print(object);
    if (text != NULL)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(object);
}

static int run(pm_engine *engine, const char *prompt, size_t prompt_len)
{
    const pm_request_params params = {.prompt = prompt,
                                      .prompt_len = prompt_len,
                                      .prompt_flags = PM_TOKENIZE_SPECIAL | (no_bos ? 0u : (unsigned)PM_TOKENIZE_ADD_BOS),
                                      .max_tokens = sample_opts.max_tokens,
                                      .ignore_end = sample_opts.ignore_end,
                                      .sample = sample_params()};
    collected text = {0};
    generation g;
    signal(SIGINT, on_interrupt);
    const pm_result result =
        generate(engine, &params, as_json ? collect : write_stdout, &text, &interrupted, &g);
    if (result != PM_OK) {
        free(text.text);
        return fail("run");
    }
    if (as_json)
        print_json(&text, &g);
    else
        putchar('\n');
    free(text.text);
    fflush(stdout);
    print_generation(engine, &g);
    if (engine_opts.profile)
        engine_print_profile(engine);
    return EXIT_OK;
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
    code = engine_open("run", 1, &engine);
    if (code < 0)
        code = run(engine, read != NULL ? read : prompt_text, len);
    pm_engine_destroy(engine);
    free(read);
    return code;
}
