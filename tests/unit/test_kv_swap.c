/* test_kv_swap.c - pages go to host slots and come back, each move to be made and no other. */
#include "kv/swap.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { T = 8, MOVES = 8 };         /* tokens of a page */

static const pm_prefix_hash key = {{1, 2}};

typedef struct place {
    pm_kv_pages *pages;
    pm_kv_swap swap;
    pm_block_table a, b;
    pm_kv_move moves[MOVES];
    uint32_t count;
} place;

/* Both tables' tokens are 0, 1, 2, ... */
static place make(uint32_t page_count, uint32_t slot_count)
{
    place p = {0};
    assert_int_equal(pm_kv_pages_create(page_count, T, &p.pages), PM_OK);
    assert_int_equal(pm_kv_swap_init(&p.swap, slot_count), PM_OK);
    assert_int_equal(pm_block_table_init(&p.a, 6), PM_OK);
    assert_int_equal(pm_block_table_init(&p.b, 6), PM_OK);
    for (int32_t i = 0; i < 6; i++) {
        const int32_t tokens[T] = {T * i, T * i + 1, T * i + 2, T * i + 3, T * i + 4, T * i + 5, T * i + 6, T * i + 7};
        p.a.names[i] = pm_prefix_next(key, i == 0 ? pm_prefix_root(key, 0, NULL, 0) : p.a.names[i - 1], tokens, T);
        p.b.names[i] = p.a.names[i];
    }
    p.a.named = p.b.named = 6;
    return p;
}

static void finish(place *p)
{
    assert_int_equal(p->swap.free_count, p->swap.slot_count);
    assert_int_equal(pm_kv_pages_used(p->pages), 0);
    pm_block_table_finish(&p->a);
    pm_block_table_finish(&p->b);
    pm_kv_swap_finish(&p->swap);
    pm_kv_pages_destroy(p->pages);
}

static bool out(place *p, pm_block_table *table, uint32_t tokens, uint32_t moves_max)
{
    const bool done = pm_kv_swap_out(&p->swap, p->pages, table, tokens, p->moves, moves_max, &p->count);
    pm_kv_pages_check(p->pages);
    return done;
}

static bool in(place *p, pm_block_table *table, uint32_t moves_max)
{
    const bool done = pm_kv_swap_in(&p->swap, p->pages, table, p->moves, moves_max, &p->count);
    pm_kv_pages_check(p->pages);
    return done;
}

static void what_has_tokens_goes_and_comes(void **state)
{
    (void)state;
    place p = make(5, 3);
    assert_true(pm_kv_pages_write(p.pages, &p.a, 0, 4 * T)); /* pages for 4, tokens in 3 */
    const pm_page_id from[] = {p.a.page_ids[0], p.a.page_ids[1], p.a.page_ids[2]};
    assert_true(out(&p, &p.a, 2 * T + 1, MOVES));
    assert_int_equal(p.count, 3);
    assert_true(p.a.swapped && p.a.count == 3 && p.swap.free_count == 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(p.moves[i].page, from[i]);
        assert_int_equal(p.moves[i].slot, i);
        assert_int_equal(p.a.page_ids[i], i);
    }
    assert_int_equal(pm_kv_pages_used(p.pages), 0); /* the fourth, too */
    assert_true(pm_kv_pages_write(p.pages, &p.b, 0, 2 * T));
    assert_int_equal(pm_kv_swap_in_cost(p.pages, &p.a), 3);
    assert_true(in(&p, &p.a, MOVES));
    assert_int_equal(p.count, 3);
    assert_true(!p.a.swapped && p.a.count == 3 && p.swap.free_count == 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(p.moves[i].slot, i);
        assert_int_equal(p.moves[i].page, p.a.page_ids[i]);
        assert_int_equal(pm_kv_pages_refs(p.pages, p.a.page_ids[i]), 1);
    }
    pm_kv_pages_release(p.pages, &p.a);
    pm_kv_pages_release(p.pages, &p.b);
    finish(&p);
}

/* Too few slots, moves or pages: nothing is changed. */
static void what_does_not_fit_stays(void **state)
{
    (void)state;
    place p = make(4, 2);
    assert_true(pm_kv_pages_write(p.pages, &p.a, 0, 3 * T));
    const pm_block_table was = p.a;
    pm_page_id ids[3];
    memcpy(ids, p.a.page_ids, sizeof(ids));
    p.count = 77;
    assert_false(out(&p, &p.a, 3 * T, MOVES)); /* slots */
    assert_false(out(&p, &p.a, 2 * T, 1));     /* moves */
    assert_memory_equal(&was, &p.a, sizeof(was));
    assert_memory_equal(ids, p.a.page_ids, sizeof(ids));
    assert_true(p.count == 77 && p.swap.free_count == 2 && pm_kv_pages_used(p.pages) == 3);
    assert_true(out(&p, &p.a, 2 * T, 2));
    assert_true(pm_kv_pages_write(p.pages, &p.b, 0, 3 * T));
    const pm_block_table waits = p.a;
    assert_false(in(&p, &p.a, MOVES));         /* pages */
    pm_kv_pages_release(p.pages, &p.b);
    assert_false(in(&p, &p.a, 1));             /* moves */
    assert_memory_equal(&waits, &p.a, sizeof(waits));
    assert_int_equal(p.swap.free_count, 0);
    assert_true(in(&p, &p.a, 2));
    pm_kv_pages_release(p.pages, &p.a);
    finish(&p);
    place none = make(2, 0);
    assert_true(pm_kv_pages_write(none.pages, &none.a, 0, 1));
    assert_false(out(&none, &none.a, 1, MOVES));
    pm_kv_pages_release(none.pages, &none.a);
    finish(&none);
}

/* Pages that the index still knows need no way back: shared ones, and free ones not yet handed out. */
static void pages_known_by_name_are_not_moved(void **state)
{
    (void)state;
    place p = make(6, 4);
    assert_true(pm_kv_pages_write(p.pages, &p.a, 0, 3 * T + 1));
    pm_kv_pages_publish(p.pages, &p.a, 3 * T + 1);
    const pm_page_id first = p.a.page_ids[0], second = p.a.page_ids[1];
    pm_kv_pages_share(p.pages, &p.b, &p.a, T);
    assert_true(out(&p, &p.a, 3 * T + 1, MOVES));
    assert_int_equal(p.count, 4);
    assert_int_equal(pm_kv_swap_in_cost(p.pages, &p.a), 3); /* the first is held by b */
    assert_true(in(&p, &p.a, 1));
    assert_int_equal(p.count, 1);
    assert_int_equal(p.moves[0].page, p.a.page_ids[3]);
    assert_true(p.a.page_ids[0] == first && p.a.page_ids[1] == second && pm_kv_pages_refs(p.pages, first) == 2);
    assert_true(out(&p, &p.a, 3 * T + 1, MOVES));
    pm_kv_pages_release(p.pages, &p.b);
    assert_true(pm_kv_pages_write(p.pages, &p.b, 0, 4 * T)); /* of six pages two are left: the third and second are gone */
    assert_int_equal(pm_kv_pages_named_count(p.pages), 2);
    pm_kv_pages_release(p.pages, &p.b);
    assert_int_equal(pm_kv_swap_in_cost(p.pages, &p.a), 4);
    assert_true(in(&p, &p.a, MOVES));
    assert_int_equal(p.count, 4 - 2);
    assert_int_equal(p.moves[0].page, p.a.page_ids[2]);
    assert_int_equal(p.moves[1].page, p.a.page_ids[3]);
    pm_kv_pages_release(p.pages, &p.a);
    finish(&p);
}

/* A page that was to be copied first goes from where its content still is. */
static void a_copy_that_is_due_goes_from_its_source(void **state)
{
    (void)state;
    place p = make(4, 4);
    assert_true(pm_kv_pages_write(p.pages, &p.a, 0, T + 3));
    pm_kv_pages_share(p.pages, &p.b, &p.a, T + 3);
    const pm_page_id shared = p.a.page_ids[1];
    assert_true(pm_kv_pages_write(p.pages, &p.b, T + 3, T + 4));
    assert_true(p.b.copy_from == shared && p.b.page_ids[1] != shared);
    assert_true(out(&p, &p.b, T + 3, MOVES));
    assert_int_equal(p.moves[1].page, shared);
    assert_int_equal(p.b.copy_from, PM_PAGE_NONE);
    assert_int_equal(pm_kv_pages_refs(p.pages, shared), 1);
    pm_kv_swap_release(&p.swap, &p.b); /* it ends while it waits */
    assert_true(!p.b.swapped && p.b.count == 0);
    pm_kv_pages_release(p.pages, &p.a);
    finish(&p);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    pm_kv_swap swap;
    pm_alloc_fail_at(pm_alloc_count() + 1);
    assert_int_equal(pm_kv_swap_init(&swap, 5), PM_ERR_NOMEM);
    pm_alloc_fail_at(0);
    pm_kv_swap_finish(&swap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_tokens_goes_and_comes),
        cmocka_unit_test(what_does_not_fit_stays),
        cmocka_unit_test(pages_known_by_name_are_not_moved),
        cmocka_unit_test(a_copy_that_is_due_goes_from_its_source),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("kv.swap", tests, NULL, NULL);
}
