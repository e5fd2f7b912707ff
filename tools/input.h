/* input.h - prompts from a file or standard input, token ids from the command line. */
#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole file ("-" = standard input) as owned, NUL-terminated memory (free()); false
 * after a message on stderr. */
bool input_read(const char *command, const char *path, char **text, size_t *len);

/* "1,2,3" as owned token ids (free()); NULL after a message on stderr. */
int32_t *input_tokens(const char *command, const char *text, size_t *count);

#endif /* INPUT_H */
