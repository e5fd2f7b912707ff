/* common.c - what every subcommand may use. */
#include "common.h"

#include <stdlib.h>

int fail(const char *command)
{
    fprintf(stderr, "pumice %s: %s\n", command, pm_error_message());
    return EXIT_FAILED;
}

int usage(const char *command, const char *message)
{
    fprintf(stderr, "pumice %s: %s ('pumice %s --help' says more)\n", command, message, command);
    return EXIT_USAGE;
}

void *must(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "pumice: out of memory\n");
        exit(EXIT_FAILED);
    }
    return memory;
}

void print_json(cJSON *value)
{
    char *text = must(cJSON_Print(value));
    puts(text);
    cJSON_free(text);
    cJSON_Delete(value);
}
