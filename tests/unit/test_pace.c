/* Steps stay within their time and prompts leave others their pace, on made-up machines whose
 * step takes a + b rows; and guesses come from what stood before. */
#include "base/hash.h"
#include "engine/lookup.h"
#include "engine/pace.h"
#include "sched/depth.h"

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

/* Steps without prompts, and of a prompt alone. */
static pm_pace_step alone(uint32_t rows)
{
    return (pm_pace_step){.rows = rows};
}

static pm_pace_step beside(uint32_t decoding, uint32_t prompt_rows)
{
    return (pm_pace_step){.rows = decoding + prompt_rows, .prompt_rows = prompt_rows};
}

static pm_pace_step prompts(uint32_t rows)
{
    return beside(0, rows);
}

/* A long prompt alone: the longest step, and the rows of the last. */
static double read_prompt(pm_pace *pace, machine m, uint32_t *rows)
{
    double longest = 0.0;
    for (int i = 0; i < 40; i++) {
        *rows = pm_pace_rows(pace);
        const double us = time_of(m, *rows);
        longest = us > longest ? us : longest;
        pm_pace_note(pace, prompts(*rows), us);
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
        pm_pace_init(&pace, 2048, 1e6, false);
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
    pm_pace_init(&pace, 512, 1e6, false);
    pm_pace_note(&pace, prompts(64), 5e6); /* the first, cold */
    assert_true(pm_pace_rows(&pace) < 64);
    (void)read_prompt(&pace, (machine){1000, 10}, &rows);
    assert_int_equal(rows, 512);
}

/* One sequence decodes, and its prompt was slow: its guesses are rows that must be tried again. */
static void a_slow_prompt_does_not_end_guesses(void **state)
{
    (void)state;
    pm_pace pace;
    pm_pace_init(&pace, 512, 1e6, false);
    pm_pace_note(&pace, prompts(5), 1.2e6);
    assert_true(pm_pace_rows(&pace) < 8);
    pm_pace_note(&pace, alone(1), 1e4);
    assert_int_equal(pm_pace_rows(&pace), 8);
    pm_pace_init(&pace, 512, 1e6, false);
    pm_pace_note(&pace, prompts(5), 1.2e6);
    pm_pace_note(&pace, alone(1), 3e5);   /* a device this slow has no time for them */
    assert_true(pm_pace_rows(&pace) < 8);
}

/* Steps grow with the texts: what larger ones took when texts were short is not believed any more. */
static void what_was_measured_with_shorter_texts_gives_way(void **state)
{
    (void)state;
    pm_pace pace;
    uint32_t rows;
    pm_pace_init(&pace, 512, 1e6, false);
    (void)read_prompt(&pace, (machine){1000, 10}, &rows);
    assert_int_equal(rows, 512);
    for (int i = 0; i < 8; i++)
        pm_pace_note(&pace, prompts(64), 1.5e6);
    assert_true(pm_pace_rows(&pace) < 64);
}

/* ------------------------------------------------------- prompts beside others */

enum { PROMPT = 4096 };

/* A run of steps as the engine makes them: the time of one is known when the next has been begun. */
typedef struct life {
    pm_pace pace;
    machine machine;
    double longer;                 /* a row takes so much more behind each token of the prompt */
    double noise;                  /* measured times are off by so much at most */
    uint64_t seed;
    pm_pace_step flight;           /* rows 0 = nothing */
    double flight_us;
    double ratio_max;              /* of all steps beside a prompt to the step without it then */
    double least_max;              /* of them with one row of the prompt, which there always is */
    uint32_t first, last, most;    /* rows of the prompt in a step: the first, the last but one, the most */
} life;

static void land(life *l)
{
    if (l->flight.rows > 0)
        pm_pace_note(&l->pace, l->flight, l->flight_us);
    l->flight.rows = 0;
}

static void run_step(life *l, pm_pace_step step, double us)
{
    land(l);
    l->flight = step;
    l->flight_us = us * (1.0 + l->noise * ((double)(pm_mix64(l->seed++) % 2001) / 1000.0 - 1.0));
}

static void decode_for(life *l, uint32_t decoding, uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++)
        run_step(l, alone(decoding), time_of(l->machine, decoding));
}

/* All of it but the first `cached` tokens while `decoding` rows decode; returns the steps. */
static uint32_t read_behind(life *l, uint32_t cached, uint32_t decoding)
{
    uint32_t steps = 0;
    l->first = l->most = l->last = 0;
    for (uint32_t read = cached; read < PROMPT; steps++) {
        assert_true(steps < 3 * PROMPT);
        const uint32_t wanted = pm_pace_prompt_rows(&l->pace, decoding);
        uint32_t rows = pm_depth_rows(wanted, read, pm_pace_depth(&l->pace)); /* as the scheduler counts them */
        rows = wanted > 0 && rows == 0 ? 1 : rows < PROMPT - read ? rows : PROMPT - read;
        const double decode_us = time_of(l->machine, decoding), row_us = l->machine.row_us * (1.0 + l->longer * read);
        const double us = decode_us + row_us * rows, ratio = us / decode_us, least = (decode_us + row_us) / decode_us;
        assert_int_equal(pm_pace_prompt_rows(&l->pace, 0), l->pace.rows_max);
        pm_pace_step step = {.rows = decoding + rows, .prompt_rows = rows, .depth = rows > 0 ? read + rows : 0};
        read += rows;
        step.end = read == PROMPT;
        l->first = l->first == 0 ? rows : l->first;
        l->last = read < PROMPT && rows > 0 ? rows : l->last;
        l->most = rows > l->most ? rows : l->most;
        l->ratio_max = ratio > l->ratio_max ? ratio : l->ratio_max;
        l->least_max = least > l->least_max ? least : l->least_max;
        run_step(l, step, us);
    }
    return steps;
}

static uint32_t read_beside(life *l, uint32_t decoding)
{
    return read_behind(l, 0, decoding);
}

static const machine machines[] = {{20000, 50}, {1000, 1000},  {100, 4000},   {15000, 5},
                                   {0, 700},    {28000, 4700}, {500000, 3000}};
enum { MACHINES = sizeof(machines) / sizeof(machines[0]) };

static life begin(machine m, double longer, double noise)
{
    life l = {.machine = m, .longer = longer, .noise = noise, .seed = 7};
    pm_pace_init(&l.pace, 512, 1e6, false);
    return l;
}

/* No step beside a prompt takes 3 times what it takes without, nor much more than what the pace is for, the first
 * chunk included: with a prompt that comes with the first that decodes; later; after one that was read alone; after
 * others with more and fewer beside them. */
static void a_prompt_leaves_others_their_pace(void **state)
{
    (void)state;
    for (size_t i = 0; i < MACHINES; i++)
        for (uint32_t decoding = 1; decoding <= 64; decoding += decoding < 8 ? 1 : 7) {
            life at_once = begin(machines[i], 0.0, 0.0), later = at_once, after = at_once, others = at_once;
            (void)read_beside(&at_once, decoding);
            decode_for(&later, decoding, 5);
            (void)read_beside(&later, decoding);
            for (int step = 0; step < 8; step++)
                run_step(&after, prompts(512), time_of(after.machine, 512));
            decode_for(&after, decoding, 2);
            (void)read_beside(&after, decoding);
            for (uint32_t beside = 1; beside <= 64; beside *= 8) {
                (void)read_beside(&others, beside);
                (void)read_beside(&others, decoding);
            }
            const double bound = PM_PACE_DECODE + 1e-6; /* one row there is always: beside one it is twice the work */
            assert_true(at_once.ratio_max <= bound && later.ratio_max <= bound);
            assert_true(after.ratio_max <= bound);
            if (others.ratio_max > 3.0)
                fail_msg("machine %zu, %u decode: %.2f times", i, decoding, others.ratio_max);
        }
}

/* The same when rows get dearer as the prompt gets longer, by times that are never measured right. */
static void texts_grow_and_clocks_err(void **state)
{
    (void)state;
    for (size_t i = 0; i < MACHINES; i++)
        for (uint32_t decoding = 1; decoding <= 64; decoding *= 2) {
            life l = begin(machines[i], 1.0 / 2048, 0.15);
            decode_for(&l, decoding, 5);
            (void)read_beside(&l, decoding);
            if (l.ratio_max > 3.0 && l.ratio_max > l.least_max + 1e-6)
                fail_msg("machine %zu, %u decode: %.2f times", i, decoding, l.ratio_max);
        }
}

/* Where weights cost most rows are nearly free: the chunks double, and come to the whole budget. */
static void chunks_grow_fast_to_what_fits(void **state)
{
    (void)state;
    life l = begin((machine){15000, 5}, 0.0, 0.0);
    decode_for(&l, 4, 5);
    const uint32_t steps = read_beside(&l, 4);
    assert_int_equal(l.first, 4);
    assert_in_range(l.most, 500, 512);
    assert_in_range(steps, 8, 24);
    assert_true(read_beside(&l, 4) <= steps - 8); /* the next prompt finds it known */
}

/* What was measured stays for the next prompt, whose first chunk is no smaller; the end of one says nothing. */
static void times_are_remembered(void **state)
{
    (void)state;
    life l = begin((machine){28000, 4700}, 0.0, 0.0);
    decode_for(&l, 3, 5);
    (void)read_beside(&l, 3);
    const uint32_t last = l.last;
    assert_true(l.first < last);
    decode_for(&l, 3, 20);
    (void)read_beside(&l, 3);
    assert_int_equal(l.first, last);
}

/* A step that a driver's compiler or another program made long is forgotten in a few. */
static void one_slow_step_beside_others_is_forgotten(void **state)
{
    (void)state;
    life l = begin((machine){28000, 4700}, 0.0, 0.0);
    decode_for(&l, 3, 5);
    l.pace.alone_us[2] = 0.0;
    run_step(&l, alone(3), 600000);  /* the first, cold */
    decode_for(&l, 3, 2);
    (void)read_beside(&l, 3);
    assert_true(l.ratio_max <= PM_PACE_DECODE + 1e-6);
    run_step(&l, beside(3, l.last), 900000);
    for (int i = 0; i < 10; i++) {
        const uint32_t rows = 3 + pm_pace_prompt_rows(&l.pace, 3);
        run_step(&l, beside(3, rows - 3), time_of(l.machine, rows));
    }
    decode_for(&l, 3, 2);
    assert_int_equal(pm_pace_prompt_rows(&l.pace, 3), l.last);
}

/* Where a driver compiles a kernel when it first runs, that time counts for nothing, and few kernels are new. */
static void first_runs_are_few_where_a_driver_compiles_then(void **state)
{
    (void)state;
    for (uint32_t decoding = 1; decoding <= 16; decoding *= 2) {
        life l = begin((machine){28000, 4700}, 1.0 / 2048, 0.15);
        uint32_t ran[513] = {0}, rows, fresh = 0;
        pm_pace_init(&l.pace, 512, 1e6, true);
        run_step(&l, alone(decoding), 450000);
        decode_for(&l, decoding, 5);
        for (int step = 0; step < 400; step++) {
            const uint32_t prompt = pm_pace_prompt_rows(&l.pace, decoding);
            rows = decoding + prompt;
            const double us = time_of(l.machine, rows), first_us = us + (prompt > 0 && ran[rows] == 0 ? 450000 : 0);
            assert_true(us <= 3.0 * time_of(l.machine, decoding));
            fresh += first_us > us;
            ran[rows] += prompt > 0;
            run_step(&l, beside(decoding, prompt), first_us);
        }
        if (fresh > 3)
            fail_msg("%u decode: %u kernels ran for the first time", decoding, fresh);
        const double known_us = l.pace.mixed_us;
        pm_pace_reopen(&l.pace);   /* and so they do again on the device opened again */
        pm_pace_note(&l.pace, prompts(rows), 450000);
        assert_true(l.pace.mixed_us == known_us);
    }
}

/* Without a step of its own the time without prompts would be that of long ago, or none. */
static void the_time_without_prompts_is_measured_again(void **state)
{
    (void)state;
    pm_pace pace;
    pm_pace_init(&pace, 512, 1e6, false);
    assert_int_equal(pm_pace_prompt_rows(&pace, 2), 0);
    pm_pace_note(&pace, alone(2), 10000);
    for (uint32_t i = 0; i < PM_PACE_FRESH; i++) {
        assert_true(pm_pace_prompt_rows(&pace, 2) > 0);
        pm_pace_note(&pace, prompts(4), 15000);
    }
    assert_int_equal(pm_pace_prompt_rows(&pace, 2), 0);
    pm_pace_note(&pace, alone(2), 10000);
    assert_true(pm_pace_prompt_rows(&pace, 2) > 0);
}

/* Where a row behind many tokens costs so much more, a prompt whose beginning was found in the cache starts with as
 * many as are safe there: as the first prompt of all; after a short one, by which more were allowed; after one as
 * deep, where they are known. Soon there are as many as fit. */
static void a_deep_beginning_is_not_taken_for_a_shallow_one(void **state)
{
    (void)state;
    enum { CACHED = 3072 };
    for (size_t i = 0; i < MACHINES; i++)
        for (int dear = 1; dear <= 16; dear *= 4)
            for (uint32_t decoding = 1; decoding <= 64; decoding *= 4) {
                life l = begin(machines[i], (double)dear / CACHED, 0.0); /* rows at CACHED cost 1 + dear times */
                decode_for(&l, decoding, 5);
                (void)read_behind(&l, CACHED, decoding);
                for (uint32_t before = 0; before < 64; before++) { /* a short prompt */
                    const uint32_t rows = pm_pace_prompt_rows(&l.pace, decoding);
                    run_step(&l, beside(decoding, rows), time_of(l.machine, decoding + rows));
                }
                (void)read_behind(&l, CACHED, decoding);
                const uint32_t settled = l.last;
                (void)read_behind(&l, CACHED, decoding);
                assert_true(2 * l.first >= settled || l.first + 2 >= settled);
                if (l.ratio_max > 3.0 && l.ratio_max > l.least_max + 1e-6)
                    fail_msg("machine %zu, %d times, %u decode: %.2f times", i, dear, decoding, l.ratio_max);
                machine deep = l.machine;
                deep.row_us *= 1.0 + dear;
                const double spare_us = 0.5 * time_of(l.machine, decoding);
                if (l.most < spare_us / deep.row_us / 2.0 && l.most < 250) /* and no fewer than it must */
                    fail_msg("machine %zu, %d times, %u decode: %u rows, %.1f would fit", i, dear, decoding, l.most, spare_us / deep.row_us);
            }
}

/* -------------------------------------------------------------- draft model */

/* A sequence decodes among others and has its prompt read by a draft model, whose rows take `part` of the model's and
 * whose passes no less than fixed_us: what a pass takes more than one without the prompt, or all that it takes where
 * there would be none. The rest of the step is one without prompts. Returns the launches. */
static uint32_t read_by_draft(life *l, pm_pace *draft, machine m, uint32_t decoding, uint32_t guesses, uint32_t cached,
                              double *ratio_max, double *least_max)
{
    uint32_t launches = 0;
    const double step_us = time_of(l->machine, decoding), guess_us = guesses > 0 ? time_of(m, guesses) : 0.0;
    bool ended = false;
    for (uint32_t read = cached, grown = 0; !ended; launches++, grown++) { /* it grows by a token meanwhile */
        assert_true(launches < 3 * PROMPT);
        const uint32_t wanted = pm_pace_draft_rows(draft, guesses, &l->pace, decoding), left = PROMPT + grown - read;
        uint32_t rows = pm_depth_rows(wanted, read, pm_pace_depth(draft));
        rows = rows < PM_PACE_DRAFT_LEAST && wanted > 0 ? PM_PACE_DRAFT_LEAST : rows;
        rows = rows < left ? rows : left;
        const double row_us = m.row_us * (1.0 + l->longer * read), us = time_of(m, guesses) + row_us * rows;
        const double least_us = time_of(m, guesses) + row_us * PM_PACE_DRAFT_LEAST - guess_us;
        pm_pace_step step = {.rows = guesses + rows, .prompt_rows = rows, .depth = rows > 0 ? read + rows : 0};
        read += rows;
        step.end = ended = rows == left;
        if (rows > 0) {
            const double ratio = 1.0 + (us - guess_us) / step_us, least = 1.0 + least_us / step_us;
            *ratio_max = ratio > *ratio_max ? ratio : *ratio_max;
            *least_max = least > *least_max ? least : *least_max;
        }
        if (step.rows > 0)
            pm_pace_note(draft, step, us);
        if (guesses > 0)           /* the next guess */
            pm_pace_note(draft, alone(guesses), guess_us);
        run_step(l, alone(decoding), step_us);
    }
    return launches;
}

/* Nobody waits 3 times as long between two tokens for a prompt that a draft model reads: from the first pass, of
 * which nothing is known; for the next prompt; for one that was begun in the cache; unless the draft is so slow that
 * the least is more. Where it is a small one it soon catches up. */
static void a_draft_model_leaves_others_their_pace(void **state)
{
    (void)state;
    static const double parts[] = {1.0, 0.25, 0.0625};
    for (size_t i = 0; i < MACHINES; i++)
        for (size_t part = 0; part < 3; part++)
            for (uint32_t decoding = 1; decoding <= 64; decoding *= 4)
                for (uint32_t guesses = 0; guesses < decoding; guesses = 2 * guesses + 1) {
                    life l = begin(machines[i], 1.0 / 1024, 0.0);
                    const machine m = {machines[i].fixed_us * parts[part], machines[i].row_us * parts[part]};
                    double ratio = 0.0, least = 0.0;
                    pm_pace draft;
                    pm_pace_init(&draft, 512, 0.0, false);
                    const uint32_t launches = read_by_draft(&l, &draft, m, decoding, guesses, 0, &ratio, &least);
                    (void)read_by_draft(&l, &draft, m, decoding, guesses, 0, &ratio, &least);
                    pm_pace_note(&draft, beside(guesses, 64), time_of(m, guesses + 64)); /* a short one */
                    (void)read_by_draft(&l, &draft, m, decoding, guesses, 3072, &ratio, &least);
                    if (ratio > 3.0 && ratio > least + 1e-6)
                        fail_msg("machine %zu, draft of %.2f, %u decode, %u guesses: %.2f times", i, parts[part], decoding,
                                 guesses, ratio);
                    if (least < 1.25 && launches > PROMPT / 3)
                        fail_msg("machine %zu, draft of %.2f, %u decode, %u guesses: %u launches", i, parts[part],
                                 decoding, guesses, launches);
                }
}

/* While nobody knows what the model's own step takes, the draft model waits for one. */
static void a_draft_model_waits_for_the_first_step(void **state)
{
    (void)state;
    pm_pace pace, draft;
    pm_pace_init(&pace, 512, 1e6, false);
    pm_pace_init(&draft, 512, 0.0, false);
    assert_int_equal(pm_pace_draft_rows(&draft, 0, &pace, 4), 0);
    pm_pace_note(&pace, alone(4), 1000);
    assert_int_equal(pm_pace_draft_rows(&draft, 0, &pace, 4), 4); /* no slower than the model */
    pm_pace_note(&draft, alone(1), 10);
    assert_int_equal(pm_pace_draft_rows(&draft, 0, &pace, 4), 96);
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
        cmocka_unit_test(texts_grow_and_clocks_err),
        cmocka_unit_test(chunks_grow_fast_to_what_fits),
        cmocka_unit_test(times_are_remembered),
        cmocka_unit_test(one_slow_step_beside_others_is_forgotten),
        cmocka_unit_test(first_runs_are_few_where_a_driver_compiles_then),
        cmocka_unit_test(the_time_without_prompts_is_measured_again),
        cmocka_unit_test(a_deep_beginning_is_not_taken_for_a_shallow_one),
        cmocka_unit_test(a_draft_model_leaves_others_their_pace),
        cmocka_unit_test(a_draft_model_waits_for_the_first_step),
        cmocka_unit_test(guesses_are_what_followed_last_time),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
