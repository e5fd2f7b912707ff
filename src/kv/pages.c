/* kv/pages.c - which physical KV page holds which tokens. */
#include "kv/pages.h"

#include "base/alloc.h"

#include <string.h>

#define NAMELESS (UINT32_MAX - 1) /* chain[]: not in the index */

struct pm_kv_pages {
    uint32_t page_count, page_tokens;
    uint32_t free_count, used_max, named_count;
    uint64_t evictions;
    uint32_t *ref_count;           /* [page_count] */
    pm_page_id *next, *prev;       /* [page_count + 1] the free list, a ring; [page_count] is its ends */
    pm_prefix_hash *names;         /* [page_count] of those in the index */
    uint32_t bucket_count;         /* a power of two >= page_count */
    pm_page_id *buckets, *chain;   /* [bucket_count], [page_count] the index: first page, and the next of each */
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

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Pages of so many tokens. */
static uint32_t pages_of(const pm_kv_pages *pages, uint32_t token_count)
{
    return (uint32_t)(((uint64_t)token_count + pages->page_tokens - 1) / pages->page_tokens);
}

/* ----------------------------------------------------------------- tables */

pm_result pm_block_table_init(pm_block_table *table, uint32_t capacity)
{
    *table = (pm_block_table){.capacity = capacity, .copy_from = PM_PAGE_NONE};
    table->page_ids = pm_alloc(capacity, sizeof(*table->page_ids), "block table");
    table->names = pm_alloc(capacity, sizeof(*table->names), "block table");
    if (table->page_ids != NULL && table->names != NULL)
        return PM_OK;
    pm_block_table_finish(table);
    return PM_ERR_NOMEM;
}

void pm_block_table_finish(pm_block_table *table)
{
    pm_free(table->page_ids);
    pm_free(table->names);
    *table = (pm_block_table){0};
}

/* ------------------------------------------------------------------- pool */

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
    for (pages->bucket_count = 1; pages->bucket_count < page_count;)
        pages->bucket_count *= 2;
    pages->ref_count = pm_alloc(page_count, sizeof(*pages->ref_count), "KV pages");
    pages->next = pm_alloc(page_count + 1, sizeof(*pages->next), "KV pages");
    pages->prev = pm_alloc(page_count + 1, sizeof(*pages->prev), "KV pages");
    pages->names = pm_alloc(page_count, sizeof(*pages->names), "KV pages");
    pages->buckets = pm_alloc(pages->bucket_count, sizeof(*pages->buckets), "KV pages");
    pages->chain = pm_alloc(page_count, sizeof(*pages->chain), "KV pages");
    if (pages->ref_count == NULL || pages->next == NULL || pages->prev == NULL || pages->names == NULL ||
        pages->buckets == NULL || pages->chain == NULL) {
        pm_kv_pages_destroy(pages);
        return PM_ERR_NOMEM;
    }
    for (uint32_t i = 0; i <= page_count; i++) { /* page 0 is handed out first */
        pages->next[i] = i == page_count ? 0 : i + 1;
        pages->prev[i] = i == 0 ? page_count : i - 1;
    }
    pages->free_count = page_count;
    for (uint32_t i = 0; i < page_count; i++)
        pages->chain[i] = NAMELESS;
    for (uint32_t i = 0; i < pages->bucket_count; i++)
        pages->buckets[i] = PM_PAGE_NONE;
    *out = pages;
    return PM_OK;
}

void pm_kv_pages_destroy(pm_kv_pages *pages)
{
    if (pages == NULL)
        return;
    pm_free(pages->ref_count);
    pm_free(pages->next);
    pm_free(pages->prev);
    pm_free(pages->names);
    pm_free(pages->buckets);
    pm_free(pages->chain);
    pm_free(pages);
}

/* ------------------------------------------------------------------ index */

static pm_page_id *bucket_of(const pm_kv_pages *pages, pm_prefix_hash name)
{
    return &pages->buckets[name.word[0] & (pages->bucket_count - 1)];
}

static bool is_named(const pm_kv_pages *pages, pm_page_id page)
{
    return pages->chain[page] != NAMELESS;
}

static pm_page_id find(const pm_kv_pages *pages, pm_prefix_hash name)
{
    pm_page_id page = *bucket_of(pages, name);
    while (page != PM_PAGE_NONE && !pm_prefix_equal(pages->names[page], name))
        page = pages->chain[page];
    return page;
}

static void give_name(pm_kv_pages *pages, pm_page_id page, pm_prefix_hash name)
{
    pm_page_id *bucket = bucket_of(pages, name);
    pages->names[page] = name;
    pages->chain[page] = *bucket;
    *bucket = page;
    pages->named_count++;
}

static void take_name(pm_kv_pages *pages, pm_page_id page)
{
    pm_page_id *link = bucket_of(pages, pages->names[page]);
    while (*link != page)
        link = &pages->chain[*link];
    *link = pages->chain[page];
    pages->chain[page] = NAMELESS;
    pages->named_count--;
}

/* ------------------------------------------------------------- references */

static void unlink_free(pm_kv_pages *pages, pm_page_id page)
{
    pages->next[pages->prev[page]] = pages->next[page];
    pages->prev[pages->next[page]] = pages->prev[page];
    pages->free_count--;
    const uint32_t used = pages->page_count - pages->free_count;
    pages->used_max = used > pages->used_max ? used : pages->used_max;
}

/* Nameless pages to the front, where they go first; the others to the back. */
static void link_free(pm_kv_pages *pages, pm_page_id page)
{
    const pm_page_id ends = pages->page_count;
    const pm_page_id after = is_named(pages, page) ? pages->prev[ends] : ends;
    pages->prev[page] = after;
    pages->next[page] = pages->next[after];
    pages->prev[pages->next[page]] = page;
    pages->next[after] = page;
    pages->free_count++;
}

static void hold(pm_kv_pages *pages, pm_page_id page)
{
    pm_assert(page < pages->page_count);
    if (pages->ref_count[page]++ == 0)
        unlink_free(pages, page);
}

static void drop(pm_kv_pages *pages, pm_page_id page)
{
    pm_assert(page < pages->page_count && pages->ref_count[page] > 0);
    if (--pages->ref_count[page] == 0)
        link_free(pages, page);
}

/* The free page that goes first; there is one. */
static pm_page_id take_free(pm_kv_pages *pages)
{
    const pm_page_id page = pages->next[pages->page_count];
    pm_assert(page < pages->page_count);
    if (is_named(pages, page)) {
        take_name(pages, page);
        pages->evictions++;
    }
    hold(pages, page);
    return page;
}

void pm_kv_pages_hold(pm_kv_pages *pages, pm_page_id page)
{
    hold(pages, page);
    debug_check(pages);
}

void pm_kv_pages_drop(pm_kv_pages *pages, pm_page_id page)
{
    drop(pages, page);
    debug_check(pages);
}

/* ------------------------------------------------------------------ write */

static uint32_t pages_to_add(const pm_kv_pages *pages, const pm_block_table *table, uint32_t end)
{
    const uint32_t need = pages_of(pages, end);
    return need > table->count ? need - table->count : 0;
}

/* Another table reads the page that a write at `begin` would change. */
static bool is_copied(const pm_kv_pages *pages, const pm_block_table *table, uint32_t begin, uint32_t end)
{
    const uint32_t index = begin / pages->page_tokens;
    return begin < end && index < table->count && pages->ref_count[table->page_ids[index]] > 1;
}

uint32_t pm_kv_pages_write_cost(const pm_kv_pages *pages, const pm_block_table *table, uint32_t begin, uint32_t end)
{
    return pages_to_add(pages, table, end) + is_copied(pages, table, begin, end);
}

bool pm_kv_pages_write(pm_kv_pages *pages, pm_block_table *table, uint32_t begin, uint32_t end)
{
    const uint32_t index = begin / pages->page_tokens;
    pm_assert(!table->swapped && begin <= end && pages_of(pages, end) <= table->capacity);
    if (pm_kv_pages_write_cost(pages, table, begin, end) > pages->free_count)
        return false;
    if (is_copied(pages, table, begin, end)) {
        pm_assert(table->copy_from == PM_PAGE_NONE);
        table->copy_from = table->page_ids[index]; /* with the table's reference */
        table->copy_index = index;
        table->page_ids[index] = take_free(pages);
        table->published = min_u32(table->published, index);
    } else if (begin < end && index < table->count && is_named(pages, table->page_ids[index])) {
        take_name(pages, table->page_ids[index]);  /* nobody else holds it: it gets its name anew once written */
        table->published = min_u32(table->published, index);
    }
    while (pages_to_add(pages, table, end) > 0)
        table->page_ids[table->count++] = take_free(pages);
    debug_check(pages);
    return true;
}

/* ---------------------------------------------------------------- sharing */

uint32_t pm_kv_pages_match(const pm_kv_pages *pages, const pm_block_table *table, uint32_t from, uint32_t to,
                           uint32_t *revived)
{
    uint32_t count = 0;
    *revived = 0;
    pm_assert(to <= table->named || to <= from);
    for (uint32_t i = from; i < to; i++, count++) {
        const pm_page_id page = find(pages, table->names[i]);
        if (page == PM_PAGE_NONE)
            break;
        *revived += pages->ref_count[page] == 0;
    }
    return count;
}

void pm_kv_pages_adopt(pm_kv_pages *pages, pm_block_table *table, uint32_t from, uint32_t count)
{
    pm_assert(!table->swapped && from <= table->count && from + count <= table->named);
    for (uint32_t i = from; i < from + count; i++) {
        const pm_page_id page = find(pages, table->names[i]);
        pm_assert(page != PM_PAGE_NONE);
        hold(pages, page);
        if (i < table->count)
            drop(pages, table->page_ids[i]);
        else
            table->count++;
        table->page_ids[i] = page;
    }
    if (table->published >= from && table->published < from + count)
        table->published = from + count;
    debug_check(pages);
}

void pm_kv_pages_share(pm_kv_pages *pages, pm_block_table *child, const pm_block_table *parent, uint32_t token_count)
{
    const uint32_t count = pages_of(pages, token_count);
    pm_assert(child->count == 0 && !child->swapped && !parent->swapped);
    pm_assert(count <= parent->count && count <= child->capacity);
    for (uint32_t i = 0; i < count; i++) {
        const bool copied = parent->copy_from != PM_PAGE_NONE && i == parent->copy_index;
        child->page_ids[i] = copied ? parent->copy_from : parent->page_ids[i];
        hold(pages, child->page_ids[i]);
    }
    child->count = count;
    debug_check(pages);
}

void pm_kv_pages_publish(pm_kv_pages *pages, pm_block_table *table, uint32_t token_count)
{
    const uint32_t end = token_count / pages->page_tokens;
    if (end <= table->published)
        return;
    pm_assert(!table->swapped && end <= table->count && end <= table->named);
    for (; table->published < end; table->published++) {
        const pm_page_id page = table->page_ids[table->published];
        const pm_prefix_hash name = table->names[table->published];
        if (is_named(pages, page))
            pm_assert(pm_prefix_equal(pages->names[page], name));
        else if (find(pages, name) == PM_PAGE_NONE)
            give_name(pages, page, name);
    }
    debug_check(pages);
}

void pm_kv_pages_release(pm_kv_pages *pages, pm_block_table *table)
{
    pm_assert(!table->swapped);
    if (table->copy_from != PM_PAGE_NONE)
        drop(pages, table->copy_from);
    table->copy_from = PM_PAGE_NONE;
    while (table->count > 0) /* from the end: the beginning of a prefix stays longest */
        drop(pages, table->page_ids[--table->count]);
    table->published = 0;
    debug_check(pages);
}

void pm_kv_pages_forget(pm_kv_pages *pages)
{
    for (uint32_t page = 0; page < pages->page_count; page++)
        if (is_named(pages, page))
            take_name(pages, page);
    debug_check(pages);
}

/* ---------------------------------------------------------------- reports */

uint32_t pm_kv_pages_count(const pm_kv_pages *pages)
{
    return pages->page_count;
}

uint32_t pm_kv_pages_tokens(const pm_kv_pages *pages)
{
    return pages->page_tokens;
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

uint32_t pm_kv_pages_named_count(const pm_kv_pages *pages)
{
    return pages->named_count;
}

uint64_t pm_kv_pages_evictions(const pm_kv_pages *pages)
{
    return pages->evictions;
}

uint32_t pm_kv_pages_refs(const pm_kv_pages *pages, pm_page_id page)
{
    pm_assert(page < pages->page_count);
    return pages->ref_count[page];
}

bool pm_kv_pages_name(const pm_kv_pages *pages, pm_page_id page, pm_prefix_hash *name)
{
    pm_assert(page < pages->page_count);
    if (!is_named(pages, page))
        return false;
    *name = pages->names[page];
    return true;
}

void pm_kv_pages_check(const pm_kv_pages *pages)
{
    uint32_t unreferenced = 0, listed = 0, indexed = 0;
    pm_assert(pages->free_count <= pages->page_count);
    pm_assert(pages->used_max >= pages->page_count - pages->free_count && pages->used_max <= pages->page_count);
    for (uint32_t i = 0; i < pages->page_count; i++)
        unreferenced += pages->ref_count[i] == 0;
    pm_assert(unreferenced == pages->free_count);
    bool named = false;
    for (pm_page_id p = pages->next[pages->page_count]; p != pages->page_count; p = pages->next[p], listed++) {
        pm_assert(listed < pages->free_count && pages->ref_count[p] == 0);
        pm_assert(pages->next[pages->prev[p]] == p && pages->prev[pages->next[p]] == p);
        pm_assert(!named || is_named(pages, p)); /* nameless ones first */
        named = is_named(pages, p);
    }
    pm_assert(listed == pages->free_count);
    for (uint32_t b = 0; b < pages->bucket_count; b++)
        for (pm_page_id p = pages->buckets[b]; p != PM_PAGE_NONE; p = pages->chain[p], indexed++) {
            pm_assert(indexed < pages->named_count && bucket_of(pages, pages->names[p]) == &pages->buckets[b]);
            pm_assert(find(pages, pages->names[p]) == p); /* its name is its own */
        }
    pm_assert(indexed == pages->named_count);
}
