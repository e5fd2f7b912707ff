/* again.h - what one driver's run shows for all. */
#ifndef PM_TEST_AGAIN_H
#define PM_TEST_AGAIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* First in a test of what the host decides, whatever computes: on drivers after the first (PUMICE_TEST_AGAIN=1, as
 * tests/CMakeLists.txt says) it is skipped. PUMICE_TEST_FULL=1: it runs on each. */
static inline void first_driver_only(const char *what)
{
    const char *again = getenv("PUMICE_TEST_AGAIN"), *full = getenv("PUMICE_TEST_FULL");
    if (again == NULL || again[0] != '1' || (full != NULL && full[0] == '1'))
        return;
    print_message("skipped: %s: the host's work, which runs on the first driver; PUMICE_TEST_FULL=1 has it here (1 cases)\n", what);
    skip();
}

#endif /* PM_TEST_AGAIN_H */
