/* kv/swap.h - pages kept in host memory while their sequence waits. Floor 1, host only.
 *
 * Hands out host slots in [0, slot_count), a page each; plan/ owns the memory they index.
 * A table that is swapped out holds slots where it held pages.
 */
#ifndef PM_KV_SWAP_H
#define PM_KV_SWAP_H

#include "kv/pages.h"

/* One page's way over the bus. */
typedef struct pm_kv_move {
    pm_page_id page;
    uint32_t slot;
} pm_kv_move;

typedef struct pm_kv_swap {
    uint32_t *free_slots;          /* [slot_count] a stack */
    uint32_t slot_count, free_count;
} pm_kv_swap;

/* slot_count: 0 = nothing can be swapped. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_kv_swap_init(pm_kv_swap *swap, uint32_t slot_count);
void pm_kv_swap_finish(pm_kv_swap *swap);

/* Exchanges the pages of the table's first token_count tokens for slots and releases them
 * all; moves[0..*count) are what has to be copied, pages to slots. False, changing nothing,
 * when too few slots are free or more than `moves_max` moves would be needed. */
PM_MUST_USE bool pm_kv_swap_out(pm_kv_swap *swap, pm_kv_pages *pages, pm_block_table *table, uint32_t token_count,
                                pm_kv_move *moves, uint32_t moves_max, uint32_t *count);

/* The way back: pages whose names the index still knows are adopted, the others taken and
 * listed in moves, slots to pages; the slots are free again. False, changing nothing, when
 * too few pages are free or more than `moves_max` moves would be needed. */
PM_MUST_USE bool pm_kv_swap_in(pm_kv_swap *swap, pm_kv_pages *pages, pm_block_table *table, pm_kv_move *moves,
                               uint32_t moves_max, uint32_t *count);

/* Pages of the pool that the way back takes. */
uint32_t pm_kv_swap_in_cost(const pm_kv_pages *pages, const pm_block_table *table);

/* Frees the slots of a swapped table and empties it. */
void pm_kv_swap_release(pm_kv_swap *swap, pm_block_table *table);

#endif /* PM_KV_SWAP_H */
