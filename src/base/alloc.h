/* base/alloc.h - host memory: checked allocation, arenas, and the hook that
 * makes the N-th allocation fail. Floor 0.
 *
 * Every host allocation of the library goes through pm_alloc(), so that a test
 * can count them (no allocation on the step path) and fail any one of them.
 */
#ifndef PM_BASE_ALLOC_H
#define PM_BASE_ALLOC_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* count * size zeroed bytes, or NULL with PM_ERR_NOMEM recorded (the message
 * names `what` and the bytes). The product is overflow-checked. A count or size
 * of zero gives a unique, freeable pointer. Free with pm_free(). */
PM_MUST_USE void *pm_alloc(size_t count, size_t size, const char *what);

/* Grows or shrinks to count * size bytes; new bytes are not zeroed. On failure
 * the old block stays valid. */
PM_MUST_USE void *pm_realloc(void *old, size_t count, size_t size, const char *what);

void pm_free(void *block);

/* Owned copy of a string; NULL as above. */
PM_MUST_USE char *pm_strdup(const char *text, const char *what);

/* Allocations made so far by this process, on all threads. */
uint64_t pm_alloc_count(void);

/* The allocation that brings pm_alloc_count() to n fails, once; 0 = never. For
 * tests. */
void pm_alloc_fail_at(uint64_t n);

/* An arena hands out memory that is freed all at once: one lifetime, one call.
 * Not thread-safe. */
typedef struct pm_arena {
    struct pm_arena_chunk *chunks; /* newest first */
    size_t chunk_bytes;            /* least size of a new chunk */
} pm_arena;

/* chunk_bytes: 0 = 64 KiB. Allocates nothing yet. */
void pm_arena_init(pm_arena *arena, size_t chunk_bytes);
void pm_arena_finish(pm_arena *arena);

/* count * size zeroed bytes, aligned to 16; NULL as pm_alloc(). */
PM_MUST_USE void *pm_arena_alloc(pm_arena *arena, size_t count, size_t size, const char *what);

#endif /* PM_BASE_ALLOC_H */
