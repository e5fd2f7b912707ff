/* quantize.c - pumice quantize: a model file with its matrices in another type. Needs no Vulkan. */
#include "common.h"
#include "terminal.h"

#include <signal.h>
#include <strings.h>

static const char *in_path, *out_path, *type_name, *imatrix_path;
static uint32_t jobs;
static bool pure, requantize, verbose, as_json;
static const arg quantize_args[] = {
    {"IN", NULL, ARG_TEXT, &in_path, 0, 0, NULL, "GGUF model in F32, F16 or BF16; split files by any part"},
    {"OUT", NULL, ARG_TEXT, &out_path, 0, 0, NULL, "file to make; it appears when it is complete"},
    {"TYPE", NULL, ARG_TEXT, &type_name, 0, 0, NULL, "one of the types below; Q3_K, Q4_K and Q5_K are their M"},
    {"--imatrix", NULL, ARG_TEXT, &imatrix_path, 0, 0, "FILE", "importance matrix of llama.cpp: where errors matter most"},
    {"--jobs", "-j", ARG_UINT, &jobs, 1, 32, "N", "threads (default: one per processor)"},
    {"--pure", NULL, ARG_FLAG, &pure, 0, 0, NULL, "the type for every matrix, the output too: no mix"},
    {"--requantize", NULL, ARG_FLAG, &requantize, 0, 0, NULL, "take tensors that are quantised already: errors add up"},
    {"--verbose", "-v", ARG_FLAG, &verbose, 0, 0, NULL, "a line for each tensor, on stderr"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "one JSON object with every tensor on stdout"},
    {0},
};

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

/* Ctrl-C, and the ways in which a session ends: the part that is written goes away. */
static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction old, action = {.sa_handler = on_signal};
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(), as a full disk is */
}

static bool on_progress(void *context, double fraction)
{
    (void)context;
    terminal_progress("quantize", fraction);
    return stop_signal == 0;
}

static void on_tensor(void *context, const pm_quantize_tensor *t)
{
    if (t->wanted != NULL || verbose)
        terminal_progress("quantize", 1.0); /* the bar makes room */
    if (t->wanted != NULL)
        fprintf(stderr, "%s: rows of %llu are no multiple of %s's block: %s\n", t->name, (unsigned long long)t->shape[0],
                t->wanted, t->to);
    if (verbose)
        fprintf(stderr, "%-40s %-5s -> %-6s %9.2f MB -> %8.2f MB  error %.3g%s\n", t->name, t->from, t->to,
                (double)t->bytes_in * 1e-6, (double)t->bytes_out * 1e-6, t->error, t->has_importance ? "  imatrix" : "");
    if (context == NULL)
        return;
    cJSON *one = must(cJSON_CreateObject());
    cJSON_AddStringToObject(one, "name", t->name);
    cJSON_AddStringToObject(one, "from", t->from);
    cJSON_AddStringToObject(one, "to", t->to);
    if (t->wanted != NULL)
        cJSON_AddStringToObject(one, "wanted", t->wanted);
    cJSON_AddNumberToObject(one, "bytes", (double)t->bytes_out);
    cJSON_AddNumberToObject(one, "relative_error", t->error);
    cJSON_AddBoolToObject(one, "importance", t->has_importance);
    cJSON_AddItemToArray(context, one);
}

static cJSON *to_json(const pm_quantize_summary *s, cJSON *tensors)
{
    cJSON *o = must(cJSON_CreateObject());
    cJSON_AddStringToObject(o, "file", out_path);
    cJSON_AddStringToObject(o, "type", type_name);
    cJSON_AddNumberToObject(o, "parameters", (double)s->parameters);
    cJSON_AddNumberToObject(o, "tensor_count", (double)s->tensors);
    cJSON_AddNumberToObject(o, "changed", (double)s->changed);
    cJSON_AddNumberToObject(o, "fallbacks", (double)s->fallbacks);
    cJSON_AddNumberToObject(o, "without_importance", (double)s->without_importance);
    cJSON_AddNumberToObject(o, "file_bytes_in", (double)s->file_bytes_in);
    cJSON_AddNumberToObject(o, "file_bytes_out", (double)s->file_bytes_out);
    cJSON_AddNumberToObject(o, "bits_per_weight", s->bits_per_weight);
    cJSON_AddItemToObject(o, "tensors", tensors);
    return o;
}

static void print_text(const pm_quantize_summary *s)
{
    printf("%s: %.1f MB -> %.1f MB, %.2f bits per weight, %llu of %llu tensors changed", out_path,
           (double)s->file_bytes_in * 1e-6, (double)s->file_bytes_out * 1e-6, s->bits_per_weight,
           (unsigned long long)s->changed, (unsigned long long)s->tensors);
    if (s->fallbacks > 0)
        printf(", %llu of them to a fallback", (unsigned long long)s->fallbacks);
    if (s->without_importance > 0)
        printf(", %llu without importance", (unsigned long long)s->without_importance);
    printf("\n");
}

/* An unknown type is misuse, told as the parser tells an unknown option. */
static int check_type(void)
{
    enum { TYPES_MAX = 64 };
    static const char *const short_names[] = {"Q3_K", "Q4_K", "Q5_K"};
    const char *names[TYPES_MAX], *name, *text;
    size_t count = 0;
    for (size_t i = 0; i < sizeof(short_names) / sizeof(short_names[0]); i++)
        names[count++] = short_names[i];
    for (size_t i = 0; count < TYPES_MAX && pm_quantize_type(i, &name, &text); i++)
        names[count++] = name;
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(type_name, names[i]) == 0)
            return -1;
    const char *near = args_nearest(type_name, names, count);
    if (strncasecmp(type_name, "IQ", 2) == 0 || strncasecmp(type_name, "TQ", 2) == 0 || near == NULL)
        return -1; /* the library knows more about it */
    fprintf(stderr, "pumice quantize: unknown type '%s'; did you mean '%s'? ('pumice quantize --help' lists all)\n",
            type_name, near);
    return EXIT_USAGE;
}

static void print_types(void)
{
    const char *name, *text;
    printf("\n");
    for (size_t i = 0; pm_quantize_type(i, &name, &text); i++)
        printf("  %-8s %s\n", name, text);
}

int quantize_main(int argc, char **argv)
{
    const args_spec spec = {"quantize", "make a model smaller", {quantize_args}};
    int code = args_parse(&spec, argc, argv);
    if (code == EXIT_OK)
        print_types();
    if (code < 0)
        code = check_type();
    if (code >= 0)
        return code;
    cJSON *tensors = as_json ? must(cJSON_CreateArray()) : NULL;
    pm_quantize_summary summary;
    const pm_quantize_params params = {.in_path = in_path, .out_path = out_path, .type = type_name,
                                       .imatrix_path = imatrix_path, .jobs = jobs, .pure = pure,
                                       .requantize = requantize, .progress = on_progress, .report = on_tensor,
                                       .context = tensors};
    catch_signals();
    const pm_result result = pm_quantize(&params, &summary);
    terminal_progress("quantize", 1.0);
    if (result != PM_OK) {
        cJSON_Delete(tensors);
        fail("quantize");
        return stop_signal != 0 && result == PM_ERR_STATE ? 128 + stop_signal
               : result == PM_ERR_ARG                     ? EXIT_USAGE
                                                          : EXIT_FAILED;
    }
    if (as_json)
        print_json(to_json(&summary, tensors));
    else
        print_text(&summary);
    return EXIT_OK;
}
