/* bench_model.c - pumice bench model and trace: prompts and generation by context, by sequences at once, and
 * by a trace of arrivals. */
#include "bench_modes.h"
#include "engine.h"
#include "generate.h"
#include "load.h"
#include "terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REPS_MAX = 100 };

static void drop_event(void *context, const pm_event *event)
{
    (void)context;
    (void)event;
}

static int stopped(void)
{
    return interrupted() ? EXIT_INTERRUPTED : fail("bench");
}

/* What would be no measurement. */
static int not_computed(uint64_t cached)
{
    fprintf(stderr, "pumice bench: %llu prompt tokens came from the prefix cache, expected none\n",
            (unsigned long long)cached);
    return EXIT_FAILED;
}

/* What a token must do at least, and what the device does in a second at most; 0 = not told. */
typedef struct cost {
    double bytes, bandwidth;
    double flops, flops_per_s;
} cost;

static double percent_of(double work, double rate, double peak)
{
    return peak > 0.0 ? 100.0 * work * rate / peak : 0.0;
}

/* One row of a rate and of its inverse. */
static void add_rate(bench_rows *rows, const char *subject, const char *name, double x, double *rates, double *ms,
                     uint32_t reps, const cost *c)
{
    bench_row *row = bench_rows_add(rows, "model", subject, x, reps);
    snprintf(row->name, sizeof(row->name), "%s", name);
    bench_row_metric(row, "tokens_per_s", "tok/s", rates, reps);
    bench_row_metric(row, "ms_per_token", "ms/tok", ms, reps);
    const double median = row->metrics[0].median;
    double percent = percent_of(c->bytes, median, c->bandwidth), of_flops = percent_of(c->flops, median, c->flops_per_s);
    if (percent > 0.0)
        bench_row_metric(row, "percent_of_bandwidth", "% of GB/s", &percent, 1);
    if (of_flops > 0.0)
        bench_row_metric(row, "percent_of_flops", "% of GFLOP/s", &of_flops, 1);
    bench_rows_done(rows);
}

/* A prompt of `context` tokens, all of them computed, then o->tg tokens behind it. */
static int measure_context(pm_engine *engine, bench_rows *rows, const bench_options *o, const char *subject,
                           uint32_t context, const cost *peaks)
{
    double pp[REPS_MAX], pp_ms[REPS_MAX], tg[REPS_MAX], tg_ms[REPS_MAX];
    char name[48];
    pm_engine_info info;
    pm_engine_describe(engine, &info);
    int32_t *tokens = must(malloc(context * sizeof(*tokens)));
    for (uint32_t i = 0; i < context; i++)
        tokens[i] = (int32_t)load_token(1, i, info.vocab);
    pm_result result = PM_OK;
    uint64_t cached = 0;
    for (uint32_t rep = 0; rep <= o->reps && result == PM_OK; rep++) { /* the first warms up */
        const pm_request_params params = {.tokens = tokens, .token_count = context, .max_tokens = o->tg,
                                          .ignore_end = true, .no_prefix_cache = true};
        generation g;
        const uint32_t at = rep > 0 ? rep - 1 : 0;
        terminal_progress("contexts", (double)rep / (o->reps + 1));
        result = generate(engine, &params, drop_event, NULL, &g);
        cached += g.cached_tokens;
        pp[at] = context / g.first_token_s;
        pp_ms[at] = 1e3 / pp[at];
        tg[at] = generation_rate(&g);
        tg_ms[at] = tg[at] > 0.0 ? 1e3 / tg[at] : 0.0;
    }
    terminal_progress("contexts", 1.0);
    free(tokens);
    if (result != PM_OK || interrupted())
        return stopped();
    if (cached > 0)
        return not_computed(cached);
    snprintf(name, sizeof(name), "pp%u", context);
    const cost prompt = {.flops = peaks->flops, .flops_per_s = peaks->flops_per_s};
    add_rate(rows, subject, name, context, pp, pp_ms, o->reps, &prompt);
    snprintf(name, sizeof(name), "tg%u@%u", o->tg, context);
    const double before = context + o->tg / 2.0; /* tokens, on average */
    const cost step = {.bytes = (double)info.weight_step_bytes + (double)info.page_bytes / info.page_tokens * before,
                       .bandwidth = peaks->bandwidth};
    if (o->tg > 1)
        add_rate(rows, subject, name, before, tg, tg_ms, o->reps, &step);
    return -1;
}

/* `count` sequences that generate at once, each behind a prompt of its own: tokens a second of all. */
static pm_result run_batch(pm_engine *engine, const bench_options *o, uint32_t count, double *rate, uint64_t *cached)
{
    load_result run;
    load_request *requests = must(malloc(count * sizeof(*requests)));
    for (uint32_t i = 0; i < count; i++)
        requests[i] = (load_request){.prompt_tokens = o->depth, .generate_tokens = o->tg, .fresh = true};
    const pm_result result = load_run(engine, requests, count, &run);
    *rate = run.steady_rate;
    *cached += run.after.cached_tokens - run.before.cached_tokens;
    load_result_finish(&run);
    free(requests);
    return result;
}

/* All of them in turn, again and again, so that a machine that slows down does so for each. What came before, or the
 * load's own steps, have warmed up. */
static int measure_batches(pm_engine *engine, bench_rows *rows, const bench_options *o, const char *subject,
                           const uint32_t *batches, uint32_t count)
{
    double rates[BENCH_LIST_MAX][REPS_MAX], step_ms[REPS_MAX];
    uint64_t cached = 0;
    pm_result result = PM_OK;
    for (uint32_t i = 0; i < o->reps * count && result == PM_OK && !interrupted(); i++) {
        terminal_progress("batches", (double)i / (o->reps * count));
        result = run_batch(engine, o, batches[i % count], &rates[i % count][i / count], &cached);
    }
    terminal_progress("batches", 1.0);
    if (result != PM_OK || interrupted())
        return stopped();
    if (cached > 0)
        return not_computed(cached);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t rep = 0; rep < o->reps; rep++)
            step_ms[rep] = rates[i][rep] > 0.0 ? 1e3 * batches[i] / rates[i][rep] : 0.0;
        bench_row *row = bench_rows_add(rows, "model", subject, batches[i], o->reps);
        snprintf(row->name, sizeof(row->name), "batch%u tg%u@%u", batches[i], o->tg, o->depth);
        bench_row_metric(row, "tokens_per_s", "tok/s", rates[i], o->reps);
        bench_row_metric(row, "step_ms", "ms", step_ms, o->reps);
        bench_rows_done(rows);
    }
    return -1;
}

static int open_engine(bench_rows *rows, uint32_t seqs, char subject[64], pm_engine **engine)
{
    pm_engine_info info;
    engine_opts.seqs = seqs;
    const int code = engine_open("bench", engine);
    if (code >= 0)
        return code;
    pm_engine_describe(*engine, &info);
    if (rows->device[0] == '\0')
        snprintf(rows->device, sizeof(rows->device), "%s", info.device);
    bench_subject(engine_opts.model, subject, 64);
    return -1;
}

/* Contexts that the model has not are left out, unless they were asked for by name. */
static int measure_contexts(pm_engine *engine, bench_rows *rows, const bench_options *o, const char *subject,
                            const cost *peaks)
{
    uint32_t contexts[BENCH_LIST_MAX], count = 0;
    pm_engine_info info;
    pm_engine_describe(engine, &info);
    const char *list = o->contexts != NULL ? o->contexts : "128,512,2048";
    if (!bench_list_read("--context", list, 1u << 24, contexts, BENCH_LIST_MAX, &count))
        return EXIT_USAGE;
    int code = -1;
    for (uint32_t i = 0; i < count && code < 0; i++) {
        if (contexts[i] + o->tg <= info.context_tokens) {
            code = measure_context(engine, rows, o, subject, contexts[i], peaks);
        } else if (o->contexts != NULL) {
            fprintf(stderr, "pumice bench: --context %u and %u generated tokens, expected at most %u in all (see --ctx)\n",
                    contexts[i], o->tg, info.context_tokens);
            code = EXIT_USAGE;
        }
    }
    return code;
}

/* Of a token of a prompt: a multiply-add for each weight of the layers' matrices. Attention, and the vocabulary that
 * the last token alone asks for, are left out. 0: the file cannot be read again. */
static double prompt_flops(void)
{
    pm_model_file *file = NULL;
    double weights = 0.0;
    if (pm_model_file_open(engine_opts.model, &file) != PM_OK)
        return 0.0;
    pm_model_summary summary;
    pm_model_file_summary(file, &summary);
    for (size_t i = 0; i < summary.tensor_count; i++) {
        pm_model_tensor t;
        pm_model_file_tensor(file, i, &t);
        if (t.dims == 2 && strncmp(t.name, "blk.", 4) == 0)
            weights += (double)t.shape[0] * (double)t.shape[1];
    }
    pm_model_file_close(file);
    return 2.0 * weights;
}

int bench_model(bench_rows *rows, const bench_options *o, const pm_bench_peaks *p)
{
    const cost peaks = {.bandwidth = fmax(p->read_bytes_per_s, p->copy_bytes_per_s), .flops = prompt_flops(),
                        .flops_per_s = fmax(p->matrix_per_s, fmax(p->f16_per_s, p->f32_per_s))};
    uint32_t batches[BENCH_LIST_MAX], count = 0, most = 1;
    char subject[64];
    pm_engine *engine = NULL;
    if (!bench_list_read("--batch", o->batches, 256, batches, BENCH_LIST_MAX, &count))
        return EXIT_USAGE;
    for (uint32_t i = 0; i < count; i++)
        most = batches[i] > most ? batches[i] : most;
    int code = open_engine(rows, most, subject, &engine);
    if (code < 0)
        code = measure_contexts(engine, rows, o, subject, &peaks);
    if (code < 0)
        code = measure_batches(engine, rows, o, subject, batches, count);
    engine_close(engine);
    return code;
}

/* ------------------------------------------------------------------ trace */

static void add_quantiles(bench_row *row, const char *const names[2], load_times *times)
{
    double p50 = load_quantile(times, 0.5), p99 = load_quantile(times, 0.99);
    bench_row_metric(row, names[0], "ms", &p50, 1);
    bench_row_metric(row, names[1], "ms", &p99, 1);
}

int bench_trace(bench_rows *rows, const bench_options *o)
{
    static const char *const first[] = {"first_token_ms_p50", "first_token_ms_p99"};
    static const char *const gap[] = {"between_ms_p50", "between_ms_p99"};
    char subject[64];
    pm_engine *engine = NULL;
    pm_engine_info info;
    load_request *requests = NULL;
    size_t count = 0;
    load_result result;
    int code = open_engine(rows, o->seqs, subject, &engine);
    if (code < 0) {
        pm_engine_describe(engine, &info);
        code = load_read_trace(o->trace_path, o->requests, info.context_tokens, (double)o->speed, &requests, &count);
    }
    if (code < 0 && load_run(engine, requests, count, &result) != PM_OK) {
        load_result_finish(&result);
        code = stopped();
    }
    if (code < 0) {
        double rate = (double)result.generated_tokens / result.total_s;
        double prompt = (double)result.prompt_tokens / result.total_s;
        bench_row *row = bench_rows_add(rows, "trace", subject, o->seqs, 1);
        snprintf(row->name, sizeof(row->name), "trace of %zu requests, %u at once", count, o->seqs);
        bench_row_metric(row, "tokens_per_s", "tok/s", &rate, 1);
        bench_row_metric(row, "prompt_tokens_per_s", "tok/s in", &prompt, 1);
        add_quantiles(row, first, &result.first_ms);
        add_quantiles(row, gap, &result.gap_ms);
        bench_rows_done(rows);
        load_result_finish(&result);
    }
    free(requests);
    engine_close(engine);
    return code;
}
