/* test_race.c - when a way to run an op counts as faster. */
#include "measure/race.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define WINS(...) pm_race_wins((double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static void only_more_than_noise_wins(void **state)
{
    (void)state;
    assert_true(WINS(0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9));
    assert_false(WINS(0.97, 0.97, 0.97, 0.97, 0.97, 0.97, 0.97, 0.97, 0.97)); /* within the margin */
    assert_false(WINS(1.0, 1.0, 1.0, 1.0));
    assert_false(WINS(1.2, 1.2, 1.2, 1.2));
    assert_true(WINS(0.5, 3.0, 0.5, 0.5, 0.5, 0.5, 9.0, 0.5, 0.5));  /* a few rounds were disturbed */
    assert_false(WINS(0.5, 3.0, 0.5, 0.5, 1.0, 0.5, 9.0, 0.5, 1.0)); /* too many to tell */
    assert_false(pm_race_wins(NULL, 0));
    assert_true(pm_race_median((const double[]){3.0, 1.0, 2.0}, 3) == 2.0 && pm_race_median(NULL, 0) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_more_than_noise_wins)};
    return cmocka_run_group_tests_name("race", tests, NULL, NULL);
}
