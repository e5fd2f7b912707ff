/* chat.c - pumice chat: a conversation with the model's own template. */
#include "conversation.h"
#include "engine.h"
#include "generate.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

static const char *system_text, *template_name;
static const arg chat_args[] = {
    {"--system", NULL, ARG_TEXT, &system_text, 0, 0, "TEXT", "system message"},
    {"--template", NULL, ARG_TEXT, &template_name, 0, 0, "NAME", "chatml, llama2, llama3, mistral or zephyr instead of the model's"},
    {0},
};

typedef struct chat {
    pm_engine *engine;
    conversation talk;
    generation last;               /* of the last answer */
    uint32_t context_tokens;       /* that one sequence can have here */
} chat;

/* ---------------------------------------------------------------- answer */

/* Renders and tokenizes the conversation; owned (free()), NULL after a message. */
static int32_t *render(const chat *c, size_t *count)
{
    const pm_tokenizer *tokenizer = pm_engine_tokenizer(c->engine);
    conversation guarded = {0};
    char *text = NULL;
    size_t len = 0;
    conversation_guard(&c->talk, tokenizer, &guarded);
    const pm_result result = pm_chat_render(tokenizer, template_name, guarded.messages, guarded.count, true, &text, &len);
    conversation_finish(&guarded);
    if (result != PM_OK) {
        fail("chat");
        return NULL;
    }
    int32_t *tokens = engine_tokenize("chat", tokenizer, text, len, PM_TOKENIZE_SPECIAL, count);
    pm_string_free(text);
    return tokens;
}

/* The same, forgetting the oldest turns until there is room for an answer: a quarter of the
 * context, or less where --max-tokens is less. */
static int32_t *render_to_fit(chat *c, size_t *count)
{
    uint32_t room = c->context_tokens / 4, dropped = 0;
    if (sample_opts.max_tokens > 0 && sample_opts.max_tokens < room)
        room = sample_opts.max_tokens;
    int32_t *tokens = render(c, count);
    while (tokens != NULL && *count + room > c->context_tokens && conversation_drop_oldest(&c->talk)) {
        free(tokens);
        tokens = render(c, count);
        dropped++;
    }
    if (dropped > 0)
        fprintf(stderr, "[the context of %u tokens is full: the oldest %s forgotten]\n", c->context_tokens,
                dropped == 1 ? "turn is" : "turns are");
    return tokens;
}

/* Prints the answer as it comes and keeps it. */
static void take_text(void *context, const pm_event *event)
{
    conversation_append(context, event->text, event->text_len);
    if (event->text_len > 0)
        fwrite(event->text, 1, event->text_len, stdout);
    fflush(stdout);
}

/* Answers the last message. */
static bool answer(chat *c)
{
    size_t count = 0;
    int32_t *tokens = render_to_fit(c, &count);
    if (tokens == NULL)
        return false;
    pm_request_params params = {.tokens = tokens, .token_count = count};
    (void)sample_read("chat", &params); /* it was read once before */
    conversation_add(&c->talk, "assistant", "");
    const pm_result result = generate(c->engine, &params, take_text, &c->talk, &c->last);
    free(tokens);
    if (result != PM_OK) {
        conversation_drop_last(&c->talk);
        fail("chat");
        return false;
    }
    putchar('\n');
    fflush(stdout);
    conversation_trim_last(&c->talk);
    if (c->last.finish == PM_FINISH_CONTEXT)
        fprintf(stderr, "[the context of %u tokens is full: the answer ends here]\n", c->context_tokens);
    generation_print(c->engine, &c->last);
    return true;
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
static bool run_command(chat *c, char *line, bool *quit)
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
        conversation_clear(&c->talk);
    else if (strcmp(line, "/system") == 0)
        conversation_set_system(&c->talk, argument);
    else if (strcmp(line, "/save") == 0)
        conversation_save(&c->talk, argument);
    else if (strcmp(line, "/load") == 0)
        conversation_load(&c->talk, argument);
    else if (strcmp(line, "/stats") == 0)
        generation_print(c->engine, &c->last);
    else
        fprintf(stderr, "unknown command %s; /help lists them\n", line);
    return true;
}

/* One line of input: a command or a message. A message without an answer is forgotten. */
static bool take_line(chat *c, char *line, bool *quit)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || run_command(c, line, quit))
        return true;
    conversation_add(&c->talk, "user", line);
    if (answer(c))
        return true;
    conversation_drop_last(&c->talk);
    return false;
}

/* ----------------------------------------------------------------- loops */

/* One prompt per line, until the end of the input. */
static int talk_to_pipe(chat *c)
{
    char *line = NULL;
    size_t capacity = 0;
    bool quit = false, ok = true;
    while (!quit && ok && !interrupted() && getline(&line, &capacity, stdin) >= 0)
        ok = take_line(c, line, &quit);
    free(line);
    return !ok ? EXIT_FAILED : interrupted() ? EXIT_INTERRUPTED : EXIT_OK;
}

static char *prompt(EditLine *editor)
{
    (void)editor;
    static char text[] = "> ";
    return text;
}

/* One character for the line editor: 1, 0 at the end of the input, -1 after Ctrl-C. */
static int read_key(EditLine *editor, wchar_t *key)
{
    (void)editor;
    mbstate_t state = {0};
    for (;;) {
        struct pollfd from[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = interrupts_fd(), .events = POLLIN}};
        char byte;
        if (poll(from, 2, -1) < 0 && errno != EINTR)
            return -1;
        if (interrupted())
            return -1;
        if (from[0].revents == 0)
            continue;
        const ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got <= 0)
            return (int)got;
        const size_t len = mbrtowc(key, &byte, 1, &state);
        if (len == (size_t)-2) /* the character goes on */
            continue;
        if (len == (size_t)-1)
            *key = L'?';
        return 1;
    }
}

/* With line editing and history; a failed answer ends the turn, not the talk. */
static int talk_to_terminal(chat *c)
{
    EditLine *editor = el_init("pumice", stdin, stdout, stderr);
    History *lines = history_init();
    HistEvent event;
    bool quit = false;
    if (editor == NULL || lines == NULL) {
        fprintf(stderr, "pumice chat: the line editor does not start\n");
        return EXIT_FAILED;
    }
    history(lines, &event, H_SETSIZE, 1000);
    el_set(editor, EL_HIST, history, lines);
    el_set(editor, EL_PROMPT, prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 0);
    el_set(editor, EL_GETCFN, read_key);
    while (!quit) {
        int len = 0;
        interrupts_forget();
        el_set(editor, EL_PREP_TERM, 1); /* key by key before the prompt shows, not from the first read on */
        const char *typed = el_gets(editor, &len);
        if (interrupted()) {
            fputs("\n[Ctrl-C stops an answer; /quit or Ctrl-D leaves]\n", stderr);
            el_reset(editor);
            continue;
        }
        if (typed == NULL || len <= 0)
            break;
        history(lines, &event, H_ENTER, typed);
        char *line = must(strdup(typed));
        (void)take_line(c, line, &quit);
        free(line);
    }
    el_end(editor);
    history_end(lines);
    return EXIT_OK;
}

int chat_main(int argc, char **argv)
{
    const args_spec spec = {"chat", "talk with a model", {chat_args, sample_args, engine_args}};
    int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    pm_request_params params = {0};
    code = sample_read("chat", &params);
    if (code >= 0)
        return code;
    chat c = {0};
    engine_opts.warm_up = PM_WARM_UP_NOTHING;
    code = engine_open("chat", &c.engine);
    if (code < 0) {
        pm_engine_info info;
        pm_engine_describe(c.engine, &info);
        const uint64_t pool_tokens = (uint64_t)info.pages * info.page_tokens;
        c.context_tokens = pool_tokens < info.context_tokens ? (uint32_t)pool_tokens : info.context_tokens;
        conversation_set_system(&c.talk, system_text != NULL ? system_text : "");
        setlocale(LC_CTYPE, ""); /* the line editor's characters */
        interrupts_catch();
        if (isatty(STDIN_FILENO)) {
            fprintf(stderr, "%s on %s. /help lists the commands.\n", engine_opts.model, info.device);
            code = talk_to_terminal(&c);
        } else {
            code = talk_to_pipe(&c);
        }
    }
    conversation_finish(&c.talk);
    engine_close(c.engine);
    return code;
}
