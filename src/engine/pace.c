/* engine/pace.c - how many rows a step may have, by how long steps took. */
#include "engine/pace.h"

#define FIRST_ROWS 64u
#define TRY_ROWS 8u                /* are tried when those of one that decodes say that they fit */
#define OUTLIER 1.5                /* a mean so many times a new measurement was of something that happens once */

_Static_assert(PM_BUCKETS_MAX <= 64, "a bit for each");

void pm_pace_init(pm_pace *pace, uint32_t rows_max, double step_us, bool compiles_late)
{
    *pace = (pm_pace){.rows_max = rows_max, .step_us = step_us, .times = PM_PACE_DECODE,
                      .compiles_late = compiles_late};
}

void pm_pace_reopen(pm_pace *pace)
{
    pace->ran_alone = pace->ran_mixed = 0;
}

static uint32_t index_for(const pm_pace *pace, uint32_t rows)
{
    uint32_t index = 0;
    for (uint32_t bucket = 1; bucket < rows && bucket < pace->rows_max; bucket = pm_bucket_next(bucket, pace->rows_max))
        index++;
    return index;
}

/* The largest bucket of at most so many rows, at least 1. */
static uint32_t bucket_within(const pm_pace *pace, double rows)
{
    uint32_t most = 1;
    for (uint32_t bucket = 1; bucket != 0 && (double)bucket <= rows; bucket = pm_bucket_next(bucket, pace->rows_max))
        most = bucket;
    return most;
}

/* ------------------------------------------------------------------ note */

/* Down faster than up: what a step is compared with is rather too little. */
static void note_alone(pm_pace *pace, uint32_t rows, double us)
{
    double *mean = &pace->alone_us[index_for(pace, rows)];
    if (*mean == 0.0 || *mean > OUTLIER * us)
        *mean = us;
    else
        *mean += (us < *mean ? 0.25 : 0.125) * (us - *mean);
}

static void note_mixed(pm_pace *pace, pm_pace_step step, double us)
{
    const bool same = pace->mixed_rows == step.rows && pace->mixed_prompts == step.prompt_rows &&
                      step.depth <= pm_pace_depth(pace);
    pace->mixed_us = same && pace->mixed_us <= OUTLIER * us ? pace->mixed_us + 0.5 * (us - pace->mixed_us) : us;
    pace->mixed_rows = step.rows;
    pace->mixed_prompts = step.prompt_rows;
    pace->mixed_depth = step.depth;
}

void pm_pace_note(pm_pace *pace, pm_pace_step step, double us)
{
    const bool alone = step.prompt_rows == 0;
    uint64_t *ran = alone ? &pace->ran_alone : &pace->ran_mixed;
    const uint64_t bit = UINT64_C(1) << index_for(pace, step.rows);
    const bool first = (*ran & bit) == 0;
    *ran |= bit;
    pace->mixed_steps += !alone;
    if (first && pace->compiles_late)
        return;
    if (alone) {
        pace->mixed_steps = 0;
        pace->alone_depth = step.depth;
        note_alone(pace, step.rows, us);
    } else if (!step.end || step.rows >= pace->mixed_rows) { /* fewer rows at the end say nothing of more */
        note_mixed(pace, step, us);
    }
}

/* ------------------------------------------------------------------ rows */

/* What a step of so many rows takes at least, without prompts; 0 = nothing is known. */
static double alone_at_least(const pm_pace *pace, uint32_t rows)
{
    const uint32_t index = index_for(pace, rows);
    double least = pace->alone_us[index];
    uint32_t i = 0;
    if (least > 0.0)
        return least;
    for (uint32_t bucket = 1; bucket != 0; bucket = pm_bucket_next(bucket, pace->rows_max), i++) {
        const double us = i < index ? pace->alone_us[i] : pace->alone_us[i] * rows / bucket;
        least = us > least ? us : least;
    }
    return least;
}

uint32_t pm_pace_rows(const pm_pace *pace)
{
    if (pace->mixed_rows == 0)
        return FIRST_ROWS < pace->rows_max ? FIRST_ROWS : pace->rows_max;
    const uint32_t most = bucket_within(pace, pace->mixed_rows * pace->step_us / pace->mixed_us);
    if (most >= TRY_ROWS || TRY_ROWS > pace->rows_max || pace->alone_us[0] == 0.0 ||
        pace->alone_us[0] * TRY_ROWS > pace->step_us)
        return most;
    return TRY_ROWS; /* cannot take as long as they did once: a sequence alone would guess no more */
}

static uint32_t at_least_shallow(uint32_t depth)
{
    return depth > PM_PACE_SHALLOW ? depth : PM_PACE_SHALLOW;
}

/* Twice as deep is at most twice what P took more, which the goal has room for; so one that goes on keeps its rows. */
uint32_t pm_pace_depth(const pm_pace *pace)
{
    return at_least_shallow(pace->mixed_rows > 0 ? 2 * pace->mixed_depth : pace->alone_depth);
}

/* A row like those of P may cost more than one of those that decode. */
static bool is_deep(const pm_pace *pace)
{
    return pace->mixed_rows > 0 && at_least_shallow(pace->mixed_depth) > at_least_shallow(pace->alone_depth);
}

/* The most rows of a step beside `decoding` that take alone_us without prompts. */
static double rows_beside(const pm_pace *pace, uint32_t decoding, double alone_us)
{
    const double limit_us = pace->times * alone_us, first = (is_deep(pace) ? 1.0 : pace->times) * decoding;
    double further = pace->mixed_rows > 0 ? pace->mixed_rows * limit_us / pace->mixed_us : 0.0;
    if (is_deep(pace) && further > decoding + 2.0 * pace->mixed_prompts)
        further = decoding + 2.0 * pace->mixed_prompts;
    if (pace->mixed_rows == 0 || pace->mixed_us <= limit_us)
        return further > first ? further : first;
    if (pace->mixed_rows <= decoding)
        return decoding;
    const double line =
        decoding + (limit_us - alone_us) * (pace->mixed_rows - decoding) / (pace->mixed_us - alone_us);
    return line < first && pace->mixed_rows > first ? first : line;
}

/* The bucket for so many rows beside `decoding`, or one that is nearly as good and has run; where the next above
 * `decoding` is more than they are, just them. */
static uint32_t bucket_beside(const pm_pace *pace, uint32_t decoding, double rows)
{
    uint32_t best = bucket_within(pace, rows), ran = 0, index = 0;
    if (best <= decoding)
        best = rows < pace->rows_max ? (uint32_t)rows : pace->rows_max;
    for (uint32_t bucket = 1; bucket != 0 && bucket <= best; bucket = pm_bucket_next(bucket, pace->rows_max), index++)
        if ((pace->ran_mixed >> index & 1) && bucket > decoding)
            ran = bucket;
    return pace->compiles_late && ran * PM_PACE_NEW > best ? ran : best;
}

uint32_t pm_pace_prompt_rows(const pm_pace *pace, uint32_t decoding)
{
    if (decoding == 0)
        return pace->rows_max;
    const double alone_us = alone_at_least(pace, decoding);
    if (alone_us == 0.0 || pace->mixed_steps >= PM_PACE_FRESH)
        return 0;
    const uint32_t rows = bucket_beside(pace, decoding, rows_beside(pace, decoding, alone_us));
    return rows > decoding ? rows - decoding : 1;
}

/* ----------------------------------------------------------------- draft */

/* The most rows of a draft model's pass that ends within so long; those of nothing measured: `otherwise`. */
static double rows_within(const pm_pace *pace, double us, double otherwise)
{
    double rows = 0.0;
    uint32_t i = 0;
    if (pace->mixed_rows > 0)
        return pace->mixed_rows * us / pace->mixed_us;
    for (uint32_t bucket = 1; bucket != 0; bucket = pm_bucket_next(bucket, pace->rows_max), i++)
        if (pace->alone_us[i] > 0.0 && bucket * us / pace->alone_us[i] > rows)
            rows = bucket * us / pace->alone_us[i];
    return rows > 0.0 ? rows : otherwise;
}

uint32_t pm_pace_draft_rows(const pm_pace *draft, uint32_t guesses, const pm_pace *pace, uint32_t decoding)
{
    const double spare = pace->times - 1.0, us = spare * alone_at_least(pace, decoding);
    if (us == 0.0)
        return 0;
    const double guesses_us = guesses > 0 ? alone_at_least(draft, guesses) : 0.0;
    double rows = rows_within(draft, us + guesses_us, spare * decoding); /* a row takes no longer than the model's */
    if (draft->mixed_rows > 0 && rows > guesses + 2.0 * draft->mixed_prompts)
        rows = guesses + 2.0 * draft->mixed_prompts;
    const uint32_t most = bucket_beside(draft, guesses, rows);
    return most > guesses + PM_PACE_DRAFT_LEAST ? most - guesses : PM_PACE_DRAFT_LEAST;
}
