/* op/kv_layout.h - how one layer's keys and values lie in a KV page. Floor 2.
 *
 * A page holds page_tokens tokens of one sequence. Per layer and page:
 *   K  [kv_heads, ceil(head_dim / E), page_tokens, E]   E elements are 16 bytes:
 *   V  [kv_heads, page_tokens, head_dim]                neighbouring lanes, which own
 *                                                       neighbouring tokens, read
 *                                                       neighbouring pieces of K
 * E = 8 for f16, 4 for f32. head_dim is a multiple of 8. Layer l of page p starts at
 *   base + l * layer_bytes + p * page_bytes.
 */
#ifndef PM_OP_KV_LAYOUT_H
#define PM_OP_KV_LAYOUT_H

#include "base/error.h"

#include <stdint.h>

typedef struct pm_kv_layout {
    pm_kv_type type;
    uint32_t kv_heads, head_dim, page_tokens;
} pm_kv_layout;

/* Bytes of one page of one layer, K and V; a multiple of 16. */
static inline uint64_t pm_kv_page_bytes(const pm_kv_layout *l)
{
    return (uint64_t)2 * l->kv_heads * l->head_dim * l->page_tokens * (l->type == PM_KV_F32 ? 4 : 2);
}

#endif /* PM_OP_KV_LAYOUT_H */
