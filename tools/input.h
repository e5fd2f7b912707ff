/* input.h - prompts from the command line, a file or standard input. */
#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stddef.h>

/* The whole file ("-" = standard input) as owned, NUL-terminated memory (free()); false
 * after a message on stderr. */
bool input_read(const char *command, const char *path, char **text, size_t *len);

/* "1,2,3" as token ids, owned (free()); false after a message on stderr. */
bool input_tokens(const char *command, const char *text, int **tokens, size_t *count);

#endif /* INPUT_H */
