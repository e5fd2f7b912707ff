/* args.h - one declarative option parser for all subcommands.
 *
 * A subcommand lists its options once; parsing, range checks, --help and the nearest
 * name for a mistyped flag all come from that list. "--name value" and "--name=value"
 * both work. An entry whose name has no dash, an ARG_TEXT such as "OUT", is positional: these
 * take in order what is no option, before, between and after the options, and all are required;
 * behind "--" nothing is an option. */
#ifndef ARGS_H
#define ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An interrupted program exits with 128 + SIGINT, as shells expect. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

typedef enum arg_kind {
    ARG_FLAG,                      /* target: bool */
    ARG_TEXT,                      /* const char * */
    ARG_TEXTS,                     /* arg_texts: the option may come again, up to max times */
    ARG_UINT,                      /* uint32_t */
    ARG_FLOAT,                     /* float */
    ARG_BYTES,                     /* uint64_t; "512M" */
    ARG_CHOICE,                    /* uint32_t: the index in value, "f16|f32" */
} arg_kind;

#define ARG_TEXTS_MAX 16

typedef struct arg_texts {
    const char *list[ARG_TEXTS_MAX];
    size_t count;
} arg_texts;

typedef struct arg {
    const char *name;              /* "--temp", or "OUT"; NULL ends a list */
    const char *short_name;        /* "-n", or NULL */
    arg_kind kind;
    void *target;
    double min, max;               /* of numbers */
    const char *value;             /* "T" in the help; NULL for flags */
    const char *help;
} arg;

typedef struct args_spec {
    const char *command;           /* "run" */
    const char *summary;           /* one line */
    const arg *lists[3];           /* option lists, NULL-terminated arrays of arg */
} args_spec;

/* Parses argv[0 .. argc - 1]. Returns -1 to go on, else the exit code: 0 after --help,
 * EXIT_USAGE after a message on stderr. */
int args_parse(const args_spec *spec, int argc, char **argv);

/* "nearest" of names to a mistyped one, or NULL when none is near. */
const char *args_nearest(const char *typed, const char *const *names, size_t count);

#endif /* ARGS_H */
