/* again.h - what one driver's run shows for all. */
#ifndef PM_TEST_AGAIN_H
#define PM_TEST_AGAIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* PUMICE_TEST_AGAIN=1, on drivers after the first (tests/CMakeLists.txt) and under validation. PUMICE_TEST_FULL=1: each
 * run has all. */
static inline bool is_again(void)
{
    const char *again = getenv("PUMICE_TEST_AGAIN"), *full = getenv("PUMICE_TEST_FULL");
    return again != NULL && again[0] == '1' && !(full != NULL && full[0] == '1');
}

/* First in a test of what the host decides, whatever computes. */
static inline void first_driver_only(const char *what)
{
    if (!is_again())
        return;
    print_message("skipped: %s: the host's work, which runs on the first driver; PUMICE_TEST_FULL=1 has it here (1 cases)\n", what);
    skip();
}

#endif /* PM_TEST_AGAIN_H */
