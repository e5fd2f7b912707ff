/* text/chat.c - chat templates: which of the families a file's template is of, and
 * the families' ways to write a conversation.
 *
 * A file's template is Jinja, a language. It is not run: the parts that differ within
 * a family are looked for in its text (text/template.h), and a template with a part
 * that is none of those known is an error, never a guess. */
#include "base/alloc.h"
#include "text/template.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define KNOWN "chatml, llama2, llama3, mistral, zephyr"

/* Where Mistral's templates put the system message. */
typedef enum system_place {
    SYSTEM_NOWHERE,                /* it is an error */
    SYSTEM_FIRST,                  /* in the first user message */
    SYSTEM_LAST,                   /* in the last message */
    SYSTEM_OWN,                    /* between marks of its own */
} system_place;

/* When the head of the assistant's answer ends the text. */
typedef enum answer_head { HEAD_ASKED, HEAD_ALWAYS, HEAD_AFTER_USER, HEAD_NEVER } answer_head;

struct chat;
typedef pm_result render(const struct chat *chat, const pm_chat_message *messages, size_t count, bool add_assistant,
                         pm_str *out);

/* A template of a family, with what it has of the family's differences. */
typedef struct chat {
    render *render;
    const char *bos, *eos;         /* pieces; "" = none */
    bool begins_with_bos;
    answer_head head;
    pm_str system_default;         /* chatml: where there is no system message */
    bool open_end;                 /* chatml: the last message is not closed unless add_assistant */
    bool eos_after_answer;         /* chatml: eos where the last message is an answer */
    pm_str date;                   /* llama3: "26 Jul 2024"; empty = no line with the date */
    const char *user_before, *user_after, *answer_before, *answer_end, *answer_after; /* mistral; eos is
                                      between the last two */
    bool trim_answer;              /* mistral */
    const char *system_before;     /* mistral, SYSTEM_OWN */
    system_place system_place;     /* mistral */
} chat;

static void chat_finish(chat *c)
{
    pm_str_finish(&c->system_default);
    pm_str_finish(&c->date);
}

/* ------------------------------------------------------------ small parts */

static bool is_role(const pm_chat_message *message, const char *role)
{
    return strcmp(message->role, role) == 0;
}

/* White space as Python's str.strip() has it: the size of the character, or 0. */
static uint32_t space_size(const char *text, size_t len)
{
    uint32_t size;
    if (pm_utf8_next(text, len, &size) != PM_UTF8_WHOLE)
        return 0;
    const uint32_t c = pm_utf8_decode(text, size);
    const bool space = (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
                       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
                       c == 0x3000;
    return space ? size : 0;
}

/* Text without the white space around it. */
static pm_text trimmed(const char *text)
{
    size_t len = strlen(text), end = 0;
    for (uint32_t size; len > 0 && (size = space_size(text, len)) > 0; len -= size)
        text += size;
    for (size_t at = 0; at < len;) { /* the end of the last character that is no space */
        const uint32_t size = space_size(text + at, len - at);
        at += size > 0 ? size : 1;
        end = size > 0 ? end : at;
    }
    return (pm_text){text, end};
}

static pm_result append_trimmed(pm_str *out, const char *text)
{
    const pm_text part = trimmed(text);
    return pm_str_append(out, part.data, part.len);
}

static pm_result append_all(pm_str *out, const char *const *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        PM_TRY(pm_str_append_text(out, parts[i]));
    return PM_OK;
}

#define APPEND(out, ...)                                                                    \
    append_all(out, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static pm_result check_roles(const pm_chat_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!is_role(&messages[i], "system") && !is_role(&messages[i], "user") && !is_role(&messages[i], "assistant"))
            return pm_fail(PM_ERR_ARG, "message %zu: role '%.32s', expected system, user or assistant", i,
                           messages[i].role);
    return PM_OK;
}

/* After an optional system message: user, assistant, user ... */
static pm_result check_turns(const char *family, const pm_chat_message *messages, size_t count, bool system)
{
    for (size_t i = 0; i < count; i++) {
        const char *expected = i % 2 == 0 ? "user" : "assistant";
        if (!is_role(&messages[i], expected))
            return pm_fail(PM_ERR_ARG, "template %s: message %zu is of the %.32s, expected the %s", family, i + system,
                           messages[i].role, expected);
    }
    return PM_OK;
}

/* ------------------------------------------------------------- the families */

static pm_result render_chatml(const chat *c, const pm_chat_message *m, size_t count, bool add_assistant, pm_str *out)
{
    if (c->system_default.len > 0 && (count == 0 || !is_role(&m[0], "system")))
        PM_TRY(APPEND(out, "<|im_start|>system\n", c->system_default.data, "<|im_end|>\n"));
    for (size_t i = 0; i < count; i++) {
        PM_TRY(APPEND(out, "<|im_start|>", m[i].role, "\n", m[i].content));
        if (!c->open_end || i + 1 < count || add_assistant)
            PM_TRY(pm_str_append_text(out, "<|im_end|>\n"));
    }
    const bool answered = count > 0 && is_role(&m[count - 1], "assistant");
    if (add_assistant && !(c->open_end && answered))
        return pm_str_append_text(out, "<|im_start|>assistant\n");
    return c->eos_after_answer && answered ? pm_str_append_text(out, c->eos) : PM_OK;
}

static pm_result render_llama2(const chat *c, const pm_chat_message *m, size_t count, bool add_assistant, pm_str *out)
{
    (void)add_assistant; /* an answer follows [/INST] without a head */
    const pm_chat_message *system = count > 0 && is_role(&m[0], "system") ? m : NULL;
    m += system != NULL;
    count -= system != NULL;
    PM_TRY(check_turns("llama2", m, count, system != NULL));
    for (size_t i = 0; i < count; i++) {
        if (i % 2 == 1) {
            PM_TRY(pm_str_append_text(out, " "));
            PM_TRY(append_trimmed(out, m[i].content));
            PM_TRY(APPEND(out, " ", c->eos));
            continue;
        }
        PM_TRY(APPEND(out, c->bos, "[INST] "));
        if (i == 0 && system != NULL) { /* trimmed as one text, which <<SYS>> begins */
            PM_TRY(APPEND(out, "<<SYS>>\n", system->content, "\n<</SYS>>\n\n"));
            const pm_text part = trimmed(m[i].content);
            const char *start = part.len > 0 ? m[i].content : part.data;
            PM_TRY(pm_str_append(out, start, (size_t)(part.data - start) + part.len));
            while (part.len == 0 && out->len > 0 && out->data[out->len - 1] == '\n')
                out->data[--out->len] = '\0';
        } else {
            PM_TRY(append_trimmed(out, m[i].content));
        }
        PM_TRY(pm_str_append_text(out, " [/INST]"));
    }
    return PM_OK;
}

static pm_result append_llama3(pm_str *out, const char *role, const char *before, const char *content)
{
    PM_TRY(APPEND(out, "<|start_header_id|>", role, "<|end_header_id|>\n\n", before));
    PM_TRY(append_trimmed(out, content));
    return pm_str_append_text(out, "<|eot_id|>");
}

static pm_result render_llama3(const chat *c, const pm_chat_message *m, size_t count, bool add_assistant, pm_str *out)
{
    if (c->date.len > 0) {
        const bool system = count > 0 && is_role(&m[0], "system");
        pm_str head = {0};
        pm_result result = APPEND(&head, "Cutting Knowledge Date: December 2023\nToday Date: ", c->date.data, "\n\n");
        if (result == PM_OK)
            result = append_llama3(out, "system", head.data, system ? m[0].content : "");
        pm_str_finish(&head);
        PM_TRY(result);
        m += system;
        count -= system;
    }
    for (size_t i = 0; i < count; i++)
        PM_TRY(append_llama3(out, m[i].role, "", m[i].content));
    return add_assistant ? pm_str_append_text(out, "<|start_header_id|>assistant<|end_header_id|>\n\n") : PM_OK;
}

static pm_result append_mistral_user(const chat *c, const pm_chat_message *system, const char *content, pm_str *out)
{
    PM_TRY(pm_str_append_text(out, c->user_before));
    if (system != NULL)
        PM_TRY(APPEND(out, system->content, "\n\n"));
    return APPEND(out, content, c->user_after);
}

static pm_result render_mistral(const chat *c, const pm_chat_message *m, size_t count, bool add_assistant, pm_str *out)
{
    (void)add_assistant; /* as in llama2 */
    const pm_chat_message *system = count > 0 && is_role(&m[0], "system") ? m : NULL;
    if (system != NULL && c->system_place == SYSTEM_NOWHERE)
        return pm_fail(PM_ERR_ARG, "template mistral: this model's template has no place for a system message");
    m += system != NULL;
    count -= system != NULL;
    PM_TRY(check_turns("mistral", m, count, system != NULL));
    if (system != NULL && c->system_place == SYSTEM_OWN)
        PM_TRY(APPEND(out, c->system_before, system->content, "[/SYSTEM_PROMPT]"));
    for (size_t i = 0; i < count; i++) {
        if (i % 2 == 0) {
            const bool here = (c->system_place == SYSTEM_FIRST && i == 0) ||
                              (c->system_place == SYSTEM_LAST && i + 1 == count);
            PM_TRY(append_mistral_user(c, here ? system : NULL, m[i].content, out));
            continue;
        }
        PM_TRY(pm_str_append_text(out, c->answer_before));
        PM_TRY(c->trim_answer ? append_trimmed(out, m[i].content) : pm_str_append_text(out, m[i].content));
        PM_TRY(APPEND(out, c->answer_end, c->eos, c->answer_after));
    }
    return PM_OK;
}

static pm_result render_zephyr(const chat *c, const pm_chat_message *m, size_t count, bool add_assistant, pm_str *out)
{
    for (size_t i = 0; i < count; i++)
        PM_TRY(APPEND(out, "<|", m[i].role, "|>\n", m[i].content, c->eos, "\n"));
    return add_assistant && count > 0 ? pm_str_append_text(out, "<|assistant|>\n") : PM_OK;
}

/* ----------------------------------------------- recognising: t is squeezed */

static bool has(const char *t, const char *part)
{
    return strstr(t, part) != NULL;
}

/* "<|im_start|>system\nYou are ...<|im_end|>", or set system_message = 'You are ...'. */
static pm_result read_system_default(const char *t, pm_str *out)
{
    static const char *const heads[] = {"<|im_start|>system\\n", "<|im_start|>system\n", "setsystem_message='"};
    static const char *const tails[] = {"<|im_end|>", "<|im_end|>", "'"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        for (const char *at = t; (at = strstr(at, heads[i])) != NULL;) {
            at += strlen(heads[i]);
            const char *end = strstr(at, tails[i]);
            if (end != NULL && *at != '\'' && (size_t)(end - at) < strcspn(at, "{}"))
                return pm_template_unescape(at, (size_t)(end - at), out);
        }
    }
    return PM_OK;
}

static pm_result read_chatml(const char *t, chat *c, bool *fits)
{
    static const char *const bodies[] = {
        "'<|im_start|>'+message['role']+'\\n'+message['content']",
        "<|im_start|>{{message['role']}}\n",
        "'<|im_start|>user\\n'+message['content']+'<|im_end|>\\n",
        "'<|im_start|>user\\n'+content+'<|im_end|>\\n",
    };
    static const char *const strangers[] = {
        "think>", "reasoning", "<|im_middle|>", "[BEGIN OF", "strftime_now", "|trim",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        *fits |= has(t, bodies[i]);
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
        *fits &= !has(t, strangers[i]);
    c->render = render_chatml;
    c->open_end = has(t, "{%if(loop.lastandadd_generation_prompt)ornotloop.last%}{{'<|im_end|>'+'\\n'}}");
    c->eos_after_answer = has(t, "{%elifmessages[-1]['role']=='assistant'%}{{eos_token}}");
    return read_system_default(t, &c->system_default);
}

static pm_result read_llama2(const char *t, chat *c, bool *fits)
{
    *fits = has(t, "bos_token+'[INST] '+content|trim+' [/INST]'") && has(t, "' '+content|trim+' '+eos_token") &&
            has(t, "'<<SYS>>\\n'+system_message+'\\n<</SYS>>\\n\\n'+message['content']");
    c->render = render_llama2;
    return PM_OK;
}

static pm_result append_today(pm_str *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const time_t now = time(NULL);
    struct tm day;
    if (localtime_r(&now, &day) == NULL)
        return pm_str_append_text(out, "26 Jul 2024");
    return pm_str_append_format(out, "%02d %.3s %d", day.tm_mday, months + 3 * (day.tm_mon % 12), day.tm_year + 1900);
}

static pm_result read_llama3(const char *t, chat *c, bool *fits)
{
    static const char set_date[] = "setdate_string='";
    *fits = has(t, "'<|start_header_id|>'+message['role']+'<|end_header_id|>\\n\\n'+message['content']|trim"
                   "+'<|eot_id|>'");
    c->render = render_llama3;
    if (!has(t, "{{'Cutting Knowledge Date: December 2023\\n'}}{{'Today Date: '+date_string+'\\n\\n'}}")) {
        *fits &= !has(t, "Cutting Knowledge Date");
        return PM_OK;
    }
    if (has(t, "setdate_string=strftime_now('%d %b %Y')"))
        return append_today(&c->date);
    const char *date = strstr(t, set_date);
    *fits &= date != NULL;
    if (date == NULL)
        return PM_OK;
    date += strlen(set_date);
    return pm_str_append(&c->date, date, strcspn(date, "'"));
}

/* The white space around Mistral's marks differs from version to version. */
static const struct { const char *before, *after; } mistral_users[] = {
    {"[INST] ", " [/INST]"}, {" [INST] ", " [/INST]"}, {"[INST] ", "[/INST]"}, {"[INST]", "[/INST]"},
};
static const struct { const char *mark, *before, *end, *after; bool trim; } mistral_answers[] = {
    {"{{message['content']+eos_token+' '}}", "", "", " ", false},
    {"{{message['content']+eos_token}}", "", "", "", false},
    {"{{' '+message['content']+eos_token}}", " ", "", "", false},
    {"{{' '+message['content']|trim+eos_token}}", " ", "", "", true},
    {"{{' '+message['content']+' '+eos_token}}", " ", " ", "", false},
};
static const char *const mistral_systems[] = {"[SYSTEM_PROMPT] ", "[SYSTEM_PROMPT]"};

static void read_mistral_user(const char *t, chat *c)
{
    for (size_t i = 0; i < sizeof(mistral_users) / sizeof(mistral_users[0]); i++) {
        char mark[96];
        (void)snprintf(mark, sizeof(mark), "'%s'+message['content']+'%s'", mistral_users[i].before,
                       mistral_users[i].after);
        if (has(t, mark)) {
            c->user_before = mistral_users[i].before;
            c->user_after = mistral_users[i].after;
        }
    }
}

static void read_mistral_system(const char *t, chat *c)
{
    for (size_t i = 0; i < sizeof(mistral_systems) / sizeof(mistral_systems[0]); i++) {
        char mark[96];
        (void)snprintf(mark, sizeof(mark), "'%s'+message['content']+'[/SYSTEM_PROMPT]'", mistral_systems[i]);
        if (has(t, mark)) {
            c->system_before = mistral_systems[i];
            c->system_place = SYSTEM_OWN;
        }
    }
    if (has(t, "+system_message+'\\n\\n'+message['content']+'"))
        c->system_place = has(t, "loop.lastandsystem_messageisdefined") ? SYSTEM_LAST
                        : has(t, "loop.firstandsystem_messageisdefined") ? SYSTEM_FIRST : SYSTEM_NOWHERE;
}

static pm_result read_mistral(const char *t, chat *c, bool *fits)
{
    c->render = render_mistral;
    read_mistral_user(t, c);
    read_mistral_system(t, c);
    for (size_t i = 0; i < sizeof(mistral_answers) / sizeof(mistral_answers[0]); i++) {
        if (has(t, mistral_answers[i].mark)) {
            c->answer_before = mistral_answers[i].before;
            c->answer_end = mistral_answers[i].end;
            c->answer_after = mistral_answers[i].after;
            c->trim_answer = mistral_answers[i].trim;
        }
    }
    *fits = c->user_before != NULL && c->answer_before != NULL && !has(t, "default_system_message");
    return PM_OK;
}

static pm_result read_zephyr(const char *t, chat *c, bool *fits)
{
    *fits = has(t, "{{'<|user|>\\n'+message['content']+eos_token}}\n") &&
            has(t, "{{'<|system|>\\n'+message['content']+eos_token}}\n") &&
            has(t, "{{'<|assistant|>\\n'+message['content']+eos_token}}\n") &&
            has(t, "{%ifloop.lastandadd_generation_prompt%}\n{{'<|assistant|>'}}\n");
    c->render = render_zephyr;
    return PM_OK;
}

static pm_result (*const readers[])(const char *t, chat *c, bool *fits) = {
    read_chatml, read_llama3, read_llama2, read_mistral, read_zephyr,
};

static pm_result recognise(const pm_vocab *vocab, chat *c)
{
    if (vocab->chat_template == NULL)
        return pm_fail(PM_ERR_UNSUP, "the model file has no chat template; choose one with --template: " KNOWN);
    pm_str squeezed = {0};
    pm_result result = pm_template_squeeze(vocab->chat_template, &squeezed);
    bool fits = false;
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]) && result == PM_OK && !fits; i++) {
        const chat fresh = {.bos = c->bos, .eos = c->eos};
        chat_finish(c);
        *c = fresh;
        result = readers[i](squeezed.data, c, &fits);
    }
    if (result == PM_OK && fits) {
        c->begins_with_bos = has(squeezed.data, "bos_token") && c->render != render_llama2;
        c->head = has(squeezed.data, "add_generation_prompt") ? HEAD_ASKED
                : has(squeezed.data, "<|im_end|>\\n<|im_start|>assistant\\n") ? HEAD_AFTER_USER
                : has(squeezed.data, "<|im_start|>assistant\\n") || has(squeezed.data, "assistant<|end_header_id|>\\n")
                ? HEAD_ALWAYS : HEAD_NEVER;
    }
    pm_str_finish(&squeezed);
    if (result == PM_OK && !fits)
        return pm_fail(PM_ERR_UNSUP, "the model file's chat template is none of those known; choose one with "
                       "--template: " KNOWN);
    return result;
}

/* ------------------------------------------------------------- the built-in ones */

static const struct { const char *name; chat chat; } built_in[] = {
    {"chatml", {.render = render_chatml}},
    {"llama2", {.render = render_llama2}},
    {"llama3", {.render = render_llama3, .begins_with_bos = true}},
    {"mistral", {.render = render_mistral, .begins_with_bos = true, .user_before = "[INST] ", .user_after = " [/INST]",
                 .answer_before = "", .answer_end = "", .answer_after = "", .system_place = SYSTEM_FIRST}},
    {"zephyr", {.render = render_zephyr}},
};

static pm_result find_built_in(const char *name, chat *c)
{
    for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
        if (strcmp(built_in[i].name, name) == 0) {
            const char *bos = c->bos, *eos = c->eos;
            *c = built_in[i].chat;
            c->bos = bos;
            c->eos = eos;
            return PM_OK;
        }
    }
    return pm_fail(PM_ERR_UNSUP, "--template %.64s is not known; choose one of: " KNOWN, name);
}

/* A token's piece as owned text; "" for none. */
static pm_result copy_piece(const pm_vocab *vocab, int32_t id, pm_str *out)
{
    PM_TRY(pm_str_reserve(out, 1));
    if (id < 0)
        return PM_OK;
    uint32_t len;
    const char *piece = pm_pieces_get(&vocab->pieces, (uint32_t)id, &len);
    return pm_str_append(out, piece, len);
}

static pm_result render_with(const pm_vocab *vocab, const chat *c, const pm_chat_message *messages, size_t count,
                             bool add_assistant, pm_str *out)
{
    PM_TRY(check_roles(messages, count));
    PM_TRY(pm_str_reserve(out, 64));
    if (c->begins_with_bos)
        PM_TRY(pm_str_append_text(out, c->bos));
    const bool after_user = count > 0 && is_role(&messages[count - 1], "user");
    const bool head = c->head == HEAD_ASKED ? add_assistant : c->head == HEAD_ALWAYS ||
                      (c->head == HEAD_AFTER_USER && after_user);
    PM_TRY(c->render(c, messages, count, head, out));
    if (!vocab->add_bos || strncmp(out->data, c->bos, strlen(c->bos)) == 0)
        return PM_OK;
    /* The template leaves BOS to the tokenizer, and the file says it adds one. */
    const size_t len = strlen(c->bos);
    PM_TRY(pm_str_reserve(out, out->len + len));
    memmove(out->data + len, out->data, out->len + 1);
    memcpy(out->data, c->bos, len);
    out->len += len;
    return PM_OK;
}

pm_result pm_chat_render(const pm_tokenizer *tokenizer, const char *name, const pm_chat_message *messages, size_t count,
                         bool add_assistant, char **text, size_t *len)
{
    const pm_vocab *vocab = &tokenizer->vocab;
    pm_str bos = {0}, eos = {0}, out = {0};
    chat c = {0};
    pm_result result;
    PM_TRY_GOTO(copy_piece(vocab, vocab->bos, &bos));
    PM_TRY_GOTO(copy_piece(vocab, vocab->eos, &eos));
    c.bos = bos.data;
    c.eos = eos.data;
    PM_TRY_GOTO(name != NULL ? find_built_in(name, &c) : recognise(vocab, &c));
    PM_TRY_GOTO(render_with(vocab, &c, messages, count, add_assistant, &out));
    *text = out.data;
    *len = out.len;
    out = (pm_str){0};
fail:
    chat_finish(&c);
    pm_str_finish(&bos);
    pm_str_finish(&eos);
    pm_str_finish(&out);
    return result;
}

void pm_string_free(char *text)
{
    pm_free(text);
}
