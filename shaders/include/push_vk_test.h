/* push_vk_test.h - push constants of vk_test.comp. */
#ifndef PM_PUSH_VK_TEST_H
#define PM_PUSH_VK_TEST_H
#include "pm_shared.h"

#define PM_SPEC_VK_TEST_ADD PM_SPEC_OP

PM_PUSH_BEGIN(pm_push_vk_test)
    PM_ADDRESS x;                  /* [count] u32 */
    PM_ADDRESS y;                  /* [count] u32 */
    PM_U32 count;
    PM_U32 times;
PM_PUSH_END(pm_push_vk_test)

#endif /* PM_PUSH_VK_TEST_H */
