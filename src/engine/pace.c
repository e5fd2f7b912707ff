/* engine/pace.c - how many rows a step may have, by how long steps took. */
#include "engine/pace.h"

#define FIRST_ROWS 64u
#define TRY_ROWS 8u                /* are tried when those of one that decodes say that they fit */
#define WEIGHT 0.5                 /* of a new measurement */

void pm_pace_init(pm_pace *pace, uint32_t rows_max, double step_us)
{
    *pace = (pm_pace){.rows_max = rows_max, .step_us = step_us};
}

static uint32_t index_for(const pm_pace *pace, uint32_t rows)
{
    uint32_t index = 0;
    for (uint32_t bucket = 1; bucket < rows && bucket < pace->rows_max; bucket = pm_bucket_next(bucket, pace->rows_max))
        index++;
    return index;
}

/* Rows of all buckets; returns how many there are. */
static uint32_t list_buckets(const pm_pace *pace, uint32_t rows[PM_BUCKETS_MAX])
{
    uint32_t count = 0;
    for (uint32_t bucket = 1; bucket != 0; bucket = pm_bucket_next(bucket, pace->rows_max))
        rows[count++] = bucket;
    return count;
}

void pm_pace_note(pm_pace *pace, uint32_t rows, bool decode, double us)
{
    uint32_t bucket[PM_BUCKETS_MAX];
    double *means = decode ? pace->decode_us : pace->mixed_us;
    const uint32_t index = index_for(pace, rows), count = list_buckets(pace, bucket);
    if (!decode) /* as a full bucket would take */
        us *= (double)bucket[index] / rows;
    means[index] = means[index] == 0.0 ? us : means[index] + WEIGHT * (us - means[index]);
    for (uint32_t i = 0; i < count; i++) { /* what contradicts it was measured when texts were shorter */
        const double least = i < index ? means[index] * bucket[i] / bucket[index] : means[index];
        means[i] = means[i] > 0.0 && means[i] < least ? least : means[i];
    }
}

/* What a step of the bucket with this index costs; 0 = nothing is known. The least of what
 * it took and what smaller ones would make of it by their rows: one slow step among fast ones
 * is soon forgotten, although it is not taken again. */
static double cost_of(const pm_pace *pace, const double *us, uint32_t index)
{
    uint32_t rows[PM_BUCKETS_MAX];
    const uint32_t count = list_buckets(pace, rows);
    double cost = 0.0;
    for (uint32_t i = 0; i <= index; i++) {
        const double scaled = us[i] * rows[index] / rows[i];
        cost = us[i] > 0.0 && (cost == 0.0 || scaled < cost) ? scaled : cost;
    }
    for (uint32_t i = index + 1; i < count && cost == 0.0; i++)
        cost = us[i];
    return cost;
}

/* The most rows whose mixed step takes at most limit_us. */
static uint32_t most_rows(const pm_pace *pace, double limit_us)
{
    uint32_t most = 1, index = 0;
    for (uint32_t rows = 1; rows != 0; rows = pm_bucket_next(rows, pace->rows_max), index++)
        if (cost_of(pace, pace->mixed_us, index) <= limit_us)
            most = rows;
    return most;
}

uint32_t pm_pace_rows(const pm_pace *pace)
{
    if (cost_of(pace, pace->mixed_us, 0) == 0.0)
        return FIRST_ROWS < pace->rows_max ? FIRST_ROWS : pace->rows_max;
    const uint32_t most = most_rows(pace, pace->step_us);
    if (most >= TRY_ROWS || TRY_ROWS > pace->rows_max || pace->decode_us[0] == 0.0 ||
        pace->decode_us[0] * TRY_ROWS > pace->step_us)
        return most;
    return TRY_ROWS; /* cannot take as long as they did once: a sequence alone would guess no more */
}

uint32_t pm_pace_prompt_rows(const pm_pace *pace, uint32_t decoding)
{
    if (decoding == 0)
        return pace->rows_max;
    const double alone_us = cost_of(pace, pace->decode_us, index_for(pace, decoding));
    const bool known = alone_us > 0.0 && cost_of(pace, pace->mixed_us, 0) > 0.0;
    if (!known)
        return PM_PACE_PROMPT_FEW;
    const uint32_t most = most_rows(pace, PM_PACE_DECODE * alone_us);
    if (most >= decoding + PM_PACE_PROMPT_FEW)
        return most - decoding;
    const double few_us = pace->mixed_us[index_for(pace, decoding + PM_PACE_PROMPT_FEW)];
    return few_us <= PM_PACE_DECODE * alone_us ? PM_PACE_PROMPT_FEW : 1; /* not measured: it is tried */
}
