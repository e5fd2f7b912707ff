/* kv/pages.c - which physical KV page holds which tokens. */
#include "kv/pages.h"

#include "base/alloc.h"

struct pm_kv_pages {
    uint32_t page_count, page_tokens;
    uint32_t free_count, used_max;
    pm_page_id *free_list;         /* [page_count] a stack: last freed, first used */
    uint32_t *free_place;          /* [page_count] where a free page stands in free_list */
    uint32_t *ref_count;           /* [page_count] */
};

/* O(page_count): only where a debug build asks for it. */
static void debug_check(const pm_kv_pages *pages)
{
#ifdef NDEBUG
    (void)pages;
#else
    pm_kv_pages_check(pages);
#endif
}

static void push_free(pm_kv_pages *pages, pm_page_id page)
{
    pages->free_place[page] = pages->free_count;
    pages->free_list[pages->free_count++] = page;
}

pm_result pm_block_table_init(pm_block_table *table, uint32_t capacity)
{
    pm_page_id *page_ids = pm_alloc(capacity, sizeof(*page_ids), "block table");
    if (page_ids == NULL)
        return PM_ERR_NOMEM;
    *table = (pm_block_table){.page_ids = page_ids, .capacity = capacity};
    return PM_OK;
}

void pm_block_table_finish(pm_block_table *table)
{
    pm_free(table->page_ids);
    *table = (pm_block_table){0};
}

pm_result pm_kv_pages_create(uint32_t page_count, uint32_t page_tokens, pm_kv_pages **out)
{
    if (page_tokens < 8 || page_tokens > 256 || (page_tokens & (page_tokens - 1)) != 0)
        return pm_fail(PM_ERR_ARG, "KV pages of %u tokens, expected a power of two from 8 to 256", page_tokens);
    if (page_count == 0 || page_count > (UINT32_MAX - 1) / page_tokens)
        return pm_fail(PM_ERR_ARG, "%u KV pages, expected 1 to %u", page_count, (UINT32_MAX - 1) / page_tokens);
    pm_kv_pages *pages = pm_alloc(1, sizeof(*pages), "KV pages");
    if (pages == NULL)
        return PM_ERR_NOMEM;
    pages->page_count = page_count;
    pages->page_tokens = page_tokens;
    pages->free_list = pm_alloc(page_count, sizeof(*pages->free_list), "KV pages");
    pages->free_place = pm_alloc(page_count, sizeof(*pages->free_place), "KV pages");
    pages->ref_count = pm_alloc(page_count, sizeof(*pages->ref_count), "KV pages");
    if (pages->free_list == NULL || pages->free_place == NULL || pages->ref_count == NULL) {
        pm_kv_pages_destroy(pages);
        return PM_ERR_NOMEM;
    }
    for (uint32_t i = page_count; i-- > 0;) /* page 0 is handed out first */
        push_free(pages, i);
    *out = pages;
    return PM_OK;
}

void pm_kv_pages_destroy(pm_kv_pages *pages)
{
    if (pages == NULL)
        return;
    pm_free(pages->free_list);
    pm_free(pages->free_place);
    pm_free(pages->ref_count);
    pm_free(pages);
}

bool pm_kv_pages_grow(pm_kv_pages *pages, pm_block_table *table, uint32_t token_count)
{
    const uint32_t need = (uint32_t)(((uint64_t)token_count + pages->page_tokens - 1) / pages->page_tokens);
    pm_assert(need <= table->capacity);
    if (need <= table->count)
        return true;
    if (need - table->count > pages->free_count)
        return false;
    while (table->count < need) {
        const pm_page_id page = pages->free_list[--pages->free_count];
        pages->ref_count[page] = 1;
        table->page_ids[table->count++] = page;
    }
    const uint32_t used = pages->page_count - pages->free_count;
    pages->used_max = used > pages->used_max ? used : pages->used_max;
    debug_check(pages);
    return true;
}

void pm_kv_pages_release(pm_kv_pages *pages, pm_block_table *table)
{
    while (table->count > 0) {
        const pm_page_id page = table->page_ids[--table->count];
        pm_assert(page < pages->page_count && pages->ref_count[page] > 0);
        if (--pages->ref_count[page] == 0)
            push_free(pages, page);
    }
    debug_check(pages);
}

uint32_t pm_kv_pages_free_count(const pm_kv_pages *pages)
{
    return pages->free_count;
}

uint32_t pm_kv_pages_used(const pm_kv_pages *pages)
{
    return pages->page_count - pages->free_count;
}

uint32_t pm_kv_pages_used_max(const pm_kv_pages *pages)
{
    return pages->used_max;
}

uint32_t pm_kv_pages_refs(const pm_kv_pages *pages, pm_page_id page)
{
    pm_assert(page < pages->page_count);
    return pages->ref_count[page];
}

void pm_kv_pages_check(const pm_kv_pages *pages)
{
    uint32_t unreferenced = 0;
    pm_assert(pages->free_count <= pages->page_count);
    pm_assert(pages->used_max >= pages->page_count - pages->free_count && pages->used_max <= pages->page_count);
    for (uint32_t i = 0; i < pages->page_count; i++)
        unreferenced += pages->ref_count[i] == 0;
    pm_assert(unreferenced == pages->free_count);
    for (uint32_t i = 0; i < pages->free_count; i++) { /* each place has its own page: none is listed twice */
        const pm_page_id page = pages->free_list[i];
        pm_assert(page < pages->page_count && pages->free_place[page] == i && pages->ref_count[page] == 0);
    }
}
