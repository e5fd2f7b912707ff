/* chat.c - pumice chat: a conversation with the model's own template. */
#include "common.h"
#include "conversation.h"

#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *system_text, *template_name;
static const arg chat_args[] = {
    {"--system", NULL, ARG_TEXT, &system_text, 0, 0, "TEXT", "system message"},
    {"--template", NULL, ARG_TEXT, &template_name, 0, 0, "NAME", "chatml, llama2, llama3, mistral or zephyr instead of the model's"},
    {0},
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* ---------------------------------------------------------------- answer */

/* Prints the answer as it comes and keeps it. */
static void take_text(void *context, const char *text, size_t len)
{
    conversation_append(context, text, len);
    write_stdout(NULL, text, len);
}

/* Renders and tokenizes the conversation. *tokens: owned (free()). */
static pm_result render(pm_engine *engine, const conversation *c, int32_t **tokens, size_t *count)
{
    char *text = NULL;
    size_t len = 0;
    pm_result result = pm_chat_render(pm_engine_tokenizer(engine), template_name, c->messages, c->count, true, &text, &len);
    if (result != PM_OK)
        return result;
    result = tokenize_all(pm_engine_tokenizer(engine), text, len, PM_TOKENIZE_SPECIAL, tokens, count);
    pm_string_free(text);
    return result;
}

/* The same, dropping the oldest turns until a quarter of the context is left to answer in. */
static pm_result render_to_fit(pm_engine *engine, conversation *c, int32_t **tokens, size_t *count)
{
    pm_engine_info info;
    pm_engine_describe(engine, &info);
    for (uint32_t dropped = 0;; dropped++) {
        const pm_result result = render(engine, c, tokens, count);
        if (result != PM_OK || *count < info.context_tokens - info.context_tokens / 4 || !conversation_drop_oldest(c)) {
            if (dropped > 0)
                fprintf(stderr, "[the context of %u tokens is full: the oldest %u turn%s forgotten]\n", info.context_tokens,
                        dropped, dropped == 1 ? " is" : "s are");
            return result;
        }
        free(*tokens);
        *tokens = NULL;
    }
}

/* One turn: the user's message is the last of the conversation. */
static int answer(pm_engine *engine, conversation *c)
{
    int32_t *tokens = NULL;
    size_t count = 0;
    generation g = {0};
    pm_result result = render_to_fit(engine, c, &tokens, &count);
    if (result == PM_OK) {
        const pm_request_params params = {.tokens = tokens, .token_count = count, .max_tokens = sample_opts.max_tokens,
                                          .ignore_end = sample_opts.ignore_end, .sample = sample_params()};
        conversation_add(c, "assistant", "");
        interrupted = 0;
        result = generate(engine, &params, take_text, c, &interrupted, &g);
    }
    free(tokens);
    if (result != PM_OK) {
        conversation_drop_last(c);
        return fail("chat");
    }
    putchar('\n');
    fflush(stdout);
    conversation_trim_last(c);
    c->last = g;
    return EXIT_OK;
}

/* -------------------------------------------------------------- commands */

static const char help_text[] =
    "/help          this text\n"
    "/clear         start over\n"
    "/system TEXT   set the system message and start over\n"
    "/save FILE     write the conversation as JSON\n"
    "/load FILE     read it back\n"
    "/stats         speed and memory of the last answer\n"
    "/quit          leave (so does Ctrl-D); Ctrl-C stops an answer\n";

/* True when the line was a command; *quit says whether to leave. */
static bool run_command(pm_engine *engine, conversation *c, char *line, bool *quit)
{
    if (line[0] != '/')
        return false;
    char *argument = line + strcspn(line, " ");
    if (*argument != '\0')
        *argument++ = '\0';
    if (strcmp(line, "/help") == 0)
        fputs(help_text, stderr);
    else if (strcmp(line, "/quit") == 0)
        *quit = true;
    else if (strcmp(line, "/clear") == 0)
        conversation_clear(c);
    else if (strcmp(line, "/system") == 0)
        conversation_set_system(c, argument);
    else if (strcmp(line, "/save") == 0)
        conversation_save(c, argument);
    else if (strcmp(line, "/load") == 0)
        conversation_load(c, argument);
    else if (strcmp(line, "/stats") == 0)
        print_generation(engine, &c->last);
    else
        fprintf(stderr, "unknown command %s; /help lists them\n", line);
    return true;
}

/* True when the text spells a special token. */
static bool spells_special(const pm_tokenizer *tokenizer, const char *text)
{
    int32_t *plain = NULL, *special = NULL;
    size_t plain_count = 0, special_count = 0;
    const bool ok = tokenize_all(tokenizer, text, strlen(text), 0, &plain, &plain_count) == PM_OK &&
                    tokenize_all(tokenizer, text, strlen(text), PM_TOKENIZE_SPECIAL, &special, &special_count) == PM_OK;
    const bool differ = !ok || plain_count != special_count ||
                        memcmp(plain, special, plain_count * sizeof(*plain)) != 0;
    free(plain);
    free(special);
    return differ;
}

/* The user's words are words: a zero-width space keeps "<|im_end|>" from ending the turn. */
static void add_user_message(pm_engine *engine, conversation *c, const char *line)
{
    conversation_add(c, "user", "");
    const bool guard = spells_special(pm_engine_tokenizer(engine), line);
    for (const char *p = line; *p != '\0'; p++) {
        conversation_append(c, p, 1);
        if (guard && (*p == '<' || *p == '['))
            conversation_append(c, "\xe2\x80\x8b", 3);
    }
}

/* One line of input: a command or a message. */
static int take_line(pm_engine *engine, conversation *c, char *line, bool *quit)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || run_command(engine, c, line, quit))
        return EXIT_OK;
    add_user_message(engine, c, line);
    return answer(engine, c);
}

/* ----------------------------------------------------------------- loops */

/* One prompt per line, until the end of the input. */
static int talk_to_pipe(pm_engine *engine, conversation *c)
{
    char *line = NULL;
    size_t capacity = 0;
    bool quit = false;
    int code = EXIT_OK;
    while (!quit && code == EXIT_OK && getline(&line, &capacity, stdin) >= 0)
        code = take_line(engine, c, line, &quit);
    free(line);
    return code;
}

static char *prompt(EditLine *editor)
{
    (void)editor;
    static char text[] = "> ";
    return text;
}

/* With line editing and history; a failed answer ends the turn, not the talk. */
static int talk_to_terminal(pm_engine *engine, conversation *c)
{
    EditLine *editor = el_init("pumice", stdin, stdout, stderr);
    History *history_list = history_init();
    HistEvent event;
    bool quit = false;
    if (editor == NULL || history_list == NULL) {
        fprintf(stderr, "pumice chat: the line editor does not start\n");
        return EXIT_FAILED;
    }
    history(history_list, &event, H_SETSIZE, 1000);
    el_set(editor, EL_HIST, history, history_list);
    el_set(editor, EL_PROMPT, prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 0);
    while (!quit) {
        int len = 0;
        interrupted = 0;
        const char *typed = el_gets(editor, &len);
        if (typed == NULL || len <= 0) {
            if (!interrupted)
                break;
            fputs("\n[Ctrl-C stops an answer; /quit or Ctrl-D leaves]\n", stderr);
            el_reset(editor);
            continue;
        }
        history(history_list, &event, H_ENTER, typed);
        char *line = strdup(typed);
        if (line == NULL)
            break;
        (void)take_line(engine, c, line, &quit);
        free(line);
    }
    el_end(editor);
    history_end(history_list);
    return EXIT_OK;
}

int chat_main(int argc, char **argv)
{
    const args_spec spec = {"chat", "talk with a model", {chat_args, sample_args, engine_args}};
    int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    pm_engine *engine = NULL;
    conversation c = {0};
    conversation_set_system(&c, system_text != NULL ? system_text : "");
    code = engine_open("chat", 1, &engine);
    if (code < 0) {
        const struct sigaction action = {.sa_handler = on_interrupt};
        sigaction(SIGINT, &action, NULL);
        if (isatty(STDIN_FILENO)) {
            pm_engine_info info;
            pm_engine_describe(engine, &info);
            fprintf(stderr, "%s on %s. /help lists the commands.\n", engine_opts.model, info.device);
            code = talk_to_terminal(engine, &c);
        } else {
            code = talk_to_pipe(engine, &c);
        }
        if (c.last.generated_tokens > 0)
            print_generation(engine, &c.last);
        if (engine_opts.profile)
            engine_print_profile(engine);
    }
    conversation_finish(&c);
    pm_engine_destroy(engine);
    return code;
}
