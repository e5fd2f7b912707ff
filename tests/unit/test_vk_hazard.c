/* When an access needs a barrier before it: by range, by direction, against a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vk/hazard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stand-ins: hazards compare buffers by address and never look into them. */
static char places[3];

static pm_vk_access at(int buffer, uint64_t offset, uint64_t bytes, bool write)
{
    return (pm_vk_access){{(pm_vk_buffer *)(void *)&places[buffer], offset, bytes}, write};
}

static bool conflict_after(pm_vk_access earlier, pm_vk_access later)
{
    pm_hazards hazards;
    pm_hazards_clear(&hazards);
    pm_hazards_note(&hazards, &earlier, 1);
    return pm_hazards_conflict(&hazards, &later, 1);
}

static void only_overlap_with_a_write_conflicts(void **state)
{
    (void)state;
    for (int w = 0; w < 4; w++) {
        const bool earlier = w & 1, later = w & 2;
        assert_int_equal(conflict_after(at(0, 100, 50, earlier), at(0, 120, 10, later)), earlier || later);
        assert_int_equal(conflict_after(at(0, 100, 50, earlier), at(0, 149, 10, later)), earlier || later);
        assert_int_equal(conflict_after(at(0, 100, 50, earlier), at(0, 91, 10, later)), earlier || later);
        assert_false(conflict_after(at(0, 100, 50, earlier), at(0, 150, 10, later)));
        assert_false(conflict_after(at(0, 100, 50, earlier), at(0, 90, 10, later)));
        assert_false(conflict_after(at(0, 100, 50, earlier), at(1, 100, 50, later)));
    }
}

static void no_slice_never_conflicts(void **state)
{
    (void)state;
    const pm_vk_access none = {{NULL, 0, 0}, true};
    assert_false(conflict_after(none, none));
    assert_false(conflict_after(at(0, 0, 8, true), none));
}

static void ranges_past_4_gib_do_not_wrap(void **state)
{
    (void)state;
    const uint64_t far = UINT64_C(5) << 32;
    assert_true(conflict_after(at(0, far, 16, true), at(0, far + 8, 16, false)));
    assert_false(conflict_after(at(0, far, 16, true), at(0, 0, 16, false)));
}

static void a_full_table_asks_for_a_barrier(void **state)
{
    (void)state;
    pm_hazards hazards;
    pm_hazards_clear(&hazards);
    for (uint32_t i = 0; i < PM_HAZARD_RANGES; i++) {
        const pm_vk_access access = at(0, i * 8, 8, true);
        assert_false(pm_hazards_conflict(&hazards, &access, 1));
        pm_hazards_note(&hazards, &access, 1);
    }
    const pm_vk_access next = at(1, 0, 8, false);
    assert_true(pm_hazards_conflict(&hazards, &next, 1));
}

/* Against a model that remembers for each byte whether it was read or written. */
static void agrees_with_a_map_of_bytes(void **state)
{
    (void)state;
    enum { BYTES = 64, STEPS = 20000 };
    const char *text = getenv("PUMICE_TEST_SEED");
    const unsigned seed = text != NULL ? (unsigned)strtoul(text, NULL, 0) : 1;
    printf("PUMICE_TEST_SEED=%u\n", seed);
    srand(seed);
    static bool read[3][BYTES], written[3][BYTES];
    pm_hazards hazards;
    pm_hazards_clear(&hazards);
    uint32_t noted = 0, barriers = 0;
    for (int step = 0; step < STEPS; step++) {
        pm_vk_access access[3];
        const uint32_t count = 1 + (uint32_t)rand() % 3;
        bool expected = noted + count > PM_HAZARD_RANGES;
        for (uint32_t a = 0; a < count; a++) {
            const int buffer = rand() % 3;
            const uint64_t offset = (uint64_t)rand() % BYTES, bytes = 1 + (uint64_t)rand() % 3;
            access[a] = at(buffer, offset, offset + bytes > BYTES ? BYTES - offset : bytes, rand() % 3 == 0);
            for (uint64_t i = offset; i < offset + access[a].slice.bytes; i++)
                expected |= written[buffer][i] || (access[a].write && read[buffer][i]);
        }
        assert_int_equal(pm_hazards_conflict(&hazards, access, count), expected);
        if (expected) {
            pm_hazards_clear(&hazards);
            memset(read, 0, sizeof(read));
            memset(written, 0, sizeof(written));
            noted = 0;
            barriers++;
        }
        pm_hazards_note(&hazards, access, count);
        noted += count;
        for (uint32_t a = 0; a < count; a++)
            for (uint64_t i = 0; i < access[a].slice.bytes; i++)
                (access[a].write ? written : read)[(char *)access[a].slice.buffer - places][access[a].slice.offset + i] = true;
    }
    assert_in_range(barriers, STEPS / 100, STEPS - STEPS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_overlap_with_a_write_conflicts),
        cmocka_unit_test(no_slice_never_conflicts),
        cmocka_unit_test(ranges_past_4_gib_do_not_wrap),
        cmocka_unit_test(a_full_table_asks_for_a_barrier),
        cmocka_unit_test(agrees_with_a_map_of_bytes),
    };
    return cmocka_run_group_tests_name("vk_hazard", tests, NULL, NULL);
}
