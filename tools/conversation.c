/* conversation.c - the messages of a chat. */
#include "conversation.h"
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const roles[] = {"system", "user", "assistant"};

static bool is_role(const conversation *c, size_t index, const char *role)
{
    return index < c->count && strcmp(c->messages[index].role, role) == 0;
}

/* ---------------------------------------------------------------- messages */

static void drop(conversation *c, size_t index)
{
    free((char *)c->messages[index].content);
    c->count--;
    memmove(&c->messages[index], &c->messages[index + 1], (c->count - index) * sizeof(*c->messages));
}

void conversation_finish(conversation *c)
{
    while (c->count > 0)
        drop(c, c->count - 1);
    free(c->messages);
    *c = (conversation){0};
}

void conversation_add(conversation *c, const char *role, const char *content)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? c->capacity * 2 : 16;
        c->messages = must(realloc(c->messages, c->capacity * sizeof(*c->messages)));
    }
    size_t r = 0;
    while (r < 2 && strcmp(roles[r], role) != 0)
        r++;
    c->messages[c->count++] = (pm_chat_message){roles[r], must(strdup(content))};
}

void conversation_append(conversation *c, const char *text, size_t len)
{
    pm_chat_message *m = &c->messages[c->count - 1];
    const size_t old = strlen(m->content);
    char *grown = must(realloc((char *)m->content, old + len + 1));
    if (len > 0)
        memcpy(grown + old, text, len);
    grown[old + len] = '\0';
    m->content = grown;
}

void conversation_trim_last(conversation *c)
{
    char *text = (char *)c->messages[c->count - 1].content;
    const size_t lead = strspn(text, " \t\r\n");
    size_t len = strlen(text + lead);
    memmove(text, text + lead, len + 1);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        text[--len] = '\0';
}

void conversation_drop_last(conversation *c)
{
    if (c->count > 0)
        drop(c, c->count - 1);
}

bool conversation_drop_oldest(conversation *c)
{
    const size_t first = is_role(c, 0, "system");
    if (c->count < first + 3) /* user, assistant, and the user message to answer */
        return false;
    drop(c, first);
    drop(c, first);
    return true;
}

void conversation_clear(conversation *c)
{
    while (c->count > (size_t)is_role(c, 0, "system"))
        drop(c, c->count - 1);
}

void conversation_set_system(conversation *c, const char *text)
{
    while (c->count > 0)
        drop(c, c->count - 1);
    if (text[0] != '\0')
        conversation_add(c, "system", text);
}

/* ------------------------------------------------------------ save and load */

void conversation_save(const conversation *c, const char *path)
{
    cJSON *array = must(cJSON_CreateArray());
    for (size_t i = 0; i < c->count; i++) {
        cJSON *m = must(cJSON_CreateObject());
        cJSON_AddStringToObject(m, "role", c->messages[i].role);
        cJSON_AddStringToObject(m, "content", c->messages[i].content);
        cJSON_AddItemToArray(array, m);
    }
    char *text = must(cJSON_Print(array));
    FILE *file = fopen(path, "wb");
    const bool written = file != NULL && fprintf(file, "%s\n", text) >= 0;
    if ((file != NULL && fclose(file) != 0) || !written)
        fprintf(stderr, "%s: cannot write: %s\n", path, strerror(errno));
    else
        fprintf(stderr, "%zu messages saved\n", c->count);
    cJSON_free(text);
    cJSON_Delete(array);
}

static const char *string_of(const cJSON *message, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(message, key));
    return text != NULL ? text : "";
}

/* A system message or none, then user, assistant, user, assistant. */
static bool is_conversation(const cJSON *array)
{
    const cJSON *m;
    size_t turn = 0;
    if (!cJSON_IsArray(array))
        return false;
    cJSON_ArrayForEach(m, array) {
        if (m == array->child && strcmp(string_of(m, "role"), "system") == 0)
            continue;
        if (strcmp(string_of(m, "role"), roles[1 + turn++ % 2]) != 0)
            return false;
    }
    return turn % 2 == 0;
}

void conversation_load(conversation *c, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    if (!input_read("chat", path, &text, &len))
        return;
    cJSON *array = cJSON_ParseWithLength(text, len);
    const cJSON *m;
    if (is_conversation(array)) {
        conversation_set_system(c, "");
        cJSON_ArrayForEach(m, array)
            conversation_add(c, string_of(m, "role"), string_of(m, "content"));
        fprintf(stderr, "%zu messages loaded\n", c->count);
    } else {
        fprintf(stderr, "%s: not a JSON array of {role, content} with user and assistant in turns\n", path);
    }
    cJSON_Delete(array);
    free(text);
}

/* ------------------------------------------------------------------- guard */

/* Appends the content to the last message with each `marker` broken after its first character. */
static void append_broken(conversation *out, const char *content, const char *marker, size_t marker_len)
{
    size_t head = 1; /* bytes of the marker's first character */
    while (head < marker_len && ((unsigned char)marker[head] & 0xC0) == 0x80)
        head++;
    for (const char *hit; (hit = strstr(content, marker)) != NULL; content = hit + head) {
        conversation_append(out, content, (size_t)(hit - content) + head);
        conversation_append(out, "\xe2\x80\x8b", 3);
    }
    conversation_append(out, content, strlen(content));
}

static void break_marker(conversation *c, const char *marker)
{
    const char *content = c->messages[c->count - 1].content;
    if (marker[0] == '\0' || strstr(content, marker) == NULL)
        return;
    c->messages[c->count - 1].content = must(strdup(""));
    append_broken(c, content, marker, strlen(marker));
    free((char *)content);
}

/* Breaks the control tokens that the last message spells: those that only show when special
 * tokens are asked for. */
static void break_control_tokens(conversation *c, const pm_tokenizer *tokenizer)
{
    const char *content = c->messages[c->count - 1].content;
    const size_t len = strlen(content), capacity = 3 * len + 3;
    int32_t *tokens = must(malloc(capacity * sizeof(*tokens)));
    size_t count = 0, bytes;
    char text[256];
    if (pm_tokenize(tokenizer, content, len, PM_TOKENIZE_SPECIAL, tokens, capacity, &count) != PM_OK)
        count = 0;
    for (size_t i = 0; i < count; i++)
        if (pm_detokenize(tokenizer, &tokens[i], 1, false, text, sizeof(text), &bytes) == PM_OK && bytes == 0 &&
            pm_detokenize(tokenizer, &tokens[i], 1, true, text, sizeof(text) - 1, &bytes) == PM_OK && bytes > 0) {
            text[bytes] = '\0';
            break_marker(c, text);
        }
    free(tokens);
}

void conversation_guard(const conversation *c, const pm_tokenizer *tokenizer, conversation *out)
{
    static const char *const markers[] = {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<|system|>", "<|user|>", "<|assistant|>",
                                          "<|im_start|>", "<|im_end|>"};
    for (size_t i = 0; i < c->count; i++) {
        conversation_add(out, c->messages[i].role, c->messages[i].content);
        break_control_tokens(out, tokenizer);
        for (size_t m = 0; m < sizeof(markers) / sizeof(markers[0]); m++)
            break_marker(out, markers[m]);
    }
}
