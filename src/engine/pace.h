/* engine/pace.h - how many rows a step may have, by how long steps took. Floor 5, pure.
 *
 * Two bounds, in rows of the buckets of plan/bucket.h:
 *   - a step takes at most step_us, so that submissions stay short and the engine answers;
 *   - while sequences decode, the prompts beside them make their step at most PM_PACE_DECODE
 *     times as long as it was without.
 * Times are running means by bucket; they grow with the texts, so that a mean which a newer one
 * contradicts gives way. A bucket costs at most as much a row as smaller ones
 * do: too much where it was not measured, since weights are read once for many rows, so that
 * a step is rather too short than too long, and the next shows it. With nothing measured a
 * step has 64 rows.
 */
#ifndef PM_ENGINE_PACE_H
#define PM_ENGINE_PACE_H

#include "plan/bucket.h"

#include <stdbool.h>

#define PM_PACE_DECODE 2.2         /* the goal is 3, between any two tokens of a sequence */

typedef struct pm_pace {
    uint32_t rows_max;
    double step_us;
    double decode_us[PM_BUCKETS_MAX], mixed_us[PM_BUCKETS_MAX]; /* by bucket; 0 = not measured */
} pm_pace;

void pm_pace_init(pm_pace *pace, uint32_t rows_max, double step_us);

/* A step of so many rows took this long. decode: no prompt was read in it. */
void pm_pace_note(pm_pace *pace, uint32_t rows, bool decode, double us);

/* Rows for the next step, and of them for prompts while `decoding` sequences decode: at
 * least PM_PACE_PROMPT_FEW where these keep to the bound, else one, so that prompts end. */
uint32_t pm_pace_rows(const pm_pace *pace);
uint32_t pm_pace_prompt_rows(const pm_pace *pace, uint32_t decoding);

#define PM_PACE_PROMPT_FEW 4u      /* cost a matmul no more than one */

#endif /* PM_ENGINE_PACE_H */
