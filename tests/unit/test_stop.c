/* Stop strings in a text that comes in any pieces: what is let through is the text up to the stop
 * string that is complete first, or all of it; never more, and never a beginning that ends it. */
#include "text/stop.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Pushes text in pieces of the lengths that `cut` draws; what came through, NUL-terminated. */
static int32_t let_through(const pm_stops *stops, const char *text, uint64_t cut, char *out)
{
    pm_stop_text state = {.stops = stops};
    pm_str s = {0};
    int32_t stop = -1;
    assert_int_equal(pm_str_reserve(&s, 4096), PM_OK);
    for (size_t at = 0, len = strlen(text); at < len && stop < 0;) {
        size_t piece = 1 + pm_mix64(cut + at) % 5;
        piece = piece < len - at ? piece : len - at;
        const size_t from = s.len;
        assert_int_equal(pm_str_append(&s, text + at, piece), PM_OK);
        stop = pm_stop_push(&state, &s, from);
        at += piece;
    }
    if (stop < 0)
        pm_stop_flush(&state, &s);
    memcpy(out, s.data, s.len + 1);
    pm_str_finish(&s);
    return stop;
}

/* The same by looking at each beginning of the text in turn. */
static int32_t expected(const char *const *strings, size_t count, const char *text, char *out)
{
    for (size_t end = 1; end <= strlen(text); end++) {
        int32_t best = -1;
        size_t longest = 0;
        for (size_t i = 0; i < count; i++) { /* complete here; the one that begins first */
            const size_t len = strlen(strings[i]);
            if (len <= end && len > longest && memcmp(text + end - len, strings[i], len) == 0) {
                best = (int32_t)i;
                longest = len;
            }
        }
        if (best >= 0) {
            memcpy(out, text, end - longest);
            out[end - longest] = '\0';
            return best;
        }
    }
    strcpy(out, text);
    return -1;
}

static void one(const char *const *strings, size_t count, const char *text)
{
    char want[4096], got[4096];
    pm_stops stops;
    assert_int_equal(pm_stops_init(&stops, strings, count), PM_OK);
    const int32_t stop = expected(strings, count, text, want);
    for (uint64_t cut = 0; cut < 40; cut++) {
        const int32_t found = let_through(&stops, text, cut * 1000, got);
        /* pieces of several bytes may complete two at once: then the one that begins first counts */
        if (found != stop)
            assert_true(found >= 0 && stop >= 0 && strlen(got) <= strlen(want));
        else
            assert_string_equal(got, want);
    }
    pm_stops_finish(&stops);
}

static void text_ends_before_the_stop_string(void **state)
{
    (void)state;
    one((const char *[]){"\n\n", "User:"}, 2, "hello\nworld\n\nnext User: x");
    one((const char *[]){"aab"}, 1, "aaaaab tail");
    one((const char *[]){"abcd", "bc"}, 2, "xxabcdyy");
    one((const char *[]){"never"}, 1, "neve neve nev");
    one((const char *[]){"\xc3\xa9"}, 1, "caf\xc3\xa9 noir");
    one((const char *[]){"x"}, 1, "");
}

static void random_texts_end_where_a_plain_search_ends_them(void **state)
{
    (void)state;
    const char *given = getenv("PUMICE_TEST_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 20261125;
    printf("seed %llu\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < 2000; i++) {
        char text[64] = "", words[3][8] = {"", "", ""};
        for (size_t t = 0; t < 40; t++)
            text[t] = (char)('a' + pm_mix64(seed + i * 1000 + t) % 3);
        for (size_t w = 0; w < 3; w++)
            for (size_t t = 0; t < 2 + pm_mix64(seed ^ (i * 77 + w)) % 5; t++)
                words[w][t] = (char)('a' + pm_mix64(seed + i * 31 + w * 10 + t + 500) % 3);
        one((const char *[]){words[0], words[1], words[2]}, 1 + i % 3, text);
    }
}

static void strings_out_of_range_are_refused(void **state)
{
    (void)state;
    pm_stops stops;
    char lengthy[PM_STOP_BYTES_MAX + 2];
    memset(lengthy, 'a', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = '\0';
    const char *many[PM_STOP_MAX + 1];
    for (size_t i = 0; i <= PM_STOP_MAX; i++)
        many[i] = "a";
    assert_int_equal(pm_stops_init(&stops, many, PM_STOP_MAX + 1), PM_ERR_ARG);
    assert_int_equal(pm_stops_init(&stops, (const char *[]){""}, 1), PM_ERR_ARG);
    assert_int_equal(pm_stops_init(&stops, (const char *[]){NULL}, 1), PM_ERR_ARG);
    assert_int_equal(pm_stops_init(&stops, (const char *[]){lengthy}, 1), PM_ERR_ARG);
    assert_int_equal(pm_stops_init(&stops, (const char *[]){"\xff"}, 1), PM_ERR_ARG);
    assert_int_equal(pm_stops_init(&stops, (const char *[]){lengthy + 1}, 1), PM_OK);
    pm_stops_finish(&stops);
    assert_int_equal(pm_stops_init(&stops, NULL, 0), PM_OK);
    pm_stops_finish(&stops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_ends_before_the_stop_string),
        cmocka_unit_test(random_texts_end_where_a_plain_search_ends_them),
        cmocka_unit_test(strings_out_of_range_are_refused),
    };
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
