/* push_embedding.h - push constants of embedding.comp. */
#ifndef PM_PUSH_EMBEDDING_H
#define PM_PUSH_EMBEDDING_H
#include "pm_shared.h"

PM_PUSH_BEGIN(pm_push_embedding)
    PM_ADDRESS pieces;             /* packed weights, see op/weight.h */
    PM_ADDRESS scales;
    PM_ADDRESS tokens;             /* [rows] u32 */
    PM_ADDRESS y;                  /* [rows, y_stride] f32 */
    PM_ADDRESS rows;               /* u32 */
    PM_U32 blocks;                 /* ceil(dim / 32) */
    PM_U32 group_pieces, group_scales; /* bytes of one group of weight rows */
    PM_U32 y_stride;               /* floats */
PM_PUSH_END(pm_push_embedding)

#endif /* PM_PUSH_EMBEDDING_H */
