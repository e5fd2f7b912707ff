/* kv/pages.h - which physical KV page holds which tokens. Floor 1, host only.
 *
 * The pool hands out page ids in [0, page_count). It never touches the device:
 * plan/kv_store.h owns the buffers those ids index, so everything here runs, and is
 * fuzzed, on a machine without a GPU.
 *
 * A page holds page_tokens consecutive tokens of one sequence, for all layers. A full page
 * whose tokens are computed can be given its name (kv/prefix.h); any sequence that begins
 * with the same tokens then shares it. A page that nobody holds keeps its name until it is
 * handed out again: nameless pages go first, then the one freed longest ago.
 *
 * A page is written by its only holder and without a name: a write into a shared page takes
 * a page of its own and leaves the copy to be made on the device (table->copy_from); a page
 * held by nobody else loses its name.
 *
 * Invariants (pm_kv_pages_check(), on after every call in debug builds):
 *   free_count + used_count == page_count
 *   a page is on the free list, once  <=>  no table holds it (its ref_count is 0)
 *   a page is in the index, once      <=>  it has a name; no two have the same
 *
 * Source: W. Kwon et al., "Efficient Memory Management for Large Language Model
 * Serving with PagedAttention", SOSP 2023, arXiv:2309.06180, section 4.
 */
#ifndef PM_KV_PAGES_H
#define PM_KV_PAGES_H

#include "kv/prefix.h"

typedef struct pm_kv_pages pm_kv_pages;

typedef uint32_t pm_page_id;
#define PM_PAGE_NONE UINT32_MAX

/* One sequence's pages in token order: token t lives in
 * page_ids[t / page_tokens] at slot t % page_tokens. */
typedef struct pm_block_table {
    pm_page_id *page_ids;          /* owned; capacity fixed at init */
    pm_prefix_hash *names;         /* [capacity] owned; of the full pages, known or not yet computed */
    uint32_t count;                /* pages in use */
    uint32_t capacity;             /* ceil(tokens the sequence may come to / page_tokens) */
    uint32_t named;                /* names[0..named) are made */
    uint32_t published;            /* pages [0, published) have been offered to the index */
    pm_page_id copy_from;          /* held; its content goes to page_ids[copy_index] before the next write */
    uint32_t copy_index;
    bool swapped;                  /* page_ids are host slots (kv/swap.h) */
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
 * [8, 256]. All memory the pool will ever use is allocated here: at most
 * 40 bytes a page.
 * *out: owned, pm_kv_pages_destroy(). Errors: PM_ERR_ARG, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_kv_pages_create(uint32_t page_count, uint32_t page_tokens, pm_kv_pages **out);
void pm_kv_pages_destroy(pm_kv_pages *pages);        /* NULL is fine */

/* Makes tokens [begin, end) writable: grows `table` (asserted to fit its capacity) and puts
 * a page of its own where `begin` lies in a page that others hold too. Returns false,
 * changing nothing, when too few pages are free: the scheduler then preempts or waits.
 * O(pages added). */
PM_MUST_USE bool pm_kv_pages_write(pm_kv_pages *pages, pm_block_table *table, uint32_t begin, uint32_t end);

/* Pages of the pool that pm_kv_pages_write() would take, were they free. */
uint32_t pm_kv_pages_write_cost(const pm_kv_pages *pages, const pm_block_table *table, uint32_t begin, uint32_t end);

/* Leading names that the index knows: pages that pm_kv_pages_adopt() would add to `table`
 * from its `from`-th on, at most to `to`. *revived: those of them that nobody holds, which
 * so leave the free list. names[0..to) are made. O(to - from). */
uint32_t pm_kv_pages_match(const pm_kv_pages *pages, const pm_block_table *table, uint32_t from, uint32_t to,
                           uint32_t *revived);

/* Takes `count` matched pages, in the place of those the table has there, if any. */
void pm_kv_pages_adopt(pm_kv_pages *pages, pm_block_table *table, uint32_t from, uint32_t count);

/* `child`, which is empty, holds the pages of the parent's first token_count tokens too. */
void pm_kv_pages_share(pm_kv_pages *pages, pm_block_table *child, const pm_block_table *parent, uint32_t token_count);

/* Full pages of the first token_count tokens, which are computed, enter the index, those
 * whose name another page has already excepted. names[] of them are made. */
void pm_kv_pages_publish(pm_kv_pages *pages, pm_block_table *table, uint32_t token_count);

/* Drops the table's references and empties it. Its names stay: they say what its tokens
 * are, not where. */
void pm_kv_pages_release(pm_kv_pages *pages, pm_block_table *table);

/* One reference more, or less. The page's last reference frees it. */
void pm_kv_pages_hold(pm_kv_pages *pages, pm_page_id page);
void pm_kv_pages_drop(pm_kv_pages *pages, pm_page_id page);

/* Forgets all names: what the pages held is gone with the device. */
void pm_kv_pages_forget(pm_kv_pages *pages);

uint32_t pm_kv_pages_count(const pm_kv_pages *pages);
uint32_t pm_kv_pages_tokens(const pm_kv_pages *pages); /* of one page */
uint32_t pm_kv_pages_free_count(const pm_kv_pages *pages); /* with those that keep a name */
uint32_t pm_kv_pages_used(const pm_kv_pages *pages);
uint32_t pm_kv_pages_used_max(const pm_kv_pages *pages); /* since create */
uint32_t pm_kv_pages_named_count(const pm_kv_pages *pages); /* in the index */
uint64_t pm_kv_pages_evictions(const pm_kv_pages *pages); /* named pages handed out anew */

/* References to the page; 0 = free. page < page_count. */
uint32_t pm_kv_pages_refs(const pm_kv_pages *pages, pm_page_id page);

/* The page's name; false = it has none. */
bool pm_kv_pages_name(const pm_kv_pages *pages, pm_page_id page, pm_prefix_hash *name);

/* Asserts the invariants. O(page_count). */
void pm_kv_pages_check(const pm_kv_pages *pages);

#endif /* PM_KV_PAGES_H */
