/* sched.c - what the scheduler costs the host: microseconds a step for pick, and for commit with
 * the appended tokens, as CSV. No device. One batch is in flight, as in the engine.
 *
 *   decode    all sequences decode behind 1,024 tokens
 *   prompt    all but one decode; the last is a prompt of 4,096, in chunks of 512, and then the next
 *   found     the same, but all but the last of its tokens are in the prefix cache
 *   churn     answers of 16 tokens to prompts of 64: each step some end and some are admitted
 *   full      decode in a pool that holds 40 % of what they come to: from then on some give way
 */
#include "base/clock.h"
#include "sched/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 2000, WARM = 300, PAGE_TOKENS = 16, BATCH_TOKENS = 2048, CHUNK = 512, SEQS_MAX = 256 };

typedef struct scene {
    const char *name;
    uint32_t prompt, answer;       /* tokens of each */
    uint32_t long_prompt;          /* of one that comes again and again; 0 = none */
    bool found;                    /* its tokens are the same each time */
    uint32_t pool_percent;         /* of what all want */
} scene;

static const scene scenes[] = {
    {"decode", 1024, 2 * STEPS, 0, false, 110},
    {"prompt", 1024, 2 * STEPS, 4096, false, 110},
    {"found", 1024, 2 * STEPS, 4096, true, 110},
    {"churn", 64, 16, 0, false, 110},
    {"full", 1024, 2 * STEPS, 0, false, 40},
};

typedef struct line {
    pm_sequence sequence;          /* first */
    uint32_t prompt, end;
} line;

static pm_sched *sched;
static line lines[SEQS_MAX];
static uint32_t serial;

static void must(bool done)
{
    if (!done) {
        fprintf(stderr, "pumice-bench-sched: out of memory\n");
        exit(1);
    }
}

static void submit(line *l, const scene *s, bool is_long)
{
    l->prompt = is_long ? s->long_prompt : s->prompt;
    l->end = l->prompt + (is_long ? 1 : s->answer);
    must(pm_sequence_init(&l->sequence, l->end, PAGE_TOKENS) == PM_OK);
    const uint32_t text = is_long && s->found ? 1u << 30 : serial++;
    for (uint32_t t = 0; t < l->prompt; t++)
        l->sequence.tokens[t] = (int32_t)((text * 7919u + t * 31u) % 32000u);
    l->sequence.token_count = l->prompt;
    pm_sched_add(sched, &l->sequence);
}

/* What the engine does between commit and pick. Returns the time of making new requests, which is
 * not the scheduler's. */
static uint64_t take(const pm_batch *batch, const scene *s, uint32_t seqs)
{
    uint64_t others_ns = 0;
    for (uint32_t q = 0; q < batch->seqs; q++) {
        line *l = (line *)batch->sequences[q];
        if (l == NULL || !batch->picks[q])
            continue;
        pm_sequence_append(&l->sequence, 1);
        if (l->sequence.token_count < l->end)
            continue;
        pm_sched_remove(sched, &l->sequence);
        const uint64_t start = pm_clock_ns();
        pm_sequence_finish(&l->sequence);
        submit(l, s, s->long_prompt > 0 && l == &lines[seqs - 1]);
        others_ns += pm_clock_ns() - start;
    }
    return others_ns;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *us, double q)
{
    qsort(us, STEPS, sizeof(*us), by_value);
    return us[(uint32_t)(q * STEPS)];
}

static void measure(const scene *s, uint32_t seqs)
{
    static double pick_us[STEPS], commit_us[STEPS], both_us[STEPS];
    const uint32_t each = (s->prompt + s->answer + PAGE_TOKENS - 1) / PAGE_TOKENS;
    const uint32_t pages = (each * seqs + s->long_prompt / PAGE_TOKENS) * s->pool_percent / 100 + 2;
    const pm_sched_params params = {.max_seqs = seqs, .max_batch_tokens = BATCH_TOKENS, .max_outs = seqs, .page_count = pages,
                                    .page_tokens = PAGE_TOKENS};
    const pm_batch *before = NULL;
    pm_sched_stats stats;
    uint64_t rows = 0;
    must(pm_sched_create(&params, &sched) == PM_OK);
    memset(lines, 0, sizeof(lines));
    for (uint32_t i = 0; i < seqs; i++)
        submit(&lines[i], s, s->long_prompt > 0 && i == seqs - 1);
    for (uint32_t read = 0; read < 2 * s->prompt * seqs / BATCH_TOKENS; read++) { /* their prompts */
        const pm_batch *batch = pm_sched_pick(sched);
        pm_sched_commit(sched, batch);
        (void)take(batch, s, seqs);
    }
    pm_sched_set_budget(sched, BATCH_TOKENS, CHUNK, UINT32_MAX);
    for (int step = -WARM; step < STEPS; step++) {
        const uint64_t start = pm_clock_ns();
        pm_sched_set_now(sched, start);
        const pm_batch *batch = pm_sched_pick(sched);
        const uint64_t picked = pm_clock_ns();
        uint64_t others = 0;
        if (before != NULL) {
            pm_sched_commit(sched, before);
            others = take(before, s, seqs);
        }
        const uint64_t end = pm_clock_ns();
        before = batch->rows > 0 ? batch : NULL;
        if (step < 0)
            continue;
        rows += batch->rows;
        pick_us[step] = (double)(picked - start) * 1e-3;
        commit_us[step] = (double)(end - picked - others) * 1e-3;
        both_us[step] = pick_us[step] + commit_us[step];
    }
    if (before != NULL)
        pm_sched_commit(sched, before);
    pm_sched_get_stats(sched, &stats);
    printf("%s,%u,%u,%d,%.1f,%.2f,%.2f,%.2f,%.2f,%llu,%llu\n", s->name, seqs, pages, STEPS, (double)rows / STEPS,
           quantile(pick_us, 0.5), quantile(commit_us, 0.5), quantile(both_us, 0.5), quantile(both_us, 0.99),
           (unsigned long long)stats.preemptions, (unsigned long long)stats.cached_tokens);
    fflush(stdout);
    for (uint32_t i = 0; i < seqs; i++) {
        pm_sched_remove(sched, &lines[i].sequence);
        pm_sequence_finish(&lines[i].sequence);
    }
    pm_sched_destroy(sched);
}

int main(void)
{
    static const uint32_t seqs[] = {1, 16, 64, 256};
    printf("scene,sequences,pages,steps,rows_per_step,pick_us,commit_us,both_us,both_us_p99,preemptions,cached_tokens\n");
    for (size_t s = 0; s < sizeof(scenes) / sizeof(scenes[0]); s++)
        for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++)
            if (scenes[s].pool_percent >= 100 || seqs[i] > 1)
                measure(&scenes[s], seqs[i]);
    return 0;
}
