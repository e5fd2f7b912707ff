/* kv/pages.h - which physical KV page holds which tokens. Floor 1, host only.
 *
 * The pool hands out page ids in [0, page_count). It never touches the device:
 * plan/kv_store.h owns the buffers those ids index, so everything here runs, and is
 * fuzzed, on a machine without a GPU.
 *
 * A page holds page_tokens consecutive tokens of one sequence, for all layers.
 *
 * Invariants (pm_kv_pages_check(), on after every call in debug builds):
 *   free_count + used_count == page_count
 *   a page is on the free list, once  <=>  no table holds it (its ref_count is 0)
 *
 * Source: W. Kwon et al., "Efficient Memory Management for Large Language Model
 * Serving with PagedAttention", SOSP 2023, arXiv:2309.06180, section 4.
 */
#ifndef PM_KV_PAGES_H
#define PM_KV_PAGES_H

#include "base/error.h"

typedef struct pm_kv_pages pm_kv_pages;

typedef uint32_t pm_page_id;
#define PM_PAGE_NONE UINT32_MAX

/* One sequence's pages in token order: token t lives in
 * page_ids[t / page_tokens] at slot t % page_tokens. */
typedef struct pm_block_table {
    pm_page_id *page_ids;          /* owned; capacity fixed at init */
    uint32_t count;                /* pages in use */
    uint32_t capacity;             /* ceil(tokens the sequence may come to / page_tokens) */
} pm_block_table;

/* Empty, with room for `capacity` pages. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_block_table_init(pm_block_table *table, uint32_t capacity);

/* Frees the memory; the pages were released before. */
void pm_block_table_finish(pm_block_table *table);

/* Where token t lies: page * page_tokens + index. t < count * page_tokens. */
static inline uint32_t pm_kv_slot(const pm_block_table *table, uint32_t page_tokens, uint32_t token)
{
    return table->page_ids[token / page_tokens] * page_tokens + token % page_tokens;
}

/* page_count: >= 1, page_count * page_tokens < 2^32. page_tokens: a power of two in
 * [8, 256]. All memory the pool will ever use is allocated here: 12 bytes a page.
 * *out: owned, pm_kv_pages_destroy(). Errors: PM_ERR_ARG, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_kv_pages_create(uint32_t page_count, uint32_t page_tokens, pm_kv_pages **out);
void pm_kv_pages_destroy(pm_kv_pages *pages);        /* NULL is fine */

/* Grows `table` until it can hold `token_count` tokens (asserted to fit its capacity).
 * Returns false, changing nothing, when too few pages are free: the scheduler then
 * preempts or waits. O(pages added). */
PM_MUST_USE bool pm_kv_pages_grow(pm_kv_pages *pages, pm_block_table *table, uint32_t token_count);

/* Drops the table's references and empties it. */
void pm_kv_pages_release(pm_kv_pages *pages, pm_block_table *table);

uint32_t pm_kv_pages_free_count(const pm_kv_pages *pages);
uint32_t pm_kv_pages_used(const pm_kv_pages *pages);
uint32_t pm_kv_pages_used_max(const pm_kv_pages *pages); /* since create */

/* Tables that hold the page; 0 = free. page < page_count. */
uint32_t pm_kv_pages_refs(const pm_kv_pages *pages, pm_page_id page);

/* Asserts the invariants. O(page_count). */
void pm_kv_pages_check(const pm_kv_pages *pages);

#endif /* PM_KV_PAGES_H */
