/* sched/depth.h - what rows of prompts count for, by the tokens that stand before them. Floor 2, pure.
 *
 * A row reads its weights' part, which is the same for all, and the keys and values of all tokens before it.
 * So one behind d tokens costs at most d / D times what one behind D costs, and counts for that where more
 * than D are before it; else for one.
 */
#ifndef PM_SCHED_DEPTH_H
#define PM_SCHED_DEPTH_H

#include <stdint.h>

/* Rows behind `depth` tokens that count for at most `budget`, one that is behind `known`, >= 1, counting for one. */
static inline uint32_t pm_depth_rows(uint32_t budget, uint32_t depth, uint32_t known)
{
    return depth <= known ? budget : (uint32_t)((uint64_t)budget * known / depth);
}

/* What so many rows count for; never less than they are. */
static inline uint32_t pm_depth_count(uint32_t rows, uint32_t depth, uint32_t known)
{
    const uint64_t count = depth <= known ? rows : ((uint64_t)rows * depth + known - 1) / known;
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

#endif /* PM_SCHED_DEPTH_H */
