/* base/thread.h - run independent jobs on a few threads. Floor 0. */
#ifndef PM_BASE_THREAD_H
#define PM_BASE_THREAD_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Processors this process may use, at least 1. */
uint32_t pm_thread_cores(void);

/* Calls run(context, i) once for each i in [0, count), on at most `threads`
 * threads (0 = cores) including the caller's, and returns when all have ended.
 * Returns the first failure by index, with its message on this thread. After a
 * failure no new job starts. Falls back to fewer threads when none can be made. */
PM_MUST_USE pm_result pm_thread_for(uint32_t threads, uint32_t count,
                                    pm_result (*run)(void *context, uint32_t index), void *context);

/* The same, and the same errors, on as many threads as cores beside the caller, who calls meanwhile(context) about every
 * 20 ms and when all have ended. give_way: at a lower priority than the caller's (on Linux; elsewhere at the same). */
PM_MUST_USE pm_result pm_thread_for_beside(uint32_t count, pm_result (*run)(void *context, uint32_t index), void *context,
                                           void (*meanwhile)(void *context), bool give_way);

#endif /* PM_BASE_THREAD_H */
