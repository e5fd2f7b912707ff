/* measure/race.h - which of several ways to run an op is the fastest. Floor 4.
 *
 * All ways run in turns on the same memory, forwards and backwards, so that what slows a machine for a while
 * slows all of them. What is compared is the ratio of a way's time to that of the usual one in the
 * same round; a way beats it only when it does in three rounds of four, by more than PM_RACE_MARGIN, and once
 * more in a final of the two alone. */
#ifndef PM_MEASURE_RACE_H
#define PM_MEASURE_RACE_H

#include "verify/check.h"

#define PM_RACE_WAYS_MAX 96u
#define PM_RACE_MARGIN 0.05        /* of the usual way's time: less is noise */
#define PM_RACE_ROUNDS_MAX 16u

typedef struct pm_race {
    pm_vk_device *device;          /* borrowed; opened to profile, else times are the host's */
    pm_vk_buffer *scrub;           /* see pm_check_measure(); borrowed, may be NULL */
    uint64_t deadline_ns;          /* by pm_clock_ns(): a race that is not over then has no winner */
} pm_race;

typedef struct pm_race_result {
    uint32_t winner;               /* 0 = the usual way stays */
    bool late;                     /* the deadline came first */
    double usual_us, winner_us;    /* medians of the final, or of the heats where there was none */
} pm_race_result;

/* checks: [count] ways; the first is the usual one; see pm_check_timer_create(). Errors: those of the device and of
 * memory. */
PM_MUST_USE pm_result pm_race_run(const pm_race *race, const pm_check *checks, uint32_t count, pm_race_result *out);

/* Pure: by the ratios of `count` rounds, is the way faster by more than noise? Sorts them. */
bool pm_race_wins(double *ratios, uint32_t count);

/* Of at most PM_RACE_ROUNDS_MAX; 0 of none. */
double pm_race_median(const double *values, uint32_t count);

#endif /* PM_MEASURE_RACE_H */
