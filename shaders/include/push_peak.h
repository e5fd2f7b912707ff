/* push_peak.h - push constants of peak.comp and peak_coopmat.comp. */
#ifndef PM_PUSH_PEAK_H
#define PM_PUSH_PEAK_H
#include "pm_shared.h"

#define PM_PEAK_CHAINS 3           /* independent chains of 4 a lane: 12 hide the latency of a multiply-add,
                                    * and fit with their two constants into the 16 registers of an x86 core */
#define PM_PEAK_UNROLL 8           /* multiply-adds of a chain in a turn */
#define PM_PEAK_MATRICES 4         /* independent sums of a subgroup in peak_coopmat.comp */

PM_PUSH_BEGIN(pm_push_peak)
    PM_ADDRESS y;                  /* u32 words, written only with `keep` */
    PM_F32 a, b;                   /* x = x a + b */
    PM_U32 turns;                  /* of the loop; below 65,535 (op/loops.h) */
    PM_U32 keep;                   /* 0; compilers cannot know, so that nothing is left out */
PM_PUSH_END(pm_push_peak)

#endif /* PM_PUSH_PEAK_H */
