/* pumice.c - the program: one table of subcommands. */
#include "common.h"

#include <string.h>

static const struct {
    const char *name, *summary;
    int (*main)(int argc, char **argv);
} commands[] = {
    {"run", "complete a prompt", run_main},
    {"chat", "talk with a model", chat_main},
    {"devices", "list the Vulkan devices", devices_main},
    {"inspect", "show what a GGUF file holds", inspect_main},
    {"quantize", "make a model smaller", quantize_main},
    {"tokenize", "text to token ids and back", tokenize_main},
    {"logits", "write the logits of every position", logits_main},
    {"ppl", "measure perplexity on a text", ppl_main},
    {"verify", "check that the device computes what plain C computes", verify_main},
    {"bench", "measure ops, models, traces and starts", bench_main},
    {"tune", "find the fastest kernels for a model on this device", tune_main},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
    printf("pumice %s - language models on any Vulkan device\n\nusage: pumice COMMAND [options]\n\n", pm_version());
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    printf("\n  'pumice COMMAND --help' lists a command's options,\n"
           "  'pumice --help-env' the environment switches, 'pumice --version' the version.\n\n"
           "Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 failure, 2 usage,\n"
           "130 interrupted (Ctrl-C).\n");
}

static void print_env(void)
{
    const char *variable, *text;
    for (size_t i = 0; pm_env_describe(i, &variable, &text); i++)
        printf("  %-18s %s\n", variable, text);
}

static int run_command(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].main(argc - 2, argv + 2);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help();
        return EXIT_OK;
    }
    if (strcmp(name, "--version") == 0) {
        printf("pumice %s\n", pm_version());
        return EXIT_OK;
    }
    if (strcmp(name, "--help-env") == 0) {
        print_env();
        return EXIT_OK;
    }
    if (argc < 2) {
        fprintf(stderr, "pumice: a command is missing ('pumice --help' lists them)\n");
        return EXIT_USAGE;
    }
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *near = args_nearest(name, names, COMMANDS);
    fprintf(stderr, "pumice: unknown command '%s'", name);
    if (near != NULL)
        fprintf(stderr, "; did you mean '%s'?", near);
    fprintf(stderr, " ('pumice --help' lists all)\n");
    return EXIT_USAGE;
}

/* A result that did not reach stdout is no success. */
int main(int argc, char **argv)
{
    const int code = run_command(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_OK) {
        fprintf(stderr, "pumice: standard output cannot be written\n");
        return EXIT_FAILED;
    }
    return code;
}
