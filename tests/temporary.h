/* temporary.h - files of tests lie in $TMPDIR, else in /tmp. */
#ifndef PM_TEST_TEMPORARY_H
#define PM_TEST_TEMPORARY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The template of a name for mkdtemp() and mkstemp(), which put a name of their own in the place of its X; a failure
 * of the test where it does not fit. */
static inline void temporary_template(char *out, size_t capacity, const char *what)
{
    const char *folder = getenv("TMPDIR");
    const int n = snprintf(out, capacity, "%s/pumice-%s-XXXXXX", folder != NULL && folder[0] != '\0' ? folder : "/tmp", what);
    assert_true(n > 0 && (size_t)n < capacity);
}

#endif /* PM_TEST_TEMPORARY_H */
