/* measure/race.c - which of several ways to run an op is the fastest. */
#include "measure/race.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define HEAT_ROUNDS 3u
#define FINAL_ROUNDS 9u
#define HOPELESS 1.25              /* times the usual way's time, in its best round: it runs no more */

/* A way and what it took. */
typedef struct way {
    uint32_t index;                /* of the timer's checks */
    bool out;
    uint32_t rounds;
    double ns[PM_RACE_ROUNDS_MAX], ratio[PM_RACE_ROUNDS_MAX];
} way;

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double pm_race_median(const double *values, uint32_t count)
{
    double sorted[PM_RACE_ROUNDS_MAX];
    if (count == 0)
        return 0.0;
    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_value);
    return sorted[count / 2];
}

bool pm_race_wins(double *ratios, uint32_t count)
{
    if (count == 0)
        return false;
    qsort(ratios, count, sizeof(*ratios), by_value);
    return ratios[count * 3 / 4] < 1.0 - PM_RACE_MARGIN;
}

static bool is_late(const pm_race *race)
{
    return pm_clock_ns() > race->deadline_ns;
}

/* Is there time for the heats of ways that take as long as the usual one has just taken? */
static bool has_time(const pm_race *race, uint64_t usual_ns, uint32_t count)
{
    const uint64_t now_ns = pm_clock_ns();
    return now_ns < race->deadline_ns && usual_ns * count * HEAT_ROUNDS < race->deadline_ns - now_ns;
}

/* All that are left, once; ways[0] is the usual one. *late: some did not run. */
static pm_result run_round(const pm_race *race, pm_check_timer *timer, way *ways, uint32_t count, bool backwards,
                           bool counts, bool *late)
{
    double ns[PM_RACE_WAYS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t w = backwards ? count - 1 - i : i;
        pm_check_time time;
        *late = is_late(race);
        if (*late)
            return PM_OK;
        if (ways[w].out)
            continue;
        PM_TRY(pm_check_timer_run(timer, ways[w].index, &time));
        ns[w] = (double)time.ns;
        *late = !counts && w == 0 && !has_time(race, time.ns, count);
        if (*late)
            return PM_OK;
    }
    for (uint32_t w = 0; counts && w < count; w++) {
        way *y = &ways[w];
        if (y->out)
            continue;
        y->ns[y->rounds] = ns[w];
        y->ratio[y->rounds++] = ns[w] / ns[0];
    }
    return PM_OK;
}

static void drop_hopeless(way *ways, uint32_t count)
{
    for (uint32_t w = 1; w < count; w++) {
        double least = ways[w].rounds > 0 ? ways[w].ratio[0] : HOPELESS;
        for (uint32_t i = 1; i < ways[w].rounds; i++)
            least = ways[w].ratio[i] < least ? ways[w].ratio[i] : least;
        ways[w].out |= least > HOPELESS;
    }
}

/* A round that warms up, then `rounds`. */
static pm_result run_rounds(const pm_race *race, pm_check_timer *timer, way *ways, uint32_t count, uint32_t rounds,
                            bool *late)
{
    PM_TRY(run_round(race, timer, ways, count, false, false, late));
    for (uint32_t i = 0; i < rounds && !*late; i++) {
        PM_TRY(run_round(race, timer, ways, count, i % 2 == 1, true, late));
        drop_hopeless(ways, count);
    }
    return PM_OK;
}

/* The fastest of the heats, where the final is worth it; 0 = none. */
static uint32_t fastest(const way *ways, uint32_t count)
{
    uint32_t best = 0;
    double least = 1.0 - PM_RACE_MARGIN;
    for (uint32_t w = 1; w < count; w++) {
        const double ratio = ways[w].out ? HOPELESS : pm_race_median(ways[w].ratio, ways[w].rounds);
        if (ratio < least) {
            least = ratio;
            best = w;
        }
    }
    return best;
}

static pm_result run_heats(const pm_race *race, pm_check_timer *timer, uint32_t count, pm_race_result *out)
{
    way ways[PM_RACE_WAYS_MAX];
    memset(ways, 0, sizeof(ways));
    for (uint32_t w = 0; w < count; w++)
        ways[w].index = w;
    PM_TRY(run_rounds(race, timer, ways, count, HEAT_ROUNDS, &out->late));
    if (out->late)
        return PM_OK;
    out->usual_us = out->winner_us = pm_race_median(ways[0].ns, ways[0].rounds) * 1e-3;
    const uint32_t best = fastest(ways, count);
    if (best == 0)
        return PM_OK;
    way two[2] = {{.index = 0}, {.index = best}};
    PM_TRY(run_rounds(race, timer, two, 2, FINAL_ROUNDS, &out->late));
    if (out->late)
        return PM_OK;
    out->usual_us = out->winner_us = pm_race_median(two[0].ns, two[0].rounds) * 1e-3;
    if (two[1].out || !pm_race_wins(two[1].ratio, two[1].rounds))
        return PM_OK;
    out->winner = best;
    out->winner_us = pm_race_median(two[1].ns, two[1].rounds) * 1e-3;
    return PM_OK;
}

pm_result pm_race_run(const pm_race *race, const pm_check *checks, uint32_t count, pm_race_result *out)
{
    pm_check_timer *timer = NULL;
    *out = (pm_race_result){0};
    pm_assert(count >= 1 && count <= PM_RACE_WAYS_MAX);
    PM_TRY(pm_check_timer_create(race->device, checks, count, true, race->scrub, &timer));
    const pm_result result = run_heats(race, timer, count, out);
    pm_check_timer_destroy(timer);
    return result;
}
