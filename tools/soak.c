/* soak.c - a trace for hours: no request is lost, memory stays where it was. */
#include "soak.h"
#include "generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ANSWERS_MAX = 3, FAULTS_SHOWN = 20, PREFIXES = 4, QUIET_S = 60, JUDGED_S = 300 };

/* -------------------------------------------------------------- latencies */

/* Bin b holds up to BIN_FIRST_MS * 1.02^b: a microsecond to ten minutes, in constant memory. */
enum { BINS = 1024 };
#define BIN_FIRST_MS 1e-3
#define BIN_STEP 1.02

typedef struct bins {
    uint64_t count, of[BINS];
} bins;

static void bins_add(bins *b, double ms)
{
    const double at = ms > BIN_FIRST_MS ? ceil(log(ms / BIN_FIRST_MS) / log(BIN_STEP)) : 0.0;
    b->of[at < BINS ? (int)at : BINS - 1]++;
    b->count++;
}

static double bins_quantile(const bins *b, double q)
{
    uint64_t below = 0;
    const uint64_t wanted = (uint64_t)(q * (double)b->count);
    for (int i = 0; i < BINS && b->count > 0; i++)
        if ((below += b->of[i]) > wanted)
            return BIN_FIRST_MS * pow(BIN_STEP, i);
    return 0.0;
}

/* ------------------------------------------------------------------ state */

typedef struct soak_answer {
    uint32_t tokens;
    uint64_t hash;                 /* of them */
    double last_s;                 /* of the last */
    bool ended;
} soak_answer;

/* A request that the engine has. */
typedef struct live {
    uint64_t id;                   /* 0 = none */
    size_t item;                   /* of the trace */
    uint32_t n, open;              /* answers; those that have not ended */
    uint64_t cancel_step;          /* before this step; 0 = never */
    bool cancelled, hurried;       /* it may end so */
    double submitted_s;
    soak_answer answers[ANSWERS_MAX];
} live;

typedef struct soak {
    pm_engine *engine;
    pm_engine_info info;
    const load_request *items;     /* [item_count] the trace */
    size_t item_count;
    double span_s;                 /* of the trace, to where it begins again */
    bool same_answers;
    uint64_t *known;               /* [item_count * ANSWERS_MAX] hashes of whole answers; 0 = none yet */
    live *lives;                   /* [max_queue] */
    uint32_t live_count;           /* in use */
    int32_t *prompt;               /* [context_tokens] scratch */
    uint32_t *mask;                /* [vocab / 32, up] every other token */
    uint64_t steps, submitted, faults, repeated;
    uint64_t ends[PM_FINISH_DEADLINE + 1], tokens;
    bins first_ms, gap_ms;         /* since the last row */
} soak;

static void fault(soak *s, const live *l, uint32_t index, const char *what)
{
    if (s->faults++ < FAULTS_SHOWN)
        fprintf(stderr, "pumice bench: line %zu of the trace, answer %u: %s\n", l->item + 2, index, what);
}

/* --------------------------------------------------------------- requests */

static const pm_sample_params samples[8] = {
    {0},
    {.temperature = 0.9f},
    {.temperature = 1.2f, .top_k = 20},
    {.temperature = 1.0f, .top_p = 0.9f, .repeat_penalty = 1.2f},
    {.repeat_penalty = 1.3f, .logprobs = true, .top_logprobs = 5},
    {.temperature = 0.7f, .min_p = 0.05f, .frequency_penalty = 0.6f},
    {.presence_penalty = 0.8f},
    {.temperature = 1.5f, .logprobs = true},
};

/* What item i of the trace asks for is the same each time it comes. */
static void make_params(soak *s, size_t i, pm_request_params *p)
{
    static const pm_logit_bias biases[] = {{3, 4.0f}, {7, -INFINITY}};
    static const char *const stops[] = {". ", "the end"};
    const load_request *item = &s->items[i];
    const uint32_t shared = i % 4 != 0 ? item->prompt_tokens / 2 : 0;
    for (uint32_t t = 0; t < item->prompt_tokens; t++)
        s->prompt[t] = (int32_t)load_token(t < shared ? (uint32_t)i % PREFIXES : (uint32_t)i + PREFIXES, t, s->info.vocab);
    *p = (pm_request_params){.tokens = s->prompt, .token_count = item->prompt_tokens, .max_tokens = item->generate_tokens,
                             .ignore_end = i % 5 != 0, .sample = samples[i % 8], .priority = i % 7 == 0};
    p->sample.seed = i + 1;
    p->n = i % 16 == 5 && s->info.max_seqs >= ANSWERS_MAX ? ANSWERS_MAX : 1;
    p->speculate = i % 8 == 6 ? PM_SPECULATE_LOOKUP : PM_SPECULATE_NONE;
    p->echo = i % 32 == 4;
    p->no_prefix_cache = i % 32 == 30;
    if (i % 16 == 9) {
        p->sample.logit_bias = biases;
        p->sample.logit_bias_count = 2;
    }
    if (i % 16 == 10)
        p->sample.token_mask = s->mask;
    if (i % 16 == 7) {
        p->stop = stops;
        p->stop_count = 2;
    }
    if (i % 8 == 3) {
        p->cache_salt = "tenant";
        p->cache_salt_len = strlen("tenant");
    }
}

/* When the `serial`-th request of all is cancelled, in steps from now: queued, in its prompt, speaking. */
static void make_end(const soak *s, live *l, pm_request_params *p)
{
    static const uint32_t after[] = {0, 1, 2, 6, 20, 60};
    const uint64_t serial = s->submitted;
    if (serial % 8 == 3)
        l->cancel_step = s->steps + 1 + after[serial / 8 % (sizeof(after) / sizeof(after[0]))];
    if (serial % 16 == 9) {
        l->hurried = true;
        p->deadline_ms = 1 + (uint32_t)(serial * 37 % 1500);
    }
}

/* *taken: false when the queue is full. */
static pm_result submit(soak *s, size_t item, double now, bool *taken)
{
    live *l = s->lives;
    pm_request_params p;
    uint64_t id;
    *taken = false;
    if (s->live_count == s->info.max_queue)
        return PM_OK;
    while (l->id != 0)
        l++;
    make_params(s, item, &p);
    *l = (live){.item = item, .n = p.n, .open = p.n, .submitted_s = now};
    make_end(s, l, &p);
    const pm_result result = pm_request_submit(s->engine, &p, &id);
    if (result != PM_OK)
        return result == PM_ERR_FULL ? PM_OK : result;
    l->id = id;
    for (uint32_t a = 0; a < l->n; a++)
        l->answers[a].hash = UINT64_C(0xcbf29ce484222325);
    s->live_count++;
    s->submitted++;
    *taken = true;
    return PM_OK;
}

static void cancel_due(soak *s)
{
    for (uint32_t i = 0; i < s->info.max_queue; i++)
        if (s->lives[i].id != 0 && s->lives[i].cancel_step == s->steps + 1) {
            s->lives[i].cancelled = true;
            pm_request_cancel(s->engine, s->lives[i].id);
        }
}

/* ----------------------------------------------------------------- events */

/* An answer that was made to its end is the same each time. */
static void compare(soak *s, const live *l, uint32_t index)
{
    uint64_t *known = &s->known[l->item * ANSWERS_MAX + index];
    if (*known != 0) {
        s->repeated++;
        if (s->same_answers && *known != l->answers[index].hash)
            fault(s, l, index, "other tokens than when it came before");
    }
    *known = l->answers[index].hash;
}

static void end(soak *s, live *l, const pm_event *event)
{
    soak_answer *a = &l->answers[event->index];
    const uint32_t most = s->items[l->item].generate_tokens;
    const pm_finish finish = event->finish;
    a->ended = true;
    s->ends[finish]++;
    if (finish == PM_FINISH_STOP || finish == PM_FINISH_LENGTH)
        compare(s, l, event->index);
    else if (!(finish == PM_FINISH_CANCELLED && l->cancelled) && !(finish == PM_FINISH_DEADLINE && l->hurried))
        fault(s, l, event->index, pm_finish_name(finish));
    if (a->tokens != event->generated_tokens || (finish == PM_FINISH_LENGTH ? a->tokens != most : a->tokens > most))
        fault(s, l, event->index, "the number of its tokens is wrong");
    if (--l->open == 0) {
        l->id = 0;
        s->live_count--;
    }
}

static void take(soak *s, const pm_event *event, double now)
{
    live *l = s->lives;
    while (l < s->lives + s->info.max_queue && l->id != event->request_id)
        l++;
    if (l == s->lives + s->info.max_queue || event->index >= l->n || l->answers[event->index].ended) {
        if (s->faults++ < FAULTS_SHOWN)
            fprintf(stderr, "pumice bench: an event of request %llu, answer %u, that has ended\n",
                    (unsigned long long)event->request_id, event->index);
        return;
    }
    soak_answer *a = &l->answers[event->index];
    if (event->token >= 0) {
        bins_add(a->tokens == 0 ? &s->first_ms : &s->gap_ms, (now - (a->tokens == 0 ? l->submitted_s : a->last_s)) * 1e3);
        a->last_s = now;
        a->hash = (a->hash ^ (uint64_t)event->token) * UINT64_C(0x100000001b3);
        a->tokens++;
        s->tokens++;
    }
    if (event->finish != PM_FINISH_NONE)
        end(s, l, event);
}

/* ------------------------------------------------------------------- rows */

typedef struct soak_row {
    double seconds, rss_mib, device_mib;
} soak_row;

enum { ROWS = 4096 };

/* Resident memory of the process; 0 = the system does not say. */
static double resident_mib(void)
{
    unsigned long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &size, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576.0;
}

static void print_header(void)
{
    printf("seconds,requests,answers,cancelled,expired,tokens_per_s,rss_mib,device_mib,free_pages,pages,running,queued,"
           "preemptions,swapped_pages,cached_percent,first_token_ms_p50,p90,p99,between_ms_p50,p90,p99\n");
}

static void print_row(soak *s, soak_row *row, double now)
{
    static uint64_t tokens_before;
    static double before;
    pm_engine_stats e;
    pm_engine_statistics(s->engine, &e);
    *row = (soak_row){now, resident_mib(), (double)e.device_bytes / 1048576.0};
    printf("%.0f,%llu,%llu,%llu,%llu,%.1f,%.2f,%.2f,%u,%u,%u,%u,%u,%llu,%.1f,%.1f,%.1f,%.1f,%.2f,%.2f,%.2f\n", now,
           (unsigned long long)s->submitted, (unsigned long long)(s->ends[PM_FINISH_STOP] + s->ends[PM_FINISH_LENGTH]),
           (unsigned long long)s->ends[PM_FINISH_CANCELLED], (unsigned long long)s->ends[PM_FINISH_DEADLINE],
           (double)(s->tokens - tokens_before) / (now - before), row->rss_mib, row->device_mib,
           s->info.pages - e.pages_used, s->info.pages, e.running, e.queued, e.preemptions,
           (unsigned long long)e.swapped_pages,
           e.prompt_tokens > 0 ? 100.0 * (double)e.cached_tokens / (double)e.prompt_tokens : 0.0,
           bins_quantile(&s->first_ms, 0.5), bins_quantile(&s->first_ms, 0.9), bins_quantile(&s->first_ms, 0.99),
           bins_quantile(&s->gap_ms, 0.5), bins_quantile(&s->gap_ms, 0.9), bins_quantile(&s->gap_ms, 0.99));
    fflush(stdout);
    tokens_before = s->tokens;
    before = now;
    s->first_ms = s->gap_ms = (bins){0};
}

/* -------------------------------------------------------------------- run */

static void sleep_s(double seconds)
{
    const struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

/* One turn: arrivals, cancels, a step. *next counts requests that have come. */
static pm_result turn(soak *s, uint64_t *next, double now, bool open, double start, bool *moved)
{
    pm_event events[256];
    size_t count = 0;
    bool taken = open;
    while (taken) {
        const size_t item = *next % s->item_count;
        const double at = (double)(*next / s->item_count) * s->span_s + s->items[item].at_s;
        if (at > now)
            break;
        const pm_result result = submit(s, item, now, &taken);
        if (result != PM_OK)
            return result;
        *next += taken;
        *moved |= taken;
    }
    if (!pm_engine_busy(s->engine)) {
        if (open)
            sleep_s(2e-3);
        *moved = true;
        return PM_OK;
    }
    cancel_due(s);
    const pm_result result = pm_engine_step(s->engine, events, sizeof(events) / sizeof(events[0]), &count);
    s->steps++;
    *moved |= count > 0;
    for (size_t i = 0; i < count && result == PM_OK; i++)
        take(s, &events[i], now_s() - start);
    return result;
}

/* Until `seconds` have passed and all that came has ended. */
static pm_result run(soak *s, uint32_t seconds, soak_row *rows, uint32_t *row_count, bool *stalled)
{
    const double start = now_s(), every = seconds < 1800 ? seconds / 30.0 : 60.0;
    uint64_t next = 0;
    double now = 0.0, moved_s = 0.0;
    *row_count = 0;
    while ((now < seconds || s->live_count > 0 || pm_engine_busy(s->engine)) && !interrupted()) {
        bool moved = false;
        const pm_result result = turn(s, &next, now, now < seconds, start, &moved);
        if (result != PM_OK)
            return result;
        now = now_s() - start;
        moved_s = moved ? now : moved_s;
        if ((*stalled = now - moved_s > QUIET_S) || (!pm_engine_busy(s->engine) && now >= seconds))
            break;
        if (now >= every * (*row_count + 1) && now < seconds + every && *row_count < ROWS)
            print_row(s, &rows[(*row_count)++], now);
    }
    return PM_OK;
}

/* ---------------------------------------------------------------- verdict */

static bool memory_is_flat(const soak_row *rows, uint32_t count, uint32_t seconds)
{
    soak_row warm = {0}, later = {0};
    for (uint32_t i = 0; i < count; i++) {
        soak_row *side = rows[i].seconds <= seconds / 5.0 + 1.0 ? &warm : &later;
        side->rss_mib = fmax(side->rss_mib, rows[i].rss_mib);
        side->device_mib = fmax(side->device_mib, rows[i].device_mib);
    }
    if (seconds < JUDGED_S || warm.rss_mib == 0.0) {
        fprintf(stderr, "memory: not judged, %s\n", seconds < JUDGED_S ? "too short a run" : "the system does not tell it");
        return true;
    }
    const double most = warm.rss_mib + fmax(1.0, 0.02 * warm.rss_mib);
    const bool flat = later.rss_mib <= most && later.device_mib <= warm.device_mib;
    fprintf(stderr, "memory: resident %.2f MiB at most in the first fifth, %.2f MiB after it (%+.2f %%, limit %.2f MiB); "
            "device %.2f and %.2f MiB: %s\n", warm.rss_mib, later.rss_mib, 100.0 * (later.rss_mib / warm.rss_mib - 1.0), most,
            warm.device_mib, later.device_mib, flat ? "flat" : "IT GROWS");
    return flat;
}

static int judge(soak *s, const soak_row *rows, uint32_t row_count, uint32_t seconds, bool stalled)
{
    pm_engine_stats e;
    pm_engine_statistics(s->engine, &e);
    for (uint32_t i = 0; i < s->info.max_queue; i++)
        for (uint32_t a = 0; s->lives[i].id != 0 && a < s->lives[i].n; a++)
            if (!s->lives[i].answers[a].ended)
                fault(s, &s->lives[i], a, "it never ended");
    fprintf(stderr, "%llu requests: %llu answers to a stop, %llu in full, %llu cancelled, %llu out of time; %llu came again%s; "
            "%llu tokens, %u preemptions, %llu pages swapped; %llu faults\n", (unsigned long long)s->submitted,
            (unsigned long long)s->ends[PM_FINISH_STOP], (unsigned long long)s->ends[PM_FINISH_LENGTH],
            (unsigned long long)s->ends[PM_FINISH_CANCELLED], (unsigned long long)s->ends[PM_FINISH_DEADLINE],
            (unsigned long long)s->repeated, s->same_answers ? " and were held to the answers before" : "",
            (unsigned long long)s->tokens, e.preemptions, (unsigned long long)e.swapped_pages, (unsigned long long)s->faults);
    if (stalled)
        fprintf(stderr, "pumice bench: nothing has happened for %d s\n", QUIET_S);
    if (e.pages_used != 0)
        fprintf(stderr, "pumice bench: %u pages are held at the end\n", e.pages_used);
    const bool flat = memory_is_flat(rows, row_count, seconds);
    return flat && !stalled && s->faults == 0 && e.pages_used == 0 ? EXIT_OK : EXIT_FAILED;
}

int soak_run(pm_engine *engine, const load_request *requests, size_t count, uint32_t seconds, bool same_answers)
{
    soak *s = must(calloc(1, sizeof(*s)));
    soak_row *rows = must(calloc(ROWS, sizeof(*rows)));
    uint32_t row_count = 0;
    bool stalled = false;
    *s = (soak){.engine = engine, .items = requests, .item_count = count, .same_answers = same_answers};
    pm_engine_describe(engine, &s->info);
    s->span_s = requests[count - 1].at_s * (double)(count + 1) / (double)count + 1e-3; /* and a gap */
    s->known = must(calloc(count * ANSWERS_MAX, sizeof(*s->known)));
    s->lives = must(calloc(s->info.max_queue, sizeof(*s->lives)));
    s->prompt = must(calloc(s->info.context_tokens, sizeof(*s->prompt)));
    s->mask = must(malloc((s->info.vocab / 32 + 1) * sizeof(*s->mask)));
    memset(s->mask, 0xaa, (s->info.vocab / 32 + 1) * sizeof(*s->mask));
    print_header();
    const pm_result result = run(s, seconds, rows, &row_count, &stalled);
    int code = result != PM_OK ? fail("bench") : interrupted() ? EXIT_INTERRUPTED : EXIT_OK;
    if (code == EXIT_OK)
        code = judge(s, rows, row_count, seconds, stalled);
    free(s->known);
    free(s->lives);
    free(s->prompt);
    free(s->mask);
    free(rows);
    free(s);
    return code;
}
