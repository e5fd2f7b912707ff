/* engine/pace.h - how many rows a step may have, by how long steps took. Floor 5, pure.
 *
 * Two bounds, in rows of the buckets of plan/bucket.h:
 *   - a step takes at most step_us, so that submissions stay short and the engine answers;
 *   - while sequences decode, the prompts beside them make their step at most PM_PACE_DECODE
 *     times as long as it is without.
 * What is believed of a device: a step of more rows takes no less time, and no more for each row.
 *
 *   us |              . proportional: at most    So R rows take at most R / D times what D took:
 *      |           .                             the first chunk, of which nothing is known, has
 *      |        P       P: the last step with    (PM_PACE_DECODE - 1) D rows, and each measured
 *      |     .             prompts               step says how far the next may go. Where P took
 *      |  D                D: without prompts    too long, the rows that fit lie on the line from
 *      +------------------ rows                  D to P.
 *
 * P stands for the texts and the load of its moment, and the next step moves it; so prompts that
 * get longer get fewer rows, and it is still there when the next prompt comes. D is measured in
 * steps without prompts: where there was none for PM_PACE_FRESH steps a step is left without.
 * With nothing measured a step has 64 rows.
 *
 * A row costs more the more tokens stand before it, in proportion at most. P was behind mixed_depth of
 * them, and its rows hold for prompts up to twice as deep; of one that is deeper, behind pages that were
 * found in the cache, rows count for as many times more (sched/depth.h). Behind more tokens than those that
 * decode have, a row may cost more than theirs, and a chunk has at most twice the rows of the last.
 *
 * A draft model reads prompts in passes of its own before the step, each at most as long as prompts may make
 * the step longer, by a pace of its own; and not before the steps that read prompts.
 *
 * A driver may compile a kernel when it first runs, as Mesa's llvmpipe does in tenths of a second:
 * there the first step of a bucket says nothing, and beside others one that has run is preferred
 * to a new one of less than PM_PACE_NEW times its rows.
 */
#ifndef PM_ENGINE_PACE_H
#define PM_ENGINE_PACE_H

#include "plan/bucket.h"

#include <stdbool.h>

#define PM_PACE_DECODE 2.0         /* the goal is 3, between any two tokens of a sequence: clocks and loads vary */
#define PM_PACE_FRESH 32u          /* steps with prompts that the time without is good for */
#define PM_PACE_NEW 1.5            /* times the rows that have run: fewer are not worth a kernel that has not */

#define PM_PACE_SHALLOW 256u       /* tokens before a row that cost no more than its weights, or not much */
#define PM_PACE_DRAFT_LEAST 2u     /* rows of prompts in a draft model's pass: one is what its sequence grows by meanwhile */

/* A step that has run. */
typedef struct pm_pace_step {
    uint32_t rows;                 /* those that decode, guesses among them, and those of prompts */
    uint32_t prompt_rows;          /* of them of prompts; 0 = those that decode were alone */
    uint32_t depth;                /* tokens that their sequences had then, on average over the rows of prompts, else over
                                    * those that decode */
    bool end;                      /* of the prompts: maybe fewer rows than they might have had */
} pm_pace_step;

typedef struct pm_pace {
    uint32_t rows_max;
    double step_us;
    double times;                  /* PM_PACE_DECODE; without a bound where a test must not depend on speed */
    bool compiles_late;            /* see above */
    uint64_t ran_alone, ran_mixed; /* bit i: a step of bucket i, where it does */
    double alone_us[PM_BUCKETS_MAX]; /* D, by bucket; 0 = not measured */
    uint32_t alone_depth;          /* of the last step without prompts */
    uint32_t mixed_rows;           /* P; 0 = not measured */
    uint32_t mixed_prompts, mixed_depth; /* of them of prompts, and how deep */
    double mixed_us;
    uint32_t mixed_steps;          /* since the last without prompts */
} pm_pace;

void pm_pace_init(pm_pace *pace, uint32_t rows_max, double step_us, bool compiles_late);

/* The device was opened again: no kernel has run there. */
void pm_pace_reopen(pm_pace *pace);

/* The step took this long. */
void pm_pace_note(pm_pace *pace, pm_pace_step step, double us);

/* Rows for the next step, and of them for prompts while sequences decode `decoding` rows: at
 * least one, so that prompts end; or 0, so that the time without prompts is measured. */
uint32_t pm_pace_rows(const pm_pace *pace);
uint32_t pm_pace_prompt_rows(const pm_pace *pace, uint32_t decoding);

/* The tokens that may stand before these rows, and before those of pm_pace_draft_rows(), at the cost that they
 * are for; more are to be counted (sched/depth.h). At least 1. */
uint32_t pm_pace_depth(const pm_pace *pace);

/* Rows of prompts that a draft model may read before a step of `decoding` rows, in its pass that has `guesses`
 * rows without: at least PM_PACE_DRAFT_LEAST; or 0, while not known what the step takes. */
uint32_t pm_pace_draft_rows(const pm_pace *draft, uint32_t guesses, const pm_pace *pace, uint32_t decoding);

#endif /* PM_ENGINE_PACE_H */
