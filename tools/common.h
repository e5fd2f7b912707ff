/* common.h - what every subcommand may use: its name, its messages, its JSON. */
#ifndef COMMON_H
#define COMMON_H

#include "args.h"
#include "pumice.h"

#include <cjson/cJSON.h>
#include <stdio.h>

int run_main(int argc, char **argv);
int chat_main(int argc, char **argv);
int devices_main(int argc, char **argv);
int inspect_main(int argc, char **argv);
int quantize_main(int argc, char **argv);
int tokenize_main(int argc, char **argv);
int logits_main(int argc, char **argv);
int ppl_main(int argc, char **argv);
int verify_main(int argc, char **argv);
int bench_main(int argc, char **argv);
int tune_main(int argc, char **argv);

/* "pumice run: <pm_error_message()>" on stderr; returns EXIT_FAILED. */
int fail(const char *command);

/* "pumice run: <message>" and where help is, on stderr; returns EXIT_USAGE. */
int usage(const char *command, const char *message);

/* Memory that must be there: the program ends without it. */
void *must(void *memory);

/* Prints the value on stdout and deletes it. */
void print_json(cJSON *value);

#endif /* COMMON_H */
