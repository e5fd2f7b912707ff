/* run.c - pumice run: complete a prompt, once or several times. */
#include "engine.h"
#include "generate.h"
#include "input.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *prompt_text, *prompt_file;
static bool no_bos, echo, as_json;
static uint32_t answers = 1, logprobs = UINT32_MAX;

static const arg run_args[] = {
    {"--prompt", "-p", ARG_TEXT, &prompt_text, 0, 0, "TEXT", "prompt; '' starts from BOS, '-' reads standard input"},
    {"--file", "-f", ARG_TEXT, &prompt_file, 0, 0, "FILE", "prompt from a file"},
    {"--no-bos", NULL, ARG_FLAG, &no_bos, 0, 0, NULL, "do not put BOS in front"},
    {"--echo", NULL, ARG_FLAG, &echo, 0, 0, NULL, "the prompt first"},
    {"--n", NULL, ARG_UINT, &answers, 1, 256, "N", "answers; the prompt is read once (default 1)"},
    {"--logprobs", NULL, ARG_UINT, &logprobs, 0, PM_TOP_LOGPROBS_MAX, "N", "with --json: of each token and the N most likely"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "one JSON object on stdout: text, tokens, timings"},
    {0},
};

/* A completion, kept for --json or until the one before has been printed. */
typedef struct completion {
    char *text;
    size_t len;
    cJSON *tokens, *logprobs;
    const char *finish;
} completion;

typedef struct completions {
    const pm_tokenizer *tokenizer;
    completion *list;              /* [answers] */
} completions;

/* The token with its text; bytes that are no UTF-8 by themselves are left out. */
static cJSON *token_json(const completions *c, const pm_logprob *p)
{
    char text[1024];
    size_t len = 0;
    cJSON *object = must(cJSON_CreateObject());
    cJSON_AddNumberToObject(object, "token", p->token);
    if (pm_detokenize(c->tokenizer, &p->token, 1, true, text, sizeof(text) - 1, &len) == PM_OK) {
        text[len] = '\0';
        cJSON_AddStringToObject(object, "text", text);
    }
    cJSON_AddNumberToObject(object, "logprob", (double)p->logprob);
    return object;
}

static void keep_logprobs(const completions *c, cJSON *list, const pm_event *event)
{
    for (uint32_t i = 0; i < event->logprobs_count; i++) {
        const pm_logprobs *l = &event->logprobs[i];
        cJSON *entry = token_json(c, &l->chosen);
        cJSON *top = cJSON_AddArrayToObject(entry, "top");
        for (uint32_t t = 0; t < l->top_count; t++)
            cJSON_AddItemToArray(top, token_json(c, &l->top[t]));
        cJSON_AddItemToArray(list, entry);
    }
}

static void keep(void *context, const pm_event *event)
{
    const completions *all = context;
    completion *c = &all->list[event->index];
    c->text = must(realloc(c->text, c->len + event->text_len + 1));
    if (event->text_len > 0)
        memcpy(c->text + c->len, event->text, event->text_len);
    c->len += event->text_len;
    c->text[c->len] = '\0';
    if (event->token >= 0)
        cJSON_AddItemToArray(c->tokens, cJSON_CreateNumber(event->token));
    keep_logprobs(all, c->logprobs, event);
    c->finish = pm_finish_name(event->finish);
}

static void print(void *context, const pm_event *event)
{
    (void)context;
    if (event->text_len > 0)
        fwrite(event->text, 1, event->text_len, stdout);
    fflush(stdout);
}

/* "text", "tokens", "finish" and, where wanted, "logprobs"; takes what is kept. */
static void add_completion(cJSON *object, completion *c)
{
    cJSON_AddStringToObject(object, "text", c->text != NULL ? c->text : "");
    cJSON_AddItemToObject(object, "tokens", c->tokens);
    if (logprobs != UINT32_MAX)
        cJSON_AddItemToObject(object, "logprobs", c->logprobs);
    else
        cJSON_Delete(c->logprobs);
    c->tokens = c->logprobs = NULL;
    cJSON_AddStringToObject(object, "finish", c->finish != NULL ? c->finish : pm_finish_name(PM_FINISH_NONE));
}

/* The first answer is the object itself, others follow in "others". */
static cJSON *to_json(const completions *c, const generation *g)
{
    cJSON *object = must(cJSON_CreateObject());
    add_completion(object, &c->list[0]);
    cJSON *others = answers > 1 ? cJSON_AddArrayToObject(object, "others") : NULL;
    for (uint32_t i = 1; i < answers; i++) {
        cJSON *other = must(cJSON_CreateObject());
        add_completion(other, &c->list[i]);
        cJSON_AddItemToArray(others, other);
    }
    cJSON_AddNumberToObject(object, "prompt_tokens", g->prompt_tokens);
    cJSON_AddNumberToObject(object, "generated_tokens", g->generated_tokens);
    cJSON_AddNumberToObject(object, "drafted_tokens", g->drafted_tokens);
    cJSON_AddNumberToObject(object, "accepted_tokens", g->accepted_tokens);
    cJSON_AddNumberToObject(object, "kv_pages", g->pages_max);
    cJSON *timings = cJSON_AddObjectToObject(object, "timings");
    cJSON_AddNumberToObject(timings, "first_token_s", g->first_token_s);
    cJSON_AddNumberToObject(timings, "total_s", g->total_s);
    cJSON_AddNumberToObject(timings, "prompt_tokens_per_s", generation_prompt_rate(g));
    cJSON_AddNumberToObject(timings, "generated_tokens_per_s", generation_rate(g));
    return object;
}

/* What was kept, each answer under a line that counts them on stderr. */
static void print_all(const completions *c)
{
    for (uint32_t i = 0; i < answers; i++) {
        fflush(stdout);
        fprintf(stderr, "%s--- answer %u of %u (%s)\n", i > 0 ? "\n" : "", i + 1, answers, c->list[i].finish);
        fwrite(c->list[i].text, 1, c->list[i].len, stdout);
    }
}

static void finish(completions *c)
{
    for (uint32_t i = 0; i < answers; i++) {
        cJSON_Delete(c->list[i].tokens);
        cJSON_Delete(c->list[i].logprobs);
        free(c->list[i].text);
    }
    free(c->list);
}

static int run(pm_engine *engine, pm_request_params *params)
{
    completions c = {pm_engine_tokenizer(engine), must(calloc(answers, sizeof(*c.list)))};
    for (uint32_t i = 0; i < answers; i++) {
        c.list[i].tokens = must(cJSON_CreateArray());
        c.list[i].logprobs = must(cJSON_CreateArray());
    }
    generation g;
    interrupts_catch();
    if (generate(engine, params, as_json || answers > 1 ? keep : print, &c, &g) != PM_OK) {
        finish(&c);
        return fail("run");
    }
    if (as_json)
        print_json(to_json(&c, &g));
    else if (answers > 1)
        print_all(&c);
    if (!as_json && isatty(STDOUT_FILENO))
        putchar('\n'); /* for the eye; a file gets the completion alone */
    finish(&c);
    fflush(stdout);
    generation_print(engine, &g);
    return interrupted() ? EXIT_INTERRUPTED : EXIT_OK;
}

int run_main(int argc, char **argv)
{
    const args_spec spec = {"run", "complete a prompt", {run_args, sample_args, engine_args}};
    pm_request_params params = {0};
    int code = args_parse(&spec, argc, argv);
    if (code < 0)
        code = sample_read("run", &params);
    if (code >= 0)
        return code;
    if ((prompt_text != NULL) == (prompt_file != NULL))
        return usage("run", "give the prompt with -p TEXT or with -f FILE");
    if (logprobs != UINT32_MAX && !as_json)
        return usage("run", "--logprobs needs --json");
    const char *file = prompt_file != NULL ? prompt_file : strcmp(prompt_text, "-") == 0 ? "-" : NULL;
    char *read = NULL;
    size_t len = prompt_text != NULL ? strlen(prompt_text) : 0;
    if (file != NULL && !input_read("run", file, &read, &len))
        return EXIT_FAILED;
    params.prompt = read != NULL ? read : prompt_text;
    params.prompt_len = len;
    params.prompt_flags = PM_TOKENIZE_SPECIAL | (no_bos ? 0u : (unsigned)PM_TOKENIZE_ADD_BOS);
    params.echo = echo;
    params.n = engine_opts.seqs = answers;
    params.sample.logprobs = logprobs != UINT32_MAX;
    params.sample.top_logprobs = params.sample.logprobs ? logprobs : 0;
    pm_engine *engine = NULL;
    engine_opts.warm_up = PM_WARM_UP_NOTHING;
    code = engine_open("run", &engine);
    if (code < 0)
        code = run(engine, &params);
    engine_close(engine);
    free(read);
    return code;
}
