/* test_kv_prefix.c - pages have one name when all that they depend on is the same, and else two. */
#include "kv/pages.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const pm_prefix_hash counting_key = {{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};

static uint64_t rng_state;

static uint64_t rng(void)
{
    return rng_state = pm_mix64(rng_state);
}

static void seed_rng(void)
{
    const char *text = getenv("PUMICE_TEST_SEED");
    rng_state = text != NULL ? strtoull(text, NULL, 0) : 20261125;
    printf("seed %llu\n", (unsigned long long)rng_state);
}

/* Of bytes 0, 1, 2, ... under the key 0, 1, ... 15: the first are SipHash's own vectors for 128
 * bits of output, all of them what OpenSSL 3.0's SIPHASH with size:16 says. */
static void siphash_is_siphash_2_4_128(void **state)
{
    (void)state;
    static const struct { size_t bytes; const char *hex; } vectors[] = {
        {0, "a3817f04ba25a8e66df67214c7550293"}, {1, "da87c1d86b99af44347659119b22fc45"},
        {2, "8177228da4a45dc7fca38bdef60affe4"}, {3, "9c70b60c5267a94e5f33b6b02985ed51"},
        {7, "a1f1ebbed8dbc153c0b84aa61ff08239"}, {8, "3b62a9ba6258f5610f83e264f31497b4"},
        {9, "264499060ad9baabc47f8b02bb6d71ed"}, {15, "5493e99933b0a8117e08ec0f97cfc3d9"},
        {16, "6ee2a4ca67b054bbfd3315bf85230577"}, {17, "473d06e8738db89854c066c47ae47740"},
        {31, "2939b0183223fafc1723de4f52c43d35"}, {63, "5150d1772f50834a503e069a973fbd7c"},
        {255, "1c9bb67528165f8e468248e3799b0eab"}, {256, "67a00304d3834c4612eaee7b5f579acb"},
        {300, "ce005a406d14b36d5386b5f7a7e1b311"}};
    unsigned char data[300 + 8];
    for (size_t v = 0; v < sizeof(vectors) / sizeof(vectors[0]); v++)
        for (size_t shift = 0; shift < 8; shift++) { /* wherever the bytes lie */
            char hex[33];
            for (size_t i = 0; i < vectors[v].bytes; i++)
                data[shift + i] = (unsigned char)i;
            const pm_prefix_hash h = pm_prefix_siphash(counting_key, data + shift, vectors[v].bytes);
            for (int i = 0; i < 16; i++)
                snprintf(hex + 2 * i, 3, "%02x", (unsigned)(h.word[i / 8] >> (8 * (i % 8)) & 0xff));
            assert_string_equal(hex, vectors[v].hex);
        }
    assert_true(pm_prefix_equal(pm_prefix_siphash(counting_key, NULL, 0), pm_prefix_siphash(counting_key, data, 0)));
}

/* The parent's 16 bytes and then the tokens', little-endian. */
static void a_name_is_the_hash_of_parent_and_tokens(void **state)
{
    (void)state;
    seed_rng();
    for (uint32_t count = 1; count <= 256; count++) {
        const pm_prefix_hash key = {{rng(), rng()}}, parent = {{rng(), rng()}};
        int32_t tokens[256];
        unsigned char bytes[16 + sizeof(tokens)], *b = bytes;
        for (int w = 0; w < 2; w++)
            for (int i = 0; i < 8; i++)
                *b++ = (unsigned char)(parent.word[w] >> (8 * i));
        for (uint32_t t = 0; t < count; t++) {
            tokens[t] = (int32_t)(uint32_t)rng();
            for (int i = 0; i < 4; i++)
                *b++ = (unsigned char)((uint32_t)tokens[t] >> (8 * i));
        }
        assert_true(pm_prefix_equal(pm_prefix_next(key, parent, tokens, count),
                                    pm_prefix_siphash(key, bytes, (size_t)(b - bytes))));
    }
}

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(pm_prefix_hash));
}

static void assert_all_differ(pm_prefix_hash *names, size_t count)
{
    qsort(names, count, sizeof(*names), by_name);
    for (size_t i = 1; i < count; i++)
        assert_false(pm_prefix_equal(names[i - 1], names[i]));
}

enum { PAGES = 6, PAGE_TOKENS = 16 };

static void name_all(pm_prefix_hash root, const int32_t *tokens, pm_prefix_hash names[PAGES])
{
    for (uint32_t p = 0; p < PAGES; p++)
        names[p] = pm_prefix_next(counting_key, p == 0 ? root : names[p - 1], tokens + p * PAGE_TOKENS, PAGE_TOKENS);
}

/* A token's change renames its page and all behind it, none before it. */
static void a_name_depends_on_each_token_before_its_end(void **state)
{
    (void)state;
    int32_t tokens[PAGES * PAGE_TOKENS];
    pm_prefix_hash names[PAGES], changed[PAGES];
    const pm_prefix_hash root = pm_prefix_root(counting_key, 0, NULL, 0);
    uint64_t bits = 0, flips = 0;
    seed_rng();
    for (uint32_t t = 0; t < PAGES * PAGE_TOKENS; t++)
        tokens[t] = (int32_t)(rng() % 32000);
    name_all(root, tokens, names);
    for (uint32_t t = 0; t < PAGES * PAGE_TOKENS; t++)
        for (uint32_t bit = 0; bit < 32; bit++) {
            tokens[t] ^= (int32_t)(1u << bit);
            name_all(root, tokens, changed);
            tokens[t] ^= (int32_t)(1u << bit);
            for (uint32_t p = 0; p < PAGES; p++) {
                assert_int_equal(pm_prefix_equal(names[p], changed[p]), p < t / PAGE_TOKENS);
                for (int w = 0; w < 2 && p == t / PAGE_TOKENS; w++, flips += 64)
                    bits += (uint64_t)__builtin_popcountll(names[p].word[w] ^ changed[p].word[w]);
            }
        }
    /* Half of the bits change: 393,216 throws of a coin have a deviation of 0.0008. */
    printf("%.4f of the bits change\n", (double)bits / (double)flips);
    assert_true((double)bits > 0.494 * (double)flips && (double)bits < 0.506 * (double)flips);
}

/* The same tokens elsewhere, in another order, or in another number. */
static void equal_tokens_elsewhere_are_another_page(void **state)
{
    (void)state;
    int32_t tokens[PAGES * PAGE_TOKENS] = {0};
    pm_prefix_hash all[3 * PAGES + 256];
    name_all(pm_prefix_root(counting_key, 0, NULL, 0), tokens, all);        /* all tokens are 0 */
    name_all(pm_prefix_root(counting_key, 1, NULL, 0), tokens, all + PAGES);
    for (uint32_t p = 0; p < PAGES; p++) { /* 1 0 0 ..., 0 1 0 ... */
        int32_t order[PAGE_TOKENS] = {0};
        order[p] = 1;
        all[2 * PAGES + p] = pm_prefix_next(counting_key, all[0], order, PAGE_TOKENS);
    }
    static const int32_t zeros[300];
    for (uint32_t count = 0; count < 256; count++)
        all[3 * PAGES + count] = pm_prefix_next(counting_key, all[2], zeros, count == PAGE_TOKENS ? 300 : count);
    assert_all_differ(all, sizeof(all) / sizeof(all[0]));
}

/* No adapter and no salt of one shares a page with another's. */
static void tenants_and_adapters_share_nothing(void **state)
{
    (void)state;
    static const uint32_t adapters[] = {0, 1, 2, 3, 255, 256, 1u << 30, 1u << 31, UINT32_MAX};
    static const char salts[][12] = {"", "a", "b", "ab", "ba", "a\0", "tenant", "Tenant", "tenant ", "\0", "\0\0"};
    static const size_t bytes[] = {0, 1, 1, 2, 2, 2, 6, 6, 7, 1, 2};
    enum { A = sizeof(adapters) / sizeof(adapters[0]), S = sizeof(bytes) / sizeof(bytes[0]) };
    pm_prefix_hash roots[2 * A * S], firsts[2 * A * S];
    const int32_t tokens[PAGE_TOKENS] = {7};
    size_t n = 0;
    for (uint32_t k = 0; k < 2; k++) { /* nor under another key */
        const pm_prefix_hash key = {{counting_key.word[0], counting_key.word[1] ^ k}};
        for (uint32_t a = 0; a < A; a++)
            for (uint32_t s = 0; s < S; s++, n++) {
                roots[n] = pm_prefix_root(key, adapters[a], salts[s], bytes[s]);
                firsts[n] = pm_prefix_next(key, roots[n], tokens, PAGE_TOKENS);
            }
    }
    assert_true(pm_prefix_equal(pm_prefix_root(counting_key, 3, NULL, 0), pm_prefix_root(counting_key, 3, "x", 0)));
    assert_all_differ(roots, n);
    assert_all_differ(firsts, n);
}

static void a_drawn_key_is_another_each_time(void **state)
{
    (void)state;
    pm_prefix_hash keys[64];
    for (int i = 0; i < 64; i++)
        keys[i] = pm_prefix_key_draw();
    assert_all_differ(keys, 64);
}

/* The index goes by all 128 bits: names that share a bucket, or either word, are told apart. */
static void names_that_share_a_word_are_two(void **state)
{
    (void)state;
    static const pm_prefix_hash alike[] = {{{5, 1}}, {{5, 2}}, {{6, 1}}, {{6, 2}}, {{5 + 64, 1}}, {{5 + (UINT64_C(1) << 63), 1}}};
    enum { N = sizeof(alike) / sizeof(alike[0]) };
    pm_kv_pages *pages = NULL;
    pm_block_table tables[N], other;
    assert_int_equal(pm_kv_pages_create(16, PAGE_TOKENS, &pages), PM_OK);
    assert_int_equal(pm_block_table_init(&other, 1), PM_OK);
    other.named = 1;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t revived;
        assert_int_equal(pm_block_table_init(&tables[i], 1), PM_OK);
        tables[i].names[0] = other.names[0] = alike[i];
        tables[i].named = 1;
        assert_true(pm_kv_pages_write(pages, &tables[i], 0, PAGE_TOKENS));
        assert_int_equal(pm_kv_pages_match(pages, &other, 0, 1, &revived), 0);
        pm_kv_pages_publish(pages, &tables[i], PAGE_TOKENS);
        pm_kv_pages_check(pages);
    }
    for (uint32_t i = 0; i < N; i++) { /* each finds its own, in use and free */
        other.names[0] = alike[i];
        for (int free = 0; free < 2; free++) {
            uint32_t revived;
            const pm_page_id page = i; /* handed out in this order */
            assert_int_equal(pm_kv_pages_match(pages, &other, 0, 1, &revived), 1);
            assert_int_equal(revived, free);
            pm_kv_pages_adopt(pages, &other, 0, 1);
            assert_int_equal(other.page_ids[0], page);
            pm_kv_pages_release(pages, &other);
            pm_kv_pages_release(pages, &tables[i]);
            pm_kv_pages_check(pages);
        }
        pm_block_table_finish(&tables[i]);
    }
    pm_block_table_finish(&other);
    pm_kv_pages_destroy(pages);
}

/* A request of one table: `count` pages of the text, found or written, named and released. Returns what was evicted. */
static uint64_t read_text(pm_kv_pages *pages, int32_t text, uint32_t count)
{
    const uint64_t before = pm_kv_pages_evictions(pages);
    pm_block_table table;
    pm_prefix_hash parent = pm_prefix_root(counting_key, 0, NULL, 0);
    int32_t tokens[PAGE_TOKENS] = {text};
    uint32_t revived;
    assert_int_equal(pm_block_table_init(&table, count), PM_OK);
    for (; table.named < count; table.named++)
        parent = table.names[table.named] = pm_prefix_next(counting_key, parent, tokens, PAGE_TOKENS);
    const uint32_t found = pm_kv_pages_match(pages, &table, 0, count, &revived);
    pm_kv_pages_adopt(pages, &table, 0, found);
    assert_true(pm_kv_pages_write(pages, &table, found * PAGE_TOKENS, count * PAGE_TOKENS));
    pm_kv_pages_publish(pages, &table, count * PAGE_TOKENS);
    pm_kv_pages_release(pages, &table);
    pm_block_table_finish(&table);
    return pm_kv_pages_evictions(pages) - before;
}

/* A pool of 8 pages. An eviction is a page whose name is lost because other tokens take its place: not one that is
 * found again, nor one whose content is gone with the device. */
static void evictions_are_counted_one_by_one(void **state)
{
    (void)state;
    static const struct { int32_t text; uint32_t pages, evicted; } steps[] = {
        {1, 3, 0}, {2, 3, 0},      /* six of eight */
        {1, 3, 0},                 /* found again, and now younger than text 2 */
        {3, 4, 2},                 /* two without a name, and the last two of text 2 */
        {2, 1, 0},                 /* its first page is there yet */
        {2, 3, 2},                 /* the last two of text 1 for what was lost of it */
        {1, 1, 0},
        {4, 8, 8},                 /* the whole pool */
    };
    pm_kv_pages *pages = NULL;
    uint64_t sum = 0;
    assert_int_equal(pm_kv_pages_create(8, PAGE_TOKENS, &pages), PM_OK);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        assert_int_equal(read_text(pages, steps[i].text, steps[i].pages), steps[i].evicted);
        sum += steps[i].evicted;
    }
    assert_int_equal(pm_kv_pages_evictions(pages), sum);
    pm_kv_pages_forget(pages);
    assert_int_equal(read_text(pages, 5, 8), 0);
    assert_int_equal(read_text(pages, 6, 8), 8);
    pm_kv_pages_destroy(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_is_siphash_2_4_128),
        cmocka_unit_test(a_name_is_the_hash_of_parent_and_tokens),
        cmocka_unit_test(a_name_depends_on_each_token_before_its_end),
        cmocka_unit_test(equal_tokens_elsewhere_are_another_page),
        cmocka_unit_test(tenants_and_adapters_share_nothing),
        cmocka_unit_test(a_drawn_key_is_another_each_time),
        cmocka_unit_test(names_that_share_a_word_are_two),
        cmocka_unit_test(evictions_are_counted_one_by_one),
    };
    return cmocka_run_group_tests_name("kv.prefix", tests, NULL, NULL);
}
