/* op/kv_layout.h - how one layer's keys and values lie in a KV page. Floor 2.
 *
 * A page holds page_tokens tokens of one sequence. Per layer and page:
 *   K  [kv_heads, head_dim / E, page_tokens, E]     E elements are 16 bytes: neighbouring
 *                                                   lanes, which own neighbouring tokens,
 *                                                   read neighbouring pieces of K
 *   V  [kv_heads, page_tokens, head_dim]
 *   S  [kv_heads, head_dim / 32, page_tokens] u32   q8_0 and q4_0 only: the f16 scales of
 *                                                   32 elements, K's low, V's high, since
 *                                                   two bytes cannot be stored alone
 *                                                   without 16-bit storage
 * E = 4 for f32, 8 for f16, 16 for q8_0 (8-bit integers), 32 for q4_0 (4-bit integers plus
 * 8: a word holds 8 elements, 0..3 in the low halves of its bytes, 4..7 in the high halves).
 * head_dim is a multiple of 8, for q8_0 and q4_0 of 32. Layer l of page p starts at
 *   base + l * layer_bytes + p * page_bytes.
 *
 * q8_0 and q4_0 hold what the formats' reference quantisers make of each 32 elements:
 *   q8_0  d = max |x| / 127;               q = x (1 / d), halves away from zero
 *   q4_0  d = the first x of max |x|, / -8; q = min(15, trunc(x (1 / d) + 8.5))
 * in f32, each step rounded to nearest, d then to f16. Where d is zero in f16 the block's
 * integers are zero too, and where an element is no number or infinite, d says so.
 */
#ifndef PM_OP_KV_LAYOUT_H
#define PM_OP_KV_LAYOUT_H

#include "base/error.h"

#include <stdint.h>

#define PM_KV_BLOCK 32u            /* elements that share a scale */
#define PM_KV_PIECE 16u            /* bytes that are read, written and copied at a time */

typedef struct pm_kv_layout {
    pm_kv_type type;
    uint32_t kv_heads, head_dim, page_tokens;
} pm_kv_layout;

/* "f16", ...: the names of the shaders' variants, too. Static storage; NULL past the last. */
static inline const char *pm_kv_type_name(pm_kv_type type)
{
    static const char *const names[] = {[PM_KV_F16] = "f16", [PM_KV_F32] = "f32", [PM_KV_Q8_0] = "q8_0",
                                        [PM_KV_Q4_0] = "q4_0"};
    return (uint32_t)type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

static inline bool pm_kv_type_has_scales(pm_kv_type type)
{
    return type == PM_KV_Q8_0 || type == PM_KV_Q4_0;
}

/* Elements of K or of V in a piece: E above. */
static inline uint32_t pm_kv_piece_elements(pm_kv_type type)
{
    return type == PM_KV_F32 ? 4 : type == PM_KV_F16 ? 8 : type == PM_KV_Q8_0 ? 16 : 32;
}

/* Bytes of 32 elements of K or of V, scales included. */
static inline uint32_t pm_kv_block_bytes(pm_kv_type type)
{
    return type == PM_KV_F32 ? 128 : type == PM_KV_F16 ? 64 : type == PM_KV_Q8_0 ? 34 : 18;
}

/* Bytes of one page of one layer, K and V; a multiple of PM_KV_PIECE (pm_kv_layout_check()). */
static inline uint64_t pm_kv_page_bytes(const pm_kv_layout *l)
{
    return (uint64_t)2 * l->kv_heads * l->head_dim * l->page_tokens / PM_KV_BLOCK * pm_kv_block_bytes(l->type);
}

/* Errors: PM_ERR_UNSUP (heads whose dimension the type does not take; names those that do.
 * Pages that are no whole pieces, as those of few tokens may be: 68 bytes for one token of
 * q8_0 with one head of 32; or that are 4 GiB or more). */
PM_MUST_USE static inline pm_result pm_kv_layout_check(const pm_kv_layout *l)
{
    if (pm_kv_type_has_scales(l->type) && l->head_dim % PM_KV_BLOCK != 0)
        return pm_fail(PM_ERR_UNSUP, "KV pages of %s need a head_dim that is a multiple of %u, the model's is %u; f16 and "
                       "f32 take it", pm_kv_type_name(l->type), PM_KV_BLOCK, l->head_dim);
    const uint64_t bytes = pm_kv_page_bytes(l);
    if (l->head_dim % 8 != 0 || bytes == 0 || bytes % PM_KV_PIECE != 0 || bytes > UINT32_MAX)
        return pm_fail(PM_ERR_UNSUP, "KV pages of %u tokens of %s with %u heads of %u have %llu bytes, expected a multiple of "
                       "%u below 4 GiB of heads in multiples of 8", l->page_tokens, pm_kv_type_name(l->type), l->kv_heads,
                       l->head_dim, (unsigned long long)bytes, PM_KV_PIECE);
    return PM_OK;
}

#endif /* PM_OP_KV_LAYOUT_H */
