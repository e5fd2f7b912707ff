/* Which passes a batch takes: the smallest bucket that holds its rows and its outputs, the body of decoding only
 * where each row is its sequence's only one, and what else the batch asks for, in the order in which it must run. */
#include "plan/pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SEQS 16u
#define OUTS 24u
#define ROWS 100u

static pm_pass_table table;

static int make_table(void **state)
{
    (void)state;
    pm_pass_table_init(&table, ROWS, SEQS, OUTS, true);
    return 0;
}

static void holds(const pm_pass *pass, pm_pass_kind kind, uint32_t rows)
{
    assert_int_equal(pass->kind, kind);
    assert_true(pass->rows >= rows);
    assert_int_equal(table.rows[kind][pass->bucket], pass->rows);
    if (pass->bucket > 0)
        assert_true(table.rows[kind][pass->bucket - 1] < rows);
}

static void every_batch_takes_the_smallest_that_hold_it(void **state)
{
    (void)state;
    pm_pass passes[PM_BATCH_PASSES];
    for (uint32_t rows = 1; rows <= ROWS; rows++)
        for (uint32_t outs = 0; outs <= (rows < OUTS ? rows : OUTS); outs++)
            for (uint32_t of_one = 1; of_one <= 2; of_one++) {
                const pm_batch batch = {.rows = rows, .outs = outs, .rows_per_seq_max = of_one};
                if (of_one > rows)
                    continue;
                const bool decode = of_one == 1 && rows <= SEQS;
                assert_int_equal(pm_passes_of(&table, &batch, false, false, passes), outs > 0 ? 2 : 1);
                holds(&passes[0], decode ? PM_PASS_DECODE : PM_PASS_MIXED, rows);
                if (outs > 0)
                    holds(&passes[1], PM_PASS_HEAD, outs);
            }
}

static void pages_come_first_and_logits_last(void **state)
{
    (void)state;
    pm_pass passes[PM_BATCH_PASSES];
    pm_batch batch = {.rows = 7, .outs = 3, .rows_per_seq_max = 5, .swap_in_count = 1};
    assert_int_equal(pm_passes_of(&table, &batch, true, true, passes), 4);
    holds(&passes[0], PM_PASS_PAGES, 1);
    holds(&passes[1], PM_PASS_MIXED, 7);
    holds(&passes[2], PM_PASS_SAMPLING, 3);
    holds(&passes[3], PM_PASS_COPY, 3);
    batch = (pm_batch){.rows = 7, .rows_per_seq_max = 7, .copy_count = 2};
    assert_int_equal(pm_passes_of(&table, &batch, true, true, passes), 2); /* no output: nothing is drawn or copied */
    holds(&passes[0], PM_PASS_PAGES, 1);
    holds(&passes[1], PM_PASS_MIXED, 7);
}

/* All are listed once, and what is not wanted is not there. */
static void the_list_of_all_is_complete(void **state)
{
    (void)state;
    pm_pass passes[PM_PASS_KINDS * PM_BUCKETS_MAX];
    const uint32_t count = pm_passes_all(&table, passes);
    uint32_t sum = 0, seen[PM_PASS_KINDS] = {0};
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(passes[i].bucket, seen[passes[i].kind]++);
        assert_int_equal(passes[i].rows, table.rows[passes[i].kind][passes[i].bucket]);
    }
    for (uint32_t kind = 0; kind < PM_PASS_KINDS; kind++)
        sum += table.count[kind];
    assert_int_equal(count, sum);
    assert_int_equal(table.rows[PM_PASS_MIXED][table.count[PM_PASS_MIXED] - 1], ROWS);
    pm_pass_table one_row;
    pm_pass_table_init(&one_row, 1, 1, 1, false);
    assert_int_equal(pm_passes_all(&one_row, passes), 4); /* pages, decoding, head, copy */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_batch_takes_the_smallest_that_hold_it),
        cmocka_unit_test(pages_come_first_and_logits_last),
        cmocka_unit_test(the_list_of_all_is_complete),
    };
    return cmocka_run_group_tests_name("pass", tests, make_table, NULL);
}
