/* input.c - prompts from a file or standard input, token ids from the command line. */
#include "input.h"
#include "common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_stream(FILE *file, char **text, size_t *len)
{
    size_t capacity = 4096, n;
    char *data = must(malloc(capacity));
    *len = 0;
    while ((n = fread(data + *len, 1, capacity - *len - 1, file)) > 0) {
        *len += n;
        if (capacity - *len < 2)
            data = must(realloc(data, capacity *= 2));
    }
    data[*len] = '\0';
    *text = data;
    return !ferror(file);
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
    if (!ok) {
        fprintf(stderr, "pumice %s: %s: cannot read: %s\n", command, path, strerror(errno));
        free(*text);
    }
    if (!is_stdin)
        fclose(file);
    return ok;
}

int32_t *input_tokens(const char *command, const char *text, size_t *count)
{
    size_t capacity = 1;
    for (const char *p = text; *p != '\0'; p++)
        capacity += *p == ',';
    int32_t *tokens = must(malloc(capacity * sizeof(*tokens)));
    *count = 0;
    for (const char *p = text; *p != '\0' && *p != '\n';) {
        char *end;
        const long id = strtol(p, &end, 10);
        if (end == p || strchr(",\n", *end) == NULL || id < INT32_MIN || id > INT32_MAX) {
            fprintf(stderr, "pumice %s: '%.60s' is not a list of token ids such as 1,2,3\n", command, p);
            free(tokens);
            return NULL;
        }
        tokens[(*count)++] = (int32_t)id;
        p = end + (*end == ',');
    }
    return tokens;
}
