/* op/page_copy.h - pages copied within a pool, or to and from host memory. Floor 2. */
#ifndef PM_OP_PAGE_COPY_H
#define PM_OP_PAGE_COPY_H

#include "vk/record.h"

/* to[pairs[c][1]] = from[pairs[c][0]] for c < count; no page is both read and written. */
typedef struct pm_page_copy_op {
    pm_slice from, to;             /* [pages, page_bytes]; may be the same */
    pm_slice pairs;                /* [count_max, 2] u32 page ids */
    pm_slice count;                /* u32 pairs present */
    uint32_t count_max;
    uint32_t page_bytes;           /* a multiple of PM_KV_PIECE, as pm_kv_layout_check() has it */
} pm_page_copy_op;

PM_MUST_USE pm_result pm_page_copy_record(pm_vk_recorder *recorder, const pm_page_copy_op *c);

#endif /* PM_OP_PAGE_COPY_H */
