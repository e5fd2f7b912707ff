/* base/log.c - what the program says on stderr. */
#include "base/log.h"

#include "base/env.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const area_names[PM_LOG_AREAS] = {
#define X(name, text) text,
    PM_LOG_AREA_MAP(X)
#undef X
};

bool pm_log_on(pm_log_area area)
{
    const char *list = pm_env_get(PM_ENV_LOG);
    return list != NULL && (pm_env_list_has(list, area_names[area]) || pm_env_list_has(list, "all"));
}

void pm_log(pm_log_area area, const char *format, ...)
{
    if (!pm_log_on(area))
        return;
    flockfile(stderr);             /* lines stay whole whatever other threads say */
    fprintf(stderr, "[%s] ", area_names[area]);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    funlockfile(stderr);
}

void pm_warn(const char *format, ...)
{
    flockfile(stderr);
    fputs("pumice: warning: ", stderr);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    funlockfile(stderr);
}
