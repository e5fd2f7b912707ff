/* test_kv_states.c - every state that small pools can come to: breadth first, from the empty
 * pool, through each call in each order, until no new state comes.
 *
 * The code under test is included (PAGES_SOURCE, SWAP_SOURCE), so that its state can be put
 * back, and so that the same search runs over copies with a fault in them: CMakeLists.txt
 * plants the faults, and the last test expects each to be found.
 *
 * Pages have contents here, in two halves of 4 tokens; a token is one of two letters. What is
 * checked in each state:
 *   - a page's references are those who hold it; the free list has those with none, once each;
 *   - a page with a name holds what the name says, and names are unique;
 *   - each sequence finds its own text through its table, with the copy that is still to be made;
 *   - a host slot is free or held once, and what lies there is its sequence's text;
 *   - a call that says no has changed nothing.
 *
 * States are told apart but for what nobody can see: which of two pages, slots, sequences or
 * letters is called the first, and the order of a hash bucket.
 */
#ifdef FAULTS
static int planted;                /* the fault that is on; 0 = none */
#endif
#include PAGES_SOURCE
#include SWAP_SOURCE

#include "base/hash.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGES = 4, TABLES = 3, CAP = 3, SLOTS = 3, HALVES = 2 * CAP, PAGE_TOKENS = 8, KEY_BYTES = 72, NOTHING = 0 };

/* A text of up to HALVES letters: 1 and then its letters, as a binary number. 1 = empty. */
typedef uint8_t text;

static uint32_t text_len(text t)
{
    return 31 - (uint32_t)__builtin_clz(t);
}

static text text_head(text t, uint32_t len)
{
    return (text)(t >> (text_len(t) - len));
}

/* --------------------------------------------------------------- the world */

typedef struct size {
    uint32_t pages, tables, cap, slots;
} size;

typedef struct table_state {
    pm_page_id ids[CAP];
    uint32_t count, named, published, copy_from, copy_index;
    bool swapped;
    uint8_t len;                   /* letters computed */
    text known;                    /* the tokens there are: at least those computed */
} table_state;

typedef struct world {
    uint32_t ref_count[PAGES], next[PAGES + 1], prev[PAGES + 1], buckets[PAGES], chain[PAGES];
    uint32_t free_count, named_count;
    pm_prefix_hash names[PAGES];
    uint32_t free_slots[SLOTS], free_slot_count;
    table_state tables[TABLES];
    text half[PAGES][2], host[SLOTS][2]; /* the text up to and with what is written there; NOTHING = noise */
} world;

static size sz;
static pm_kv_pages *pool;
static pm_kv_swap swap;
static pm_block_table tables[TABLES];
static world w;                    /* contents and texts of the moment; the rest after save() */
static pm_prefix_hash name_of[1 << (HALVES + 1)];
static const pm_prefix_hash key = {{1, 2}};

static void make_names(void)
{
    name_of[1] = pm_prefix_root(key, 0, NULL, 0);
    for (uint32_t t = 4; t < 1u << (HALVES + 1); t++)
        if (text_len((text)t) % 2 == 0) {
            int32_t tokens[PAGE_TOKENS];
            for (uint32_t i = 0; i < PAGE_TOKENS; i++)
                tokens[i] = (int32_t)(t >> (i < 4) & 1);
            name_of[t] = pm_prefix_next(key, name_of[t >> 2], tokens, PAGE_TOKENS);
        }
}

static text text_of(pm_prefix_hash name)
{
    for (uint32_t t = 4; t < 1u << (HALVES + 1); t++)
        if (text_len((text)t) % 2 == 0 && pm_prefix_equal(name_of[t], name))
            return (text)t;
    return NOTHING;
}

static void name_tables(pm_block_table *table, text known)
{
    for (uint32_t i = 0; i < text_len(known) / 2; i++)
        table->names[i] = name_of[text_head(known, 2 * i + 2)];
    table->named = text_len(known) / 2;
}

static void save(world *out)
{
    const uint32_t p = sz.pages;
    *out = w;
    memcpy(out->ref_count, pool->ref_count, p * sizeof(uint32_t));
    memcpy(out->next, pool->next, (p + 1) * sizeof(uint32_t));
    memcpy(out->prev, pool->prev, (p + 1) * sizeof(uint32_t));
    memcpy(out->buckets, pool->buckets, pool->bucket_count * sizeof(uint32_t));
    memcpy(out->chain, pool->chain, p * sizeof(uint32_t));
    memcpy(out->names, pool->names, p * sizeof(*out->names));
    memcpy(out->free_slots, swap.free_slots, sz.slots * sizeof(uint32_t));
    out->free_count = pool->free_count;
    out->named_count = pool->named_count;
    out->free_slot_count = swap.free_count;
    for (uint32_t i = 0; i < sz.tables; i++) {
        table_state *t = &out->tables[i];
        memcpy(t->ids, tables[i].page_ids, sz.cap * sizeof(*t->ids));
        t->count = tables[i].count;
        t->named = tables[i].named;
        t->published = tables[i].published;
        t->copy_from = tables[i].copy_from;
        t->copy_index = tables[i].copy_index;
        t->swapped = tables[i].swapped;
    }
}

static void load(const world *from)
{
    const uint32_t p = sz.pages;
    w = *from;
    memcpy(pool->ref_count, w.ref_count, p * sizeof(uint32_t));
    memcpy(pool->next, w.next, (p + 1) * sizeof(uint32_t));
    memcpy(pool->prev, w.prev, (p + 1) * sizeof(uint32_t));
    memcpy(pool->buckets, w.buckets, pool->bucket_count * sizeof(uint32_t));
    memcpy(pool->chain, w.chain, p * sizeof(uint32_t));
    memcpy(pool->names, w.names, p * sizeof(*w.names));
    memcpy(swap.free_slots, w.free_slots, sz.slots * sizeof(uint32_t));
    pool->free_count = w.free_count;
    pool->named_count = w.named_count;
    pool->used_max = p;
    swap.free_count = w.free_slot_count;
    for (uint32_t i = 0; i < sz.tables; i++) {
        const table_state *t = &w.tables[i];
        memcpy(tables[i].page_ids, t->ids, sz.cap * sizeof(*t->ids));
        name_tables(&tables[i], t->known);
        tables[i].named = t->named;
        tables[i].count = t->count;
        tables[i].published = t->published;
        tables[i].copy_from = t->copy_from;
        tables[i].copy_index = t->copy_index;
        tables[i].swapped = t->swapped;
    }
}

/* -------------------------------------------------------------- invariants */

static const char *violated;

static bool is(bool holds, const char *what)
{
    if (!holds && violated == NULL)
        violated = what;
    return holds;
}

/* What the device reads at half h of a table, once the copy that is due has been made. */
static text read_half(uint32_t t, uint32_t h)
{
    const pm_block_table *table = &tables[t];
    const uint32_t index = h / 2;
    if (table->swapped)
        return w.host[table->page_ids[index]][h % 2];
    const bool copied = table->copy_from != PM_PAGE_NONE && table->copy_index == index;
    return w.half[copied ? table->copy_from : table->page_ids[index]][h % 2];
}

static void check_holders(void)
{
    uint32_t holders[PAGES] = {0}, slots[SLOTS] = {0}, listed[PAGES] = {0};
    for (uint32_t t = 0; t < sz.tables; t++) {
        const pm_block_table *table = &tables[t];
        is(table->count <= sz.cap && table->named <= text_len(w.tables[t].known) / 2, "a table within its bounds");
        for (uint32_t i = 0; i < table->count && i < sz.cap; i++) {
            if (!is(table->page_ids[i] < (table->swapped ? sz.slots : sz.pages), "an id of a page or slot that is"))
                return;
            ++*(table->swapped ? &slots[table->page_ids[i]] : &holders[table->page_ids[i]]);
        }
        if (table->copy_from != PM_PAGE_NONE && is(table->copy_from < sz.pages && !table->swapped, "a copy of a page that is"))
            holders[table->copy_from]++;
    }
    uint32_t at = pool->next[sz.pages], count = 0;
    for (; at < sz.pages && count <= sz.pages; at = pool->next[at], count++)
        listed[at]++;
    is(at == sz.pages && count == pool->free_count, "a free list that ends");
    for (uint32_t p = 0; p < sz.pages; p++) {
        is(pool->ref_count[p] == holders[p], "references equal to holders");
        is(listed[p] == (holders[p] == 0), "free or held, once");
    }
    is(swap.free_count <= sz.slots, "no more free slots than slots");
    for (uint32_t i = 0; i < swap.free_count && i < sz.slots; i++)
        slots[swap.free_slots[i] % SLOTS]++;
    for (uint32_t i = 0; i < sz.slots; i++)
        is(slots[i] == 1, "a slot free or held, once");
}

static void check_contents(void)
{
    for (uint32_t p = 0; p < sz.pages; p++) {
        pm_prefix_hash name;
        if (!pm_kv_pages_name(pool, p, &name))
            continue;
        const text t = text_of(name);
        is(t != NOTHING && w.half[p][1] == t && w.half[p][0] == t >> 1, "a named page holds what its name says");
    }
    for (uint32_t t = 0; t < sz.tables; t++)
        for (uint32_t h = 0; h < w.tables[t].len; h++)
            is(h / 2 < tables[t].count && read_half(t, h) == text_head(w.tables[t].known, h + 1), "a sequence reads its own text");
}

static bool check(void)
{
    check_holders();
    if (violated == NULL)
        check_contents();
    if (violated == NULL)
        pm_kv_pages_check(pool);
    return violated == NULL;
}

/* What nobody reads any more is noise, so that relying on it shows. */
static void spoil(void)
{
    bool live[PAGES][2] = {{false}}, slot_live[SLOTS][2] = {{false}};
    pm_prefix_hash name;
    for (uint32_t p = 0; p < sz.pages; p++)
        live[p][0] = live[p][1] = pm_kv_pages_name(pool, p, &name);
    for (uint32_t t = 0; t < sz.tables; t++)
        for (uint32_t h = 0; h < w.tables[t].len; h++) {
            const pm_block_table *table = &tables[t];
            const bool copied = table->copy_from != PM_PAGE_NONE && table->copy_index == h / 2;
            if (table->swapped)
                slot_live[table->page_ids[h / 2]][h % 2] = true;
            else
                live[copied ? table->copy_from : table->page_ids[h / 2]][h % 2] = true;
        }
    for (uint32_t p = 0; p < sz.pages; p++)
        for (int h = 0; h < 2; h++)
            w.half[p][h] = live[p][h] ? w.half[p][h] : NOTHING;
    for (uint32_t i = 0; i < sz.slots; i++)
        for (int h = 0; h < 2; h++)
            w.host[i][h] = slot_live[i][h] ? w.host[i][h] : NOTHING;
}

/* ------------------------------------------------------------------- calls */

static const world *before;        /* the state that the call is made in */

/* It said no. */
static void nothing_changed(void)
{
    static world after;
    save(&after);
    is(memcmp(&after, before, sizeof(after)) == 0, "a call that says no changes nothing");
}

static bool may_write(uint32_t t, uint32_t letters)
{
    const uint32_t begin = w.tables[t].len * 4u, end = begin + letters * 4, free_before = pool->free_count;
    const uint32_t cost = pm_kv_pages_write_cost(pool, &tables[t], begin, end);
    const bool done = pm_kv_pages_write(pool, &tables[t], begin, end);
    is(done == (cost <= free_before), "a write is possible where its cost says so");
    is(!done || free_before - pool->free_count == cost, "a write costs what it said");
    if (!done)
        nothing_changed();
    return done;
}

typedef enum verb { PUT, RESERVE, COPIED, UNPUT, PUBLISH, SHARE, RELEASE, ADOPT, SWAP_OUT, SWAP_IN, DISCARD, RESET, VERBS } verb;

static const char *const verb_names[] = {"put", "reserve", "copied", "unput", "publish", "share", "release", "adopt",
                                         "swap out", "swap in", "discard", "reset"};

/* One call: of table t, with what else it needs. */
typedef struct call {
    uint8_t verb, table, a, b;
} call;

/* A letter is computed: one that is known already, or `letter`. */
static bool put(uint32_t t, uint32_t letter)
{
    table_state *s = &w.tables[t];
    if (tables[t].swapped || tables[t].copy_from != PM_PAGE_NONE || s->len == 2 * sz.cap ||
        (letter != 0 && s->len < text_len(s->known)))
        return false;
    if (!may_write(t, 1))
        return true;
    if (tables[t].copy_from != PM_PAGE_NONE)
        return true;               /* and then once more */
    const pm_page_id page = tables[t].page_ids[s->len / 2];
    pm_prefix_hash name;
    is(pm_kv_pages_refs(pool, page) == 1 && !pm_kv_pages_name(pool, page, &name), "written by its only holder, without a name");
    if (s->len == text_len(s->known))
        s->known = (text)(s->known << 1 | letter);
    s->len++;
    w.half[page][(s->len - 1) % 2] = text_head(s->known, s->len);
    return true;
}

static bool copied(uint32_t t)
{
    pm_block_table *table = &tables[t];
    if (table->copy_from == PM_PAGE_NONE)
        return false;
    memcpy(w.half[table->page_ids[table->copy_index]], w.half[table->copy_from], sizeof(w.half[0]));
    const pm_page_id from = table->copy_from;
    table->copy_from = PM_PAGE_NONE;
    pm_kv_pages_drop(pool, from);
    return true;
}

/* A guess that was wrong: never in a page that was published. */
static bool unput(uint32_t t)
{
    table_state *s = &w.tables[t];
    if (s->len == 0 || s->len != text_len(s->known) || tables[t].swapped || tables[t].copy_from != PM_PAGE_NONE ||
        (s->len - 1) / 2u < tables[t].published)
        return false;
    s->known >>= 1;
    s->len--;
    tables[t].named = min_u32(tables[t].named, s->len / 2);
    return true;
}

static bool publish(uint32_t t)
{
    table_state *s = &w.tables[t];
    if (tables[t].swapped || s->len / 2u <= tables[t].published)
        return false;
    name_tables(&tables[t], s->known);
    pm_kv_pages_publish(pool, &tables[t], s->len * 4u);
    return true;
}

static bool share(uint32_t parent, uint32_t child, uint32_t len)
{
    if (child == parent || tables[child].count > 0 || tables[child].swapped || tables[parent].swapped || len > w.tables[parent].len)
        return false;
    pm_kv_pages_share(pool, &tables[child], &tables[parent], len * 4);
    w.tables[child].len = (uint8_t)len;
    w.tables[child].known = text_head(w.tables[parent].known, len);
    tables[child].named = 0;
    return true;
}

static void empty(uint32_t t)
{
    w.tables[t].len = 0;
    w.tables[t].known = 1;
    tables[t].named = 0;
}

/* Pages of `found`, a text that the index knows, behind what is computed; `again`: the last
 * letter is to be computed once more. */
static bool adopt(uint32_t t, text found, bool again)
{
    table_state *s = &w.tables[t];
    const uint32_t from = s->len / 2, to = text_len(found) / 2;
    const uint32_t both = text_len(found) < text_len(s->known) ? text_len(found) : text_len(s->known);
    uint32_t revived;
    if (tables[t].swapped || tables[t].copy_from != PM_PAGE_NONE || s->len % 2 != 0 || to <= from ||
        text_head(found, both) != text_head(s->known, both) || (again && s->len > 0))
        return false;
    const text known = text_len(s->known) > text_len(found) ? s->known : found;
    const uint32_t named = tables[t].named;
    name_tables(&tables[t], known);
    if (pm_kv_pages_match(pool, &tables[t], from, to, &revived) != to - from) {
        tables[t].named = named;
        return false;
    }
    s->known = known;
    pm_kv_pages_adopt(pool, &tables[t], from, to - from);
    s->len = (uint8_t)(2 * to - again);
    return true;
}

static bool swap_out(uint32_t t)
{
    pm_kv_move moves[CAP];
    uint32_t count = 0;
    if (tables[t].swapped || tables[t].count == 0)
        return false;
    if (!pm_kv_swap_out(&swap, pool, &tables[t], w.tables[t].len * 4u, moves, CAP, &count)) {
        nothing_changed();
        return true;
    }
    for (uint32_t i = 0; i < count; i++)
        memcpy(w.host[moves[i].slot], w.half[moves[i].page], sizeof(w.half[0]));
    return true;
}

static bool swap_in(uint32_t t)
{
    pm_kv_move moves[CAP];
    uint32_t count = 0;
    if (!tables[t].swapped)
        return false;
    const uint32_t cost = pm_kv_swap_in_cost(pool, &tables[t]), free_before = pool->free_count;
    const bool done = pm_kv_swap_in(&swap, pool, &tables[t], moves, CAP, &count);
    is(done == (cost <= free_before), "the way back is possible where its cost says so");
    is(!done || free_before - pool->free_count == cost, "the way back costs what it said");
    if (!done)
        nothing_changed();
    for (uint32_t i = 0; i < count; i++)
        memcpy(w.half[moves[i].page], w.host[moves[i].slot], sizeof(w.half[0]));
    return true;
}

/* All is gone with the device; texts are kept. */
static void reset(void)
{
    for (uint32_t t = 0; t < sz.tables; t++) {
        if (tables[t].swapped)
            pm_kv_swap_release(&swap, &tables[t]);
        pm_kv_pages_release(pool, &tables[t]);
        w.tables[t].len = 0;
    }
    pm_kv_pages_forget(pool);
    is(pool->free_count == sz.pages && pool->named_count == 0 && swap.free_count == sz.slots, "everything is free after a loss");
}

/* False where the call is not one that may be made here. */
static bool run_call(call c)
{
    const uint32_t t = c.table;
    table_state *s = &w.tables[t];
    switch ((verb)c.verb) {
    case PUT: return put(t, c.a);
    case RESERVE:
        if (tables[t].swapped || s->len + c.a > 2 * sz.cap)
            return false;
        (void)may_write(t, c.a);
        return true;
    case COPIED: return copied(t);
    case UNPUT: return unput(t);
    case PUBLISH: return publish(t);
    case SHARE: return share(t, c.a, c.b);
    case RELEASE:
        if (tables[t].swapped || tables[t].count == 0)
            return false;
        pm_kv_pages_release(pool, &tables[t]);
        empty(t);
        return true;
    case ADOPT: return adopt(t, c.a, c.b);
    case SWAP_OUT: return swap_out(t);
    case SWAP_IN: return swap_in(t);
    case DISCARD:
        if (!tables[t].swapped)
            return false;
        pm_kv_swap_release(&swap, &tables[t]);
        empty(t);
        return true;
    case RESET:
        if (t == 0)
            reset();
        return t == 0;
    default: return false;
    }
}

/* The calls that table t may make here, at most CALLS_MAX. */
enum { CALLS_MAX = 256 };

static uint32_t list_calls(uint32_t t, call *out)
{
    uint32_t n = 0;
    const uint8_t table = (uint8_t)t;
    for (uint8_t v = 0; v < VERBS; v++) {
        if (v == PUT)
            for (uint8_t letter = 0; letter < 2; letter++)
                out[n++] = (call){v, table, letter, 0};
        else if (v == RESERVE)
            for (uint8_t more = 1; more <= 2 * sz.cap; more++)
                out[n++] = (call){v, table, more, 0};
        else if (v == SHARE)
            for (uint8_t child = 0; child < sz.tables; child++)
                for (uint8_t len = 1; len <= w.tables[t].len; len++)
                    out[n++] = (call){v, table, child, len};
        else if (v != ADOPT)
            out[n++] = (call){v, table, 0, 0};
    }
    for (uint32_t p = 0; p < sz.pages; p++) {
        pm_prefix_hash name;
        if (pm_kv_pages_name(pool, p, &name))
            for (uint8_t again = 0; again < 2; again++)
                out[n++] = (call){ADOPT, table, text_of(name), again};
    }
    return n;
}

/* -------------------------------------------------------- what a state is */

typedef struct state_key {
    uint8_t bytes[KEY_BYTES];
} state_key;

/* Letters by first appearance: flip[text] says which letter behind it is called 0. */
static uint8_t plain_text(text t, int8_t flip[1 << HALVES])
{
    text out = 1;
    for (uint32_t i = 0; i < text_len(t); i++) {
        const uint8_t head = text_head(t, i), letter = (uint8_t)(text_head(t, i + 1) & 1);
        if (flip[head] < 0)
            flip[head] = (int8_t)letter;
        out = (text)(out << 1 | (letter ^ (uint8_t)flip[head]));
    }
    return out;
}

static uint8_t plain_page(pm_page_id page, uint8_t called[PAGES], uint8_t *count)
{
    if (page >= sz.pages)
        return 0xff;
    if (called[page] == 0xff)
        called[page] = (*count)++;
    return called[page];
}

static void encode(const uint32_t order[TABLES], state_key *out)
{
    int8_t flip[1 << HALVES];
    uint8_t called[PAGES], by[PAGES], count = 0, *b = out->bytes;
    memset(out, 0, sizeof(*out));
    memset(flip, -1, sizeof(flip));
    memset(called, 0xff, sizeof(called));
    for (uint32_t i = 0; i < sz.tables; i++) {
        const pm_block_table *t = &tables[order[i]];
        const table_state *s = &w.tables[order[i]];
        *b++ = (uint8_t)(t->count | t->named << 2 | t->published << 4 | t->swapped << 6);
        *b++ = s->len;
        *b++ = plain_text(s->known, flip);
        for (uint32_t p = 0; p < t->count && !t->swapped; p++)
            *b++ = plain_page(t->page_ids[p], called, &count);
        *b++ = plain_page(t->copy_from, called, &count);
        *b++ = (uint8_t)(t->copy_from != PM_PAGE_NONE ? t->copy_index : 0);
    }
    for (uint32_t p = pool->next[sz.pages]; p != sz.pages; p = pool->next[p])
        *b++ = plain_page(p, called, &count);
    for (uint32_t p = 0; p < sz.pages; p++)
        by[called[p]] = (uint8_t)p;
    for (uint32_t i = 0; i < sz.pages; i++) {
        pm_prefix_hash name;
        *b++ = pm_kv_pages_name(pool, by[i], &name) ? plain_text(text_of(name), flip) : NOTHING;
    }
}

/* The least of all orders of the tables. */
static state_key key_now(void)
{
    static const uint32_t orders[6][TABLES] = {{0, 1, 2}, {1, 0, 2}, {0, 2, 1}, {2, 0, 1}, {1, 2, 0}, {2, 1, 0}};
    state_key least, next;
    encode(orders[0], &least);
    for (uint32_t i = 1; i < (sz.tables == 3 ? 6u : sz.tables); i++) {
        encode(orders[i], &next);
        least = memcmp(&next, &least, sizeof(least)) < 0 ? next : least;
    }
    return least;
}

/* ------------------------------------------------------------------ search */

typedef struct seen {
    state_key key;
    uint32_t parent;               /* + 1 */
    call by;
} seen;

typedef struct search {
    seen *list;                    /* [capacity] in the order found */
    uint32_t *index;               /* [2 capacity] + 1; 0 = free */
    uint32_t count, capacity;
    uint64_t calls;
    uint32_t parent;
    call now;
} search;

static search *searching;          /* for a message from an assertion */

/* True when the state is new. */
static bool note(search *s, const state_key *k)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof(*k); i += 8) {
        uint64_t word;
        memcpy(&word, k->bytes + i, 8);
        hash = pm_mix64(hash ^ word);
    }
    uint32_t at = (uint32_t)(hash % (2 * s->capacity));
    for (; s->index[at] != 0; at = (at + 1) % (2 * s->capacity))
        if (memcmp(&s->list[s->index[at] - 1].key, k, sizeof(*k)) == 0)
            return false;
    assert_true(s->count < s->capacity);
    s->list[s->count] = (seen){*k, s->parent + 1, s->now};
    s->index[at] = ++s->count;
    return true;
}

static void print_call(call c)
{
    printf("  table %u: %s %u %u\n", c.table, verb_names[c.verb], c.a, c.b);
}

static void print_trail(const search *s)
{
    call trail[64];
    uint32_t n = 0;
    for (uint32_t at = s->parent + 1; at > 1 && n < 64; at = s->list[at - 1].parent)
        trail[n++] = s->list[at - 1].by;
    while (n-- > 0)
        print_call(trail[n]);
    print_call(s->now);
}

static void on_abort(int signal)
{
    (void)signal;
    print_trail(searching);        /* the program ends here */
    fflush(stdout);
    _exit(1);
}

/* Tries each call in the state; new states go to `next`. False: a violation. */
static bool expand(search *s, const world *from, world **next, uint32_t *next_count, uint32_t *next_capacity)
{
    call calls[CALLS_MAX];
    for (uint32_t t = 0; t < sz.tables; t++) {
        load(from);
        const uint32_t count = list_calls(t, calls);
        assert_true(count <= CALLS_MAX);
        for (uint32_t c = 0; c < count; c++) {
            load(from);
            before = from;
            s->now = calls[c];
            if (!run_call(calls[c]) && violated == NULL)
                continue;
            s->calls++;
            if (!check())
                return false;
            spoil();
            const state_key k = key_now();
            if (!note(s, &k))
                continue;
            if (*next_count == *next_capacity) {
                *next_capacity = 2 * *next_capacity + 1024;
                *next = realloc(*next, *next_capacity * sizeof(**next));
                assert_non_null(*next);
            }
            save(&(*next)[(*next_count)++]);
        }
    }
    return true;
}

/* Everything from the empty pool, at most `depth` calls deep; 0 = until nothing new comes.
 * False: a violation, after its trail. */
static bool search_all(size of, uint32_t depth, uint32_t capacity)
{
    search s = {.capacity = capacity, .list = calloc(capacity, sizeof(seen)), .index = calloc(2 * (size_t)capacity, 4)};
    assert_true(s.list != NULL && s.index != NULL);
    sz = of;
    violated = NULL;
    searching = &s;
    memset(&w, 0, sizeof(w));
    assert_int_equal(pm_kv_pages_create(sz.pages, PAGE_TOKENS, &pool), PM_OK);
    assert_int_equal(pm_kv_swap_init(&swap, sz.slots), PM_OK);
    for (uint32_t t = 0; t < sz.tables; t++) {
        assert_int_equal(pm_block_table_init(&tables[t], sz.cap), PM_OK);
        w.tables[t].known = 1;
    }
    world *level = calloc(1, sizeof(world)), *next = NULL;
    uint32_t level_count = 1, level_capacity = 1, next_count = 0, next_capacity = 0, levels = 0, first = 0;
    const state_key start = key_now();
    note(&s, &start);
    save(level);
    bool fine = true;
    while (fine && level_count > 0 && (depth == 0 || levels < depth)) {
        const uint32_t begin = s.count;
        for (uint32_t i = 0; i < level_count && fine; i++) {
            s.parent = first + i;
            fine = expand(&s, &level[i], &next, &next_count, &next_capacity);
        }
        first = begin;
        world *const spare = level;
        const uint32_t spare_capacity = level_capacity;
        level = next;
        level_count = next_count;
        level_capacity = next_capacity;
        next = spare;
        next_capacity = spare_capacity;
        next_count = 0;
        levels++;
    }
    printf("%u pages, %u sequences of %u pages, %u slots: %u states, %llu calls, %u deep%s\n", of.pages, of.tables, of.cap,
           of.slots, s.count, (unsigned long long)s.calls, levels, level_count == 0 ? ", all there are" : "");
    if (!fine) {
        printf("violated: %s\n", violated);
        print_trail(&s);
    }
    for (uint32_t t = 0; t < sz.tables; t++)
        pm_block_table_finish(&tables[t]);
    pm_kv_swap_finish(&swap);
    pm_kv_pages_destroy(pool);
    free(level);
    free(next);
    free(s.list);
    free(s.index);
    return fine;
}

/* ------------------------------------------------------------------- tests */

static const char *faulty;         /* the program made of copies with faults */

static void no_state_of_small_pools_is_wrong(void **state)
{
    (void)state;
    assert_true(search_all((size){3, 2, 2, 2}, 0, 1u << 20));
    assert_true(search_all((size){4, 3, 3, 3}, 9, 1u << 20));
    if (getenv("PUMICE_TEST_FULL") != NULL) {
        assert_true(search_all((size){4, 2, 2, 3}, 0, 1u << 23));
        assert_true(search_all((size){4, 3, 3, 3}, 12, 1u << 23));
    }
}

/* Its exit code with this fault planted. */
static int run_faulty(const char *number)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl(faulty, faulty, number, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void each_planted_fault_is_found(void **state)
{
    (void)state;
    char number[16];
    assert_int_equal(run_faulty("0"), EXIT_SUCCESS); /* none planted */
    for (int i = 1; i <= PLANTED; i++) {
        snprintf(number, sizeof(number), "%d", i);
        assert_int_equal(run_faulty(number), EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_state_of_small_pools_is_wrong),
                                       cmocka_unit_test(each_planted_fault_is_found)};
    make_names();
    signal(SIGABRT, on_abort);     /* an assertion has seen it first */
#ifdef FAULTS
    alarm(120);
    planted = argc > 1 ? atoi(argv[1]) : 0;
    (void)tests;
    printf("fault %d: ", planted);
    return search_all((size){3, 2, 2, 2}, 10, 1u << 20) ? EXIT_SUCCESS : EXIT_FAILURE;
#endif
    faulty = argc > 1 ? argv[1] : "";
    return cmocka_run_group_tests_name("kv.states", tests, NULL, NULL);
}
