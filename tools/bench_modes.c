/* bench_modes.c - pumice bench ops|model|trace|startup|all. */
#include "bench_modes.h"
#include "bench_html.h"
#include "engine.h"
#include "generate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bench_options options = {.batches = "1,4,16,64", .tg = 64, .depth = 1, .starts = 3, .reps = 3, .requests = 100,
                                .seqs = 16, .speed = 1.0f};
static const char *html_path, *results_folder, *label;
static bool as_json, as_csv;
static const arg mode_args[] = {
    {"--op", NULL, ARG_TEXT, &options.ops, 0, 0, "LIST", "ops: matmul,attention,embedding,rmsnorm,swiglu,rope_kv,argmax (default all)"},
    {"--type", NULL, ARG_TEXT, &options.types, 0, 0, "LIST", "types of weights and pages (default f16,q8_0,q4_0,q4_k and f16 pages)"},
    {"--variants", NULL, ARG_TEXT, &options.variants, 0, 0, "LIST", "kernels by name (default: those that an engine would take)"},
    {"--rows", NULL, ARG_TEXT, &options.rows, 0, 0, "LIST", "rows of activations (default 1,16,128; 512 on a GPU)"},
    {"--matrix", NULL, ARG_TEXT, &options.matrix, 0, 0, "NxK", "outputs and inputs of weights (default 2048x2048; 4096x4096 on a GPU)"},
    {"--full", NULL, ARG_FLAG, &options.full, 0, 0, NULL, "every type and every variant"},
    {"--context", NULL, ARG_TEXT, &options.contexts, 0, 0, "LIST", "prompt lengths, and what stands before the tokens generated (default 128,512,2048 where they fit)"},
    {"--batch", NULL, ARG_TEXT, &options.batches, 0, 0, "LIST", "sequences that generate at once (default 1,4,16,64)"},
    {"--depth", NULL, ARG_UINT, &options.depth, 1, 1 << 20, "N", "prompt of each of those (default 1)"},
    {"--tg", NULL, ARG_UINT, &options.tg, 2, 1 << 20, "N", "tokens that each generates (default 64)"},
    {"--trace", NULL, ARG_TEXT, &options.trace_path, 0, 0, "FILE", "requests as a CSV file of arrivals and lengths has them"},
    {"--requests", NULL, ARG_UINT, &options.requests, 1, 1 << 20, "N", "of the trace (default 100)"},
    {"--speed", NULL, ARG_FLOAT, &options.speed, 0.001, 1e6, "X", "the trace X times as fast (default 1)"},
    {"--seqs", NULL, ARG_UINT, &options.seqs, 1, 256, "N", "sequences of the trace at once (default 16)"},
    {"--starts", NULL, ARG_UINT, &options.starts, 1, 100, "N", "cold starts, each with a warm one (default 3)"},
    {"--reps", NULL, ARG_UINT, &options.reps, 1, 64, "R", "measured runs of each (default 3)"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "a JSON object on stdout"},
    {"--csv", NULL, ARG_FLAG, &as_csv, 0, 0, NULL, "CSV on stdout, a line a number"},
    {"--html", NULL, ARG_TEXT, &html_path, 0, 0, "FILE", "one page with plots, too"},
    {"--results", NULL, ARG_TEXT, &results_folder, 0, 0, "DIR", "adds the numbers to DIR/<device>-<driver>.csv, too"},
    {"--label", NULL, ARG_TEXT, &label, 0, 0, "TEXT", "of the code that was measured: a commit (default: the version)"},
    {0},
};

bool bench_list_read(const char *option, const char *list, uint32_t most, uint32_t *out, uint32_t capacity,
                     uint32_t *count)
{
    *count = 0;
    for (const char *p = list; *p != '\0' || p == list;) {
        char *end;
        const unsigned long value = strtoul(p, &end, 10);
        if (end == p || *p == '-' || value < 1 || value > most || (*end != ',' && *end != '\0') || *count == capacity) {
            fprintf(stderr, "pumice bench: %s is '%s', expected up to %u numbers from 1 to %u\n", option, list,
                    capacity, most);
            return false;
        }
        out[(*count)++] = (uint32_t)value;
        p = end + (*end == ',');
    }
    return true;
}

void bench_subject(const char *path, char *out, size_t capacity)
{
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    const char *end = strstr(name, ".gguf");
    snprintf(out, capacity, "%.*s", (int)(end != NULL ? end - name : (ptrdiff_t)strlen(name)), name);
}

enum { OPS = 1, MODEL = 2, TRACE = 4, STARTUP = 8 };

static const struct {
    const char *name, *summary;
    unsigned parts;
} modes[] = {
    {"ops", "measure the device, and each op against it", OPS},
    {"model", "measure prompts and generation by context and by sequences at once", MODEL},
    {"trace", "measure requests that come as a trace has them", TRACE},
    {"startup", "measure from the start of a process to its first token, cold and warm", STARTUP},
    {"all", "measure ops, model, startup, and with --trace a trace", OPS | MODEL | TRACE | STARTUP},
};

/* What the options ask for, before anything runs. Returns -1, or EXIT_USAGE after a message. */
static int check_options(unsigned parts)
{
    if ((parts & (MODEL | TRACE | STARTUP)) != 0 && engine_opts.model == NULL)
        return usage("bench", "-m FILE is missing");
    if (parts == TRACE && options.trace_path == NULL)
        return usage("bench", "--trace FILE is missing");
    if (as_json && as_csv)
        return usage("bench", "--json and --csv exclude each other");
    uint32_t numbers[BENCH_LIST_MAX], count, n, k;
    if ((options.rows != NULL && !bench_list_read("--rows", options.rows, 2048, numbers, PM_BENCH_ROWS_MAX, &count)) ||
        !bench_list_read("--context", options.contexts != NULL ? options.contexts : "1", 1u << 24, numbers,
                         BENCH_LIST_MAX, &count) ||
        !bench_list_read("--batch", options.batches, 256, numbers, BENCH_LIST_MAX, &count))
        return EXIT_USAGE;
    if (options.matrix != NULL && !bench_matrix_read(options.matrix, &n, &k)) {
        fprintf(stderr, "pumice bench: --matrix is '%s', expected outputs and inputs such as 4096x2048, inputs a multiple of 256\n",
                options.matrix);
        return EXIT_USAGE;
    }
    return -1;
}

static int measure(unsigned parts, bench_rows *rows, pm_bench_peaks *peaks)
{
    int code = bench_device(rows, peaks); /* all are told beside the device's own numbers */
    if (code < 0 && (parts & OPS) != 0)
        code = bench_ops(rows, &options, peaks);
    if (code < 0 && (parts & MODEL) != 0)
        code = bench_model(rows, &options, peaks);
    if (code < 0 && (parts & TRACE) != 0 && options.trace_path != NULL)
        code = bench_trace(rows, &options);
    if (code < 0 && (parts & STARTUP) != 0)
        code = bench_startup(rows, &options);
    return code;
}

static int tell(const bench_rows *rows, const pm_bench_peaks *peaks)
{
    int code = EXIT_OK;
    if (as_json)
        bench_rows_json(rows);
    if (as_csv)
        bench_rows_csv(rows);
    if (html_path != NULL && !bench_html_write(html_path, rows, peaks)) {
        fprintf(stderr, "pumice bench: %s: %s\n", html_path, strerror(errno));
        code = EXIT_FAILED;
    }
    if (results_folder != NULL && !bench_rows_collect(rows, results_folder))
        code = EXIT_FAILED;
    return code;
}

int bench_modes_main(int argc, char **argv)
{
    size_t mode = 0;
    const char *names[sizeof(modes) / sizeof(modes[0])];
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        names[i] = modes[i].name;
    while (mode < sizeof(modes) / sizeof(modes[0]) && strcmp(argv[0], names[mode]) != 0)
        mode++;
    if (mode == sizeof(modes) / sizeof(modes[0])) {
        const char *near = args_nearest(argv[0], names, mode);
        fprintf(stderr, "pumice bench: no benchmark '%s', there are ops, model, trace, startup and all%s%s%s\n",
                argv[0], near != NULL ? "; did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "");
        return EXIT_USAGE;
    }
    char command[32];
    snprintf(command, sizeof(command), "bench %s", modes[mode].name);
    const args_spec spec = {command, modes[mode].summary, {mode_args, engine_args}};
    int code = args_parse(&spec, argc - 1, argv + 1);
    if (code < 0)
        code = check_options(modes[mode].parts);
    if (code >= 0)
        return code;
    bench_rows rows = {.label = label != NULL ? label : pm_version(), .quiet = as_json || as_csv};
    pm_bench_peaks peaks;
    interrupts_catch();
    code = measure(modes[mode].parts, &rows, &peaks);
    if (code < 0)
        code = tell(&rows, &peaks);
    bench_rows_finish(&rows);
    return code;
}
