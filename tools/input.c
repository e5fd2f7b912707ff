/* input.c - prompts from the command line, a file or standard input. */
#include "input.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_stream(FILE *file, char **text, size_t *len)
{
    size_t capacity = 4096;
    char *data = malloc(capacity);
    *len = 0;
    while (data != NULL) {
        const size_t n = fread(data + *len, 1, capacity - *len - 1, file);
        *len += n;
        if (n == 0)
            break;
        if (capacity - *len < 2) {
            char *grown = realloc(data, capacity *= 2);
            if (grown == NULL)
                free(data);
            data = grown;
        }
    }
    *text = data;
    if (data != NULL)
        data[*len] = '\0';
    return data != NULL && !ferror(file);
}

bool input_read(const char *command, const char *path, char **text, size_t *len)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "pumice %s: %s: cannot open: %s\n", command, path, strerror(errno));
        return false;
    }
    const bool ok = read_stream(file, text, len);
    if (!ok)
        fprintf(stderr, "pumice %s: %s: cannot read: %s\n", command, path, strerror(errno));
    if (!is_stdin)
        fclose(file);
    return ok;
}

bool input_tokens(const char *command, const char *text, int **tokens, size_t *count)
{
    size_t capacity = 1;
    for (const char *p = text; *p != '\0'; p++)
        capacity += *p == ',';
    *tokens = malloc(capacity * sizeof(**tokens));
    *count = 0;
    for (const char *p = text; *tokens != NULL && *p != '\0';) {
        char *end;
        const long id = strtol(p, &end, 10);
        if (end == p || (*end != ',' && *end != '\0') || id < INT_MIN || id > INT_MAX) {
            fprintf(stderr, "pumice %s: '%s' is not a list of token ids such as 1,2,3\n", command, text);
            free(*tokens);
            return false;
        }
        (*tokens)[(*count)++] = (int)id;
        p = *end == ',' ? end + 1 : end;
    }
    return *tokens != NULL;
}
