/* base/str.h - a growing byte string. Floor 0. */
#ifndef PM_BASE_STR_H
#define PM_BASE_STR_H

#include "base/alloc.h"

/* All zero is an empty string. data is NUL-terminated as soon as it is not NULL;
 * len does not count that NUL. */
typedef struct pm_str {
    char *data;                    /* owned */
    size_t len, capacity;          /* bytes */
} pm_str;

void pm_str_finish(pm_str *s);
void pm_str_clear(pm_str *s);      /* keeps the memory */

/* Errors: PM_ERR_NOMEM; the string is then unchanged. */
PM_MUST_USE pm_result pm_str_reserve(pm_str *s, size_t capacity);
PM_MUST_USE pm_result pm_str_append(pm_str *s, const char *data, size_t len);
PM_MUST_USE pm_result pm_str_append_text(pm_str *s, const char *text);
PM_PRINTF(2, 3) PM_MUST_USE pm_result pm_str_append_format(pm_str *s, const char *format, ...);

#endif /* PM_BASE_STR_H */
