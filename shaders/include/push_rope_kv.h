/* push_rope_kv.h - push constants of rope_kv*.comp. */
#ifndef PM_PUSH_ROPE_KV_H
#define PM_PUSH_ROPE_KV_H
#include "pm_shared.h"

#define PM_SPEC_ROPE_NEOX 8

PM_PUSH_BEGIN(pm_push_rope_kv)
    PM_ADDRESS qkv;                /* [rows, qkv_stride] f32 */
    PM_ADDRESS table;              /* [positions, rotary_dim / 2, 2] f32 */
    PM_ADDRESS positions;          /* [rows] u32 */
    PM_ADDRESS slots;              /* [rows] u32 */
    PM_ADDRESS kv;                 /* pages of this layer */
    PM_ADDRESS rows;               /* u32 */
    PM_U32 qkv_stride;             /* floats */
    PM_U32 heads, kv_heads, head_dim, rotary_dim;
    PM_U32 page_tokens, page_bytes;
PM_PUSH_END(pm_push_rope_kv)

#endif /* PM_PUSH_ROPE_KV_H */
