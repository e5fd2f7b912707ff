/* test_kv_pages.c - a page is free or held, never both, and nothing is lost. */
#include "kv/pages.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pm_kv_pages *create(uint32_t page_count, uint32_t page_tokens)
{
    pm_kv_pages *pages = NULL;
    assert_int_equal(pm_kv_pages_create(page_count, page_tokens, &pages), PM_OK);
    pm_kv_pages_check(pages);
    return pages;
}

static pm_block_table table_of(uint32_t capacity)
{
    pm_block_table table;
    assert_int_equal(pm_block_table_init(&table, capacity), PM_OK);
    assert_int_equal(table.count, 0);
    assert_int_equal(table.capacity, capacity);
    return table;
}

static void refuses_sizes_out_of_range(void **state)
{
    (void)state;
    const uint32_t bad[][2] = {{0, 16}, {4, 0}, {4, 4}, {4, 12}, {4, 24}, {4, 512}, {UINT32_MAX, 16}, {1u << 28, 16}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pm_kv_pages *pages = NULL;
        assert_int_equal(pm_kv_pages_create(bad[i][0], bad[i][1], &pages), PM_ERR_ARG);
        assert_null(pages);
    }
    for (uint32_t page_tokens = 8; page_tokens <= 256; page_tokens *= 2)
        pm_kv_pages_destroy(create(3, page_tokens));
    pm_kv_pages_destroy(NULL);
}

static void grows_by_whole_pages(void **state)
{
    (void)state;
    pm_kv_pages *pages = create(8, 16);
    pm_block_table table = table_of(6);
    const uint32_t tokens[] = {0, 1, 15, 16, 17, 32, 20, 33, 96};
    const uint32_t expected[] = {0, 1, 1, 1, 2, 2, 2, 3, 6};
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        assert_true(pm_kv_pages_write(pages, &table, 0, tokens[i]));
        assert_int_equal(table.count, expected[i]);
        assert_int_equal(pm_kv_pages_used(pages), expected[i]);
        assert_int_equal(pm_kv_pages_free_count(pages), 8 - expected[i]);
    }
    for (uint32_t t = 0; t < 96; t++) {
        const uint32_t slot = pm_kv_slot(&table, 16, t);
        assert_int_equal(slot / 16, table.page_ids[t / 16]);
        assert_int_equal(slot % 16, t % 16);
    }
    pm_kv_pages_release(pages, &table);
    assert_int_equal(table.count, 0);
    assert_int_equal(pm_kv_pages_used(pages), 0);
    assert_int_equal(pm_kv_pages_used_max(pages), 6);
    pm_kv_pages_release(pages, &table); /* empty already */
    pm_block_table_finish(&table);
    pm_kv_pages_destroy(pages);
}

static void a_full_pool_changes_nothing(void **state)
{
    (void)state;
    pm_kv_pages *pages = create(4, 32);
    pm_block_table a = table_of(8), b = table_of(8);
    assert_true(pm_kv_pages_write(pages, &a, 0, 3 * 32));
    assert_true(pm_kv_pages_write(pages, &b, 0, 1));
    const pm_page_id held = b.page_ids[0];
    assert_false(pm_kv_pages_write(pages, &b, 0, 33));
    assert_false(pm_kv_pages_write(pages, &b, 0, 8 * 32));
    assert_int_equal(b.count, 1);
    assert_int_equal(b.page_ids[0], held);
    assert_int_equal(pm_kv_pages_free_count(pages), 0);
    assert_true(pm_kv_pages_write(pages, &b, 0, 32)); /* the page that is there already */
    pm_kv_pages_release(pages, &a);
    assert_true(pm_kv_pages_write(pages, &b, 0, 4 * 32));
    assert_false(pm_kv_pages_write(pages, &a, 0, 1));
    pm_kv_pages_release(pages, &b);
    assert_int_equal(pm_kv_pages_free_count(pages), 4);
    assert_int_equal(pm_kv_pages_used_max(pages), 4);
    pm_kv_pages_check(pages);
    pm_block_table_finish(&a);
    pm_block_table_finish(&b);
    pm_kv_pages_destroy(pages);
}

static void no_memory_is_an_error_not_a_crash(void **state)
{
    (void)state;
    uint32_t failures = 0;
    for (uint64_t n = 1;; n++) {
        pm_kv_pages *pages = NULL;
        pm_block_table table = {0};
        pm_alloc_fail_at(pm_alloc_count() + n);
        pm_result result = pm_kv_pages_create(64, 16, &pages);
        if (result == PM_OK)
            result = pm_block_table_init(&table, 9);
        pm_alloc_fail_at(0);
        pm_block_table_finish(&table);
        pm_kv_pages_destroy(pages);
        if (result == PM_OK)
            break;
        assert_int_equal(result, PM_ERR_NOMEM);
        failures++;
    }
    assert_true(failures >= 4);
}

/* ------------------------------------------------------------- simulation */

#define SIM_TABLES 12
#define SIM_PAGES_MAX 48

static uint64_t rng_state;

static uint32_t rng(uint32_t limit)
{
    rng_state = pm_mix64(rng_state);
    return (uint32_t)(rng_state >> 33) % limit;
}

/* What a pool must look like from outside, said as simply as possible. */
typedef struct sim {
    pm_kv_pages *pages;
    uint32_t page_count, page_tokens, used_max;
    pm_block_table tables[SIM_TABLES];
    pm_page_id held[SIM_TABLES][SIM_PAGES_MAX]; /* what each table held before */
    uint32_t held_count[SIM_TABLES];
} sim;

static void sim_check(sim *s)
{
    uint32_t refs[SIM_PAGES_MAX] = {0}, used = 0;
    for (uint32_t t = 0; t < SIM_TABLES; t++) {
        assert_int_equal(s->tables[t].count, s->held_count[t]);
        for (uint32_t i = 0; i < s->held_count[t]; i++) {
            assert_int_equal(s->tables[t].page_ids[i], s->held[t][i]);
            assert_true(s->held[t][i] < s->page_count);
            refs[s->held[t][i]]++;
        }
        used += s->held_count[t];
    }
    for (uint32_t p = 0; p < s->page_count; p++) {
        assert_true(refs[p] <= 1);
        assert_int_equal(pm_kv_pages_refs(s->pages, p), refs[p]);
    }
    s->used_max = used > s->used_max ? used : s->used_max;
    assert_int_equal(pm_kv_pages_used(s->pages), used);
    assert_int_equal(pm_kv_pages_free_count(s->pages), s->page_count - used);
    assert_int_equal(pm_kv_pages_used_max(s->pages), s->used_max);
    pm_kv_pages_check(s->pages);
}

static void sim_grow(sim *s, uint32_t t)
{
    pm_block_table *table = &s->tables[t];
    const uint32_t tokens = rng(table->capacity * s->page_tokens + 1);
    uint32_t need = 0;
    while (need * s->page_tokens < tokens)
        need++;
    const uint32_t more = need > s->held_count[t] ? need - s->held_count[t] : 0;
    const bool fits = more <= s->page_count - pm_kv_pages_used(s->pages);
    assert_int_equal(pm_kv_pages_write(s->pages, table, 0, tokens), fits);
    for (uint32_t i = 0; fits && i < more; i++)
        s->held[t][s->held_count[t]++] = table->page_ids[need - more + i];
}

static void a_random_life_leaks_nothing(void **state)
{
    (void)state;
    const char *text = getenv("PUMICE_TEST_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20261124;
    printf("seed %llu\n", (unsigned long long)seed);
    uint32_t steps = 0;
    for (uint32_t run = 0; run < 100; run++) {
        rng_state = seed + run;
        sim s = {.page_count = 1 + rng(SIM_PAGES_MAX), .page_tokens = 8u << rng(6)};
        s.pages = create(s.page_count, s.page_tokens);
        for (uint32_t t = 0; t < SIM_TABLES; t++)
            s.tables[t] = table_of(1 + rng(SIM_PAGES_MAX));
        const uint64_t allocations = pm_alloc_count();
        for (uint32_t step = 0; step < 500; step++, steps++) {
            const uint32_t t = rng(SIM_TABLES);
            if (rng(4) > 0) {
                sim_grow(&s, t);
            } else {
                pm_kv_pages_release(s.pages, &s.tables[t]);
                s.held_count[t] = 0;
            }
            sim_check(&s);
        }
        assert_true(pm_alloc_count() == allocations);
        for (uint32_t t = 0; t < SIM_TABLES; t++) {
            pm_kv_pages_release(s.pages, &s.tables[t]);
            pm_block_table_finish(&s.tables[t]);
        }
        assert_int_equal(pm_kv_pages_free_count(s.pages), s.page_count);
        pm_kv_pages_destroy(s.pages);
    }
    printf("%u steps\n", steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_sizes_out_of_range),
        cmocka_unit_test(grows_by_whole_pages),
        cmocka_unit_test(a_full_pool_changes_nothing),
        cmocka_unit_test(no_memory_is_an_error_not_a_crash),
        cmocka_unit_test(a_random_life_leaks_nothing),
    };
    return cmocka_run_group_tests_name("kv.pages", tests, NULL, NULL);
}
