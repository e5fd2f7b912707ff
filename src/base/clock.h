/* base/clock.h - monotonic time. Floor 0. */
#ifndef PM_BASE_CLOCK_H
#define PM_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds since an arbitrary start; never goes back. */
uint64_t pm_clock_ns(void);

#endif /* PM_BASE_CLOCK_H */
