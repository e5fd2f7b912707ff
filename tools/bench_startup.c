/* bench_startup.c - pumice bench startup: from the start of a process to its first token.
 *
 * Each start is this program itself, as "run -n 1". Cold: its caches and the driver's are an empty folder of its
 * own; warm: the folder that the cold start before it has filled. The model's file is in the system's cache in
 * both. The time ends with the first byte that the process writes. */
#include "bench_modes.h"
#include "engine.h"
#include "generate.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STARTS_MAX = 100, METRICS = 5 };

/* What one start took. */
typedef struct start {
    double first_token_ms, pipelines, cpu_s, read_mb, resident_mb;
} start;

/* Where Pumice and the drivers keep compiled code: Mesa, NVIDIA, AMD. */
static const char *const cache_variables[] = {"XDG_CACHE_HOME", "MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR",
                                              "__GL_SHADER_DISK_CACHE_PATH", "AMD_SHADER_DISK_CACHE_PATH"};

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

/* In the child: never returns. out, err: its stdout and stderr. */
static _Noreturn void be_child(const char *cache, int out, int err)
{
    char context[16], batch_tokens[16];
    snprintf(context, sizeof(context), "%u", engine_opts.context);
    snprintf(batch_tokens, sizeof(batch_tokens), "%u", engine_opts.batch_tokens);
    const struct { const char *name, *value; } more[] = {
        {"--device", engine_opts.device},
        {"--variant", engine_opts.variant},
        {"--ctx", engine_opts.context != 0 ? context : NULL},
        {"--batch-tokens", engine_opts.batch_tokens != 0 ? batch_tokens : NULL}};
    const char *args[24] = {"pumice", "run", "-m", engine_opts.model, "-p", "", "-n", "1", "--temp", "0",
                            "--ignore-eos", "--json"};
    size_t count = 12;
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
        if (more[i].value != NULL) {
            args[count++] = more[i].name;
            args[count++] = more[i].value;
        }
    if (engine_opts.deterministic)
        args[count++] = "--deterministic";
    for (size_t i = 0; i < sizeof(cache_variables) / sizeof(cache_variables[0]); i++)
        setenv(cache_variables[i], cache, 1);
    setenv("PUMICE_LOG", "vk", 1); /* names each pipeline as it is made */
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    char *list[25] = {0};
    for (size_t i = 0; i < count; i++)
        list[i] = strdup(args[i]); /* execv() wants them so */
    execv("/proc/self/exe", list);
    _exit(127);
}

/* Pipelines that the child's log names. */
static double count_pipelines(FILE *log)
{
    char line[512];
    double count = 0.0;
    rewind(log);
    while (fgets(line, sizeof(line), log) != NULL)
        count += strstr(line, "pipeline ") != NULL;
    return count;
}

/* The last line of a failed child's log. */
static void say_failure(FILE *log)
{
    char line[512], last[512] = "";
    rewind(log);
    while (fgets(line, sizeof(line), log) != NULL)
        snprintf(last, sizeof(last), "%s", line);
    fprintf(stderr, "pumice bench: a start failed: %s%s", last, strchr(last, '\n') != NULL ? "" : "\n");
}

static int run_child(const char *cache, FILE *log, start *out)
{
    int pipe_ends[2], status;
    char byte, rest[4096];
    struct rusage usage;
    if (pipe(pipe_ends) != 0) {
        perror("pumice bench: pipe");
        return EXIT_FAILED;
    }
    fcntl(pipe_ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(pipe_ends[1], F_SETFD, FD_CLOEXEC);
    fflush(stdout);
    const double from = now_s();
    const pid_t child = fork();
    if (child == 0)
        be_child(cache, pipe_ends[1], fileno(log));
    close(pipe_ends[1]);
    const bool spoke = child > 0 && read(pipe_ends[0], &byte, 1) == 1;
    const double to = now_s();
    while (child > 0 && read(pipe_ends[0], rest, sizeof(rest)) > 0)
        ;
    close(pipe_ends[0]);
    if (child < 0 || wait4(child, &status, 0, &usage) < 0) {
        perror("pumice bench: child");
        return EXIT_FAILED;
    }
    if (!spoke || status != 0) {
        say_failure(log);
        return EXIT_FAILED;
    }
    *out = (start){.first_token_ms = (to - from) * 1e3,
                   .pipelines = count_pipelines(log),
                   .cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6,
                   .read_mb = (double)usage.ru_inblock * 512e-6,
                   .resident_mb = (double)usage.ru_maxrss * 1024e-6};
    return -1;
}

static int run_start(const char *cache, start *out)
{
    FILE *log = tmpfile();
    if (log == NULL) {
        perror("pumice bench: temporary file");
        return EXIT_FAILED;
    }
    const int code = run_child(cache, log, out);
    fclose(log);
    return code;
}

static void add_row(bench_rows *rows, const char *name, const start *starts, uint32_t count, double file_mb)
{
    static const struct { const char *name, *unit; } metrics[METRICS] = {
        {"first_token_ms", "ms"}, {"pipelines", "built"}, {"cpu_s", "s CPU"}, {"disk_mb", "MB disk"},
        {"resident_mb", "MB"}};
    char subject[64];
    bench_subject(engine_opts.model, subject, sizeof(subject));
    bench_row *row = bench_rows_add(rows, "startup", subject, 0.0, count);
    snprintf(row->name, sizeof(row->name), "%s", name);
    for (int m = 0; m < METRICS; m++) {
        double values[STARTS_MAX];
        for (uint32_t i = 0; i < count; i++) {
            const double of[METRICS] = {starts[i].first_token_ms, starts[i].pipelines, starts[i].cpu_s,
                                        starts[i].read_mb, starts[i].resident_mb};
            values[i] = of[m];
        }
        bench_row_metric(row, metrics[m].name, metrics[m].unit, values, count);
    }
    bench_row_metric(row, "file_mb", "MB file", &file_mb, 1);
    bench_rows_done(rows);
}

int bench_startup(bench_rows *rows, const bench_options *o)
{
    start cold[STARTS_MAX], warm[STARTS_MAX];
    struct stat status;
    int code = -1;
    if (engine_opts.model == NULL)
        return usage("bench", "-m FILE is missing");
    if (stat(engine_opts.model, &status) != 0) {
        fprintf(stderr, "pumice bench: %s: %s\n", engine_opts.model, strerror(errno));
        return EXIT_FAILED;
    }
    for (uint32_t i = 0; i < o->starts && code < 0 && !interrupted(); i++) {
        char cache[PATH_MAX];
        const char *folder = getenv("TMPDIR");
        snprintf(cache, sizeof(cache), "%s/pumice-start-XXXXXX", folder != NULL && folder[0] != '\0' ? folder : "/tmp");
        if (mkdtemp(cache) == NULL) {
            fprintf(stderr, "pumice bench: %s: %s\n", cache, strerror(errno));
            return EXIT_FAILED;
        }
        code = run_start(cache, &cold[i]);
        if (code < 0)
            code = run_start(cache, &warm[i]);
        nftw(cache, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
    if (interrupted())
        return EXIT_INTERRUPTED;
    if (code >= 0)
        return code;
    add_row(rows, "cold", cold, o->starts, (double)status.st_size * 1e-6);
    add_row(rows, "warm", warm, o->starts, (double)status.st_size * 1e-6);
    return -1;
}
