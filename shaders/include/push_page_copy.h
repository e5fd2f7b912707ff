/* push_page_copy.h - push constants of page_copy.comp. */
#ifndef PM_PUSH_PAGE_COPY_H
#define PM_PUSH_PAGE_COPY_H
#include "pm_shared.h"

PM_PUSH_BEGIN(pm_push_page_copy)
    PM_ADDRESS from;               /* [pages, page_bytes] */
    PM_ADDRESS to;
    PM_ADDRESS pairs;              /* [count, 2] u32 */
    PM_ADDRESS count;              /* u32 */
    PM_U32 page_bytes;             /* a multiple of 16 */
PM_PUSH_END(pm_push_page_copy)

#endif /* PM_PUSH_PAGE_COPY_H */
