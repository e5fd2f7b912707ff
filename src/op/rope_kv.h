/* op/rope_kv.h - rotate Q and K by position, store K and V in their pages. Floor 2. */
#ifndef PM_OP_ROPE_KV_H
#define PM_OP_ROPE_KV_H

#include "op/kv_layout.h"
#include "vk/record.h"

/* qkv holds [Q: heads * head_dim | K: kv_heads * head_dim | V: kv_heads * head_dim]
 * per row. Q is rotated in place; K (rotated) and V go to the pages.
 * A pair (a, b) at table entry (c, s) becomes (a c - b s, a s + b c). The pairs of a
 * head are (2i, 2i + 1), or with neox (i, i + rotary_dim / 2); elements from
 * rotary_dim on are copied. */
typedef struct pm_rope_kv {
    pm_slice qkv;                  /* [rows_max, qkv_stride] f32 */
    pm_slice table;                /* [positions, rotary_dim / 2, 2] f32: cos, sin, made on the
                                      host in double */
    pm_slice positions;            /* [rows_max] u32, each < positions of the table */
    pm_slice slots;                /* [rows_max] u32: page * page_tokens + index; PM_SLOT_NONE =
                                      store nothing */
    pm_slice kv;                   /* this layer's pages */
    pm_slice rows;                 /* u32 rows present */
    pm_kv_layout layout;
    uint32_t rows_max, qkv_stride, heads, rotary_dim;
    bool neox;
} pm_rope_kv;

#define PM_SLOT_NONE UINT32_MAX

PM_MUST_USE pm_result pm_rope_kv_record(pm_vk_recorder *recorder, const pm_rope_kv *r);

#endif /* PM_OP_ROPE_KV_H */
