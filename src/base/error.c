/* base/error.c - the thread's last failure. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char message[512] = "no error";

const char *pm_error_message(void)
{
    return message;
}

const char *pm_result_name(pm_result r)
{
    switch (r) {
#define X(name, code, text) case PM_##name: return "PM_" #name;
        PM_RESULT_MAP(X)
#undef X
    }
    return "PM_UNKNOWN";
}

void pm_fail_at(pm_result code, const char *file, int line, const char *format, ...)
{
    pm_assert(code != PM_OK);
    (void)file; /* goes to the log at debug level, not into the message */
    (void)line;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
}

void pm_error_prefix(const char *format, ...)
{
    char old[sizeof(message)];
    memcpy(old, message, sizeof(old));
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof(message))
        snprintf(message + n, sizeof(message) - (size_t)n, ": %.*s",
                 (int)(sizeof(message) - (size_t)n) - 3, old);
}

_Noreturn void pm_assert_failed(const char *text, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, text);
    abort();
}
