/* push_pack.h - push constants of pack_*.comp. */
#ifndef PM_PUSH_PACK_H
#define PM_PUSH_PACK_H
#include "pm_shared.h"

#define PM_SPEC_PACK_BYTES 8       /* of a block, for the types that one module packs */

PM_PUSH_BEGIN(pm_push_pack)
    PM_ADDRESS raw;                /* [rows, row_bytes] the file's blocks */
    PM_ADDRESS pieces;             /* packed weights, see op/weight.h */
    PM_ADDRESS scales;
    PM_U32 row_base, rows;         /* weight rows row_base .. row_base + rows - 1 */
    PM_U32 row_bytes;              /* of the file */
    PM_U32 k;                      /* elements of a row */
    PM_U32 group_pieces, group_scales; /* bytes of one group of weight rows */
PM_PUSH_END(pm_push_pack)

#endif /* PM_PUSH_PACK_H */
