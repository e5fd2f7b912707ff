/* conversation.c - the messages of a chat. */
#include "conversation.h"
#include "input.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "pumice chat: out of memory\n");
        exit(EXIT_FAILED);
    }
    return memory;
}

static void drop(conversation *c, size_t index)
{
    free((char *)c->messages[index].role);
    free((char *)c->messages[index].content);
    c->count--;
    memmove(&c->messages[index], &c->messages[index + 1], (c->count - index) * sizeof(*c->messages));
}

void conversation_add(conversation *c, const char *role, const char *content)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? c->capacity * 2 : 16;
        c->messages = must(realloc(c->messages, c->capacity * sizeof(*c->messages)));
    }
    c->messages[c->count++] = (pm_chat_message){must(strdup(role)), must(strdup(content))};
}

void conversation_append(conversation *c, const char *text, size_t len)
{
    pm_chat_message *m = &c->messages[c->count - 1];
    const size_t old = strlen(m->content);
    char *grown = must(realloc((char *)m->content, old + len + 1));
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
    const size_t first = c->count > 0 && strcmp(c->messages[0].role, "system") == 0 ? 1 : 0;
    if (c->count < first + 3) /* user, assistant, and the user message to answer */
        return false;
    drop(c, first);
    drop(c, first);
    return true;
}

void conversation_finish(conversation *c)
{
    while (c->count > 0)
        drop(c, c->count - 1);
    free(c->messages);
    free(c->system);
    *c = (conversation){0};
}

void conversation_clear(conversation *c)
{
    while (c->count > 0)
        drop(c, c->count - 1);
    if (c->system != NULL && c->system[0] != '\0')
        conversation_add(c, "system", c->system);
}

void conversation_set_system(conversation *c, const char *text)
{
    char *copy = must(strdup(text));
    free(c->system);
    c->system = copy;
    conversation_clear(c);
}

void conversation_save(const conversation *c, const char *path)
{
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < c->count; i++) {
        cJSON *m = cJSON_CreateObject();
        cJSON_AddStringToObject(m, "role", c->messages[i].role);
        cJSON_AddStringToObject(m, "content", c->messages[i].content);
        cJSON_AddItemToArray(array, m);
    }
    char *text = must(cJSON_Print(array));
    FILE *file = fopen(path, "wb");
    if (file == NULL || fprintf(file, "%s\n", text) < 0)
        fprintf(stderr, "%s: cannot write: %s\n", path, strerror(errno));
    else
        fprintf(stderr, "%zu messages saved\n", c->count);
    if (file != NULL)
        fclose(file);
    cJSON_free(text);
    cJSON_Delete(array);
}

static bool valid(const cJSON *array)
{
    const cJSON *m;
    if (!cJSON_IsArray(array))
        return false;
    cJSON_ArrayForEach(m, array)
        if (!cJSON_IsString(cJSON_GetObjectItem(m, "role")) || !cJSON_IsString(cJSON_GetObjectItem(m, "content")))
            return false;
    return true;
}

void conversation_load(conversation *c, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    if (!input_read("chat", path, &text, &len))
        return;
    cJSON *array = cJSON_ParseWithLength(text, len);
    const cJSON *m;
    if (valid(array)) {
        conversation_set_system(c, "");
        cJSON_ArrayForEach(m, array)
            conversation_add(c, cJSON_GetObjectItem(m, "role")->valuestring, cJSON_GetObjectItem(m, "content")->valuestring);
        if (c->count > 0 && strcmp(c->messages[0].role, "system") == 0) {
            free(c->system);
            c->system = must(strdup(c->messages[0].content));
        }
        fprintf(stderr, "%zu messages loaded\n", c->count);
    } else {
        fprintf(stderr, "%s: not a JSON array of {role, content}\n", path);
    }
    cJSON_Delete(array);
    free(text);
}
