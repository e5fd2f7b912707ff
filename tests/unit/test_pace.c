/* Steps stay within their time and prompts leave others their pace, on made-up machines whose
 * step takes a + b rows; and guesses come from what stood before. */
#include "engine/lookup.h"
#include "engine/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct machine {
    double fixed_us, row_us;
} machine;

static double time_of(machine m, uint32_t rows)
{
    return m.fixed_us + m.row_us * rows;
}

/* A long prompt alone: the longest step, and the rows of the last. */
static double read_prompt(pm_pace *pace, machine m, uint32_t *rows)
{
    double longest = 0.0;
    for (int i = 0; i < 40; i++) {
        *rows = pm_pace_rows(pace);
        const double us = time_of(m, *rows);
        longest = us > longest ? us : longest;
        pm_pace_note(pace, *rows, false, us);
    }
    return longest;
}

static void steps_come_to_the_most_rows_that_fit(void **state)
{
    (void)state;
    static const struct { machine m; uint32_t rows; } cases[] = {
        {{1000, 10}, 2048}, {{1000, 1000}, 896}, {{500000, 3000}, 128}, {{10, 100000}, 9}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pm_pace pace;
        uint32_t rows;
        pm_pace_init(&pace, 2048, 1e6);
        const double longest = read_prompt(&pace, cases[i].m, &rows);
        assert_int_equal(rows, cases[i].rows);
        if (time_of(cases[i].m, 64) < 1e6)
            assert_true(longest <= 1e6);
    }
}

static void one_slow_step_is_forgotten(void **state)
{
    (void)state;
    pm_pace pace;
    uint32_t rows;
    pm_pace_init(&pace, 512, 1e6);
    pm_pace_note(&pace, 64, false, 5e6); /* the first, cold */
    assert_true(pm_pace_rows(&pace) < 64);
    (void)read_prompt(&pace, (machine){1000, 10}, &rows);
    assert_int_equal(rows, 512);
}

/* One sequence decodes, and its prompt was slow: its guesses are rows that must be tried again. */
static void a_slow_prompt_does_not_end_guesses(void **state)
{
    (void)state;
    pm_pace pace;
    pm_pace_init(&pace, 512, 1e6);
    pm_pace_note(&pace, 5, false, 1.2e6);
    assert_true(pm_pace_rows(&pace) < 8);
    pm_pace_note(&pace, 1, true, 1e4);
    assert_int_equal(pm_pace_rows(&pace), 8);
    pm_pace_init(&pace, 512, 1e6);
    pm_pace_note(&pace, 5, false, 1.2e6);
    pm_pace_note(&pace, 1, true, 3e5);   /* a device this slow has no time for them */
    assert_true(pm_pace_rows(&pace) < 8);
}

/* Steps grow with the texts: what larger ones took when texts were short is not believed any more. */
static void what_was_measured_with_shorter_texts_gives_way(void **state)
{
    (void)state;
    pm_pace pace;
    uint32_t rows;
    pm_pace_init(&pace, 512, 1e6);
    (void)read_prompt(&pace, (machine){1000, 10}, &rows);
    assert_int_equal(rows, 512);
    for (int i = 0; i < 8; i++)
        pm_pace_note(&pace, 64, false, 1.5e6);
    assert_true(pm_pace_rows(&pace) < 64);
}

/* Sequences decode while a prompt of 4,096 comes: no step is 3 times as long as theirs was, but for the
 * one that tries the few rows. */
static void a_prompt_leaves_others_their_pace(void **state)
{
    (void)state;
    static const machine machines[] = {{20000, 50}, {1000, 1000}, {100, 4000}, {15000, 5}};
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
        for (uint32_t decoding = 1; decoding <= 64; decoding *= 4) {
            pm_pace pace;
            pm_pace_init(&pace, 512, 1e6);
            pm_pace_note(&pace, decoding + 1, false, time_of(machines[i], decoding + 1));
            const double alone_us = time_of(machines[i], decoding);
            uint32_t left = 4096, steps = 0, tries = 0;
            for (int warm = 0; warm < 5; warm++)
                pm_pace_note(&pace, decoding, true, alone_us);
            for (; left > 0 && steps < 5000; steps++) {
                const uint32_t prompt = pm_pace_prompt_rows(&pace, decoding), rows = prompt < left ? prompt : left;
                const double us = time_of(machines[i], decoding + rows);
                if (prompt > PM_PACE_PROMPT_FEW)
                    assert_true(us <= 3.0 * alone_us);
                tries += rows > 1 && us > 3.0 * alone_us;
                pm_pace_note(&pace, decoding + rows, false, us);
                left -= rows;
            }
            assert_int_equal(left, 0);
            assert_true(tries <= 1);
            if (machines[i].fixed_us > 100 * machines[i].row_us) /* weights cost most: rows are nearly free */
                assert_in_range(steps, 1, 100);
        }
}

static void guesses_are_what_followed_last_time(void **state)
{
    (void)state;
    int32_t out[8];
    const int32_t text[] = {1, 2, 3, 4, 5, 9, 2, 3, 4, 6, 7, 2, 3, 4};
    assert_int_equal(pm_lookup(text, 14, out, 4), 4); /* the later of two places */
    assert_int_equal(out[0], 6);
    assert_int_equal(out[3], 3);
    assert_int_equal(pm_lookup(text, 14, out, 1), 1);
    const int32_t pair[] = {8, 1, 2, 5, 1, 2};
    assert_int_equal(pm_lookup(pair, 6, out, 8), 3); /* two tokens do where three have not stood before */
    assert_int_equal(out[0], 5);
    const int32_t loop[] = {7, 7, 7, 7};
    assert_int_equal(pm_lookup(loop, 4, out, 8), 1);
    assert_int_equal(out[0], 7);
    assert_int_equal(pm_lookup((const int32_t[]){1, 2, 3}, 3, out, 8), 0);
    assert_int_equal(pm_lookup((const int32_t[]){1}, 1, out, 8), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_come_to_the_most_rows_that_fit),
        cmocka_unit_test(one_slow_step_is_forgotten),
        cmocka_unit_test(a_slow_prompt_does_not_end_guesses),
        cmocka_unit_test(what_was_measured_with_shorter_texts_gives_way),
        cmocka_unit_test(a_prompt_leaves_others_their_pace),
        cmocka_unit_test(guesses_are_what_followed_last_time),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
