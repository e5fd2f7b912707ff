/* kv/swap.c - pages kept in host memory while their sequence waits. */
#include "kv/swap.h"

#include "base/alloc.h"

pm_result pm_kv_swap_init(pm_kv_swap *swap, uint32_t slot_count)
{
    *swap = (pm_kv_swap){.slot_count = slot_count, .free_count = slot_count};
    swap->free_slots = pm_alloc(slot_count, sizeof(*swap->free_slots), "swap slots");
    if (swap->free_slots == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t i = 0; i < slot_count; i++) /* slot 0 is handed out first */
        swap->free_slots[i] = slot_count - 1 - i;
    return PM_OK;
}

void pm_kv_swap_finish(pm_kv_swap *swap)
{
    pm_free(swap->free_slots);
    *swap = (pm_kv_swap){0};
}

bool pm_kv_swap_out(pm_kv_swap *swap, pm_kv_pages *pages, pm_block_table *table, uint32_t token_count,
                    pm_kv_move *moves, uint32_t moves_max, uint32_t *count)
{
    const uint32_t page_tokens = pm_kv_pages_tokens(pages);
    const uint32_t need = token_count / page_tokens + (token_count % page_tokens != 0);
    pm_assert(!table->swapped && need <= table->count);
    if (need > swap->free_count || need > moves_max)
        return false;
    for (uint32_t i = 0; i < need; i++) {
        const bool copied = table->copy_from != PM_PAGE_NONE && i == table->copy_index;
        moves[i].page = copied ? table->copy_from : table->page_ids[i];
        moves[i].slot = swap->free_slots[--swap->free_count];
    }
    const uint32_t published = table->published < need ? table->published : need;
    pm_kv_pages_release(pages, table);
    for (uint32_t i = 0; i < need; i++)
        table->page_ids[i] = moves[i].slot;
    table->count = need;
    table->published = published; /* which pages can be found by name on the way back */
    table->swapped = true;
    *count = need;
    return true;
}

uint32_t pm_kv_swap_in_cost(const pm_kv_pages *pages, const pm_block_table *table)
{
    uint32_t revived;
    return table->count - pm_kv_pages_match(pages, table, 0, table->published, &revived) + revived;
}

bool pm_kv_swap_in(pm_kv_swap *swap, pm_kv_pages *pages, pm_block_table *table, pm_kv_move *moves, uint32_t moves_max,
                   uint32_t *count)
{
    uint32_t revived;
    const uint32_t page_tokens = pm_kv_pages_tokens(pages), total = table->count;
    const uint32_t found = pm_kv_pages_match(pages, table, 0, table->published, &revived);
    pm_assert(table->swapped);
    if (total - found + revived > pm_kv_pages_free_count(pages) || total - found > moves_max)
        return false;
    for (uint32_t i = found; i < total; i++)
        moves[i - found].slot = table->page_ids[i];
    pm_kv_swap_release(swap, table);
    pm_kv_pages_adopt(pages, table, 0, found);
    const bool grown = pm_kv_pages_write(pages, table, found * page_tokens, total * page_tokens);
    pm_assert(grown);
    for (uint32_t i = found; i < total; i++)
        moves[i - found].page = table->page_ids[i];
    *count = total - found;
    return true;
}

void pm_kv_swap_release(pm_kv_swap *swap, pm_block_table *table)
{
    pm_assert(table->swapped);
    while (table->count > 0)
        swap->free_slots[swap->free_count++] = table->page_ids[--table->count];
    table->swapped = false;
    table->published = 0;
}
