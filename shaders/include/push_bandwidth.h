/* push_bandwidth.h - push constants of bandwidth.comp. */
#ifndef PM_PUSH_BANDWIDTH_H
#define PM_PUSH_BANDWIDTH_H
#include "pm_shared.h"

PM_PUSH_BEGIN(pm_push_bandwidth)
    PM_ADDRESS x;                  /* [groups, LOCAL_X * per_lane] uvec4 */
    PM_ADDRESS y;                  /* [groups] u32 */
    PM_U32 per_lane;               /* uvec4 loads of one lane */
PM_PUSH_END(pm_push_bandwidth)

#endif /* PM_PUSH_BANDWIDTH_H */
