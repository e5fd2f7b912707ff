/* base/log.h - what the program says on stderr. Floor 0.
 *
 * Areas are switched by PUMICE_LOG, a comma-separated list ("vk,plan"; "all").
 * Warnings are always printed. stdout belongs to results and is never written. */
#ifndef PM_BASE_LOG_H
#define PM_BASE_LOG_H

#include "base/error.h"

#define PM_LOG_AREA_MAP(X) X(VK, "vk") X(GGUF, "gguf") X(TEXT, "text") X(MODEL, "model") \
    X(PLAN, "plan") X(SCHED, "sched") X(ENGINE, "engine")

typedef enum pm_log_area {
#define X(name, text) PM_LOG_##name,
    PM_LOG_AREA_MAP(X)
#undef X
    PM_LOG_AREAS
} pm_log_area;

/* True when the area is on: guard for messages that cost something to build. */
bool pm_log_on(pm_log_area area);

PM_PRINTF(2, 3) void pm_log(pm_log_area area, const char *format, ...);
PM_PRINTF(1, 2) void pm_warn(const char *format, ...);

#endif /* PM_BASE_LOG_H */
