/* base/alloc.c - checked allocation, the failure hook and arenas. */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t alloc_count;
static _Atomic uint64_t fail_at;

/* True when this allocation is the one a test wants to fail. */
static bool must_fail(void)
{
    const uint64_t n = atomic_fetch_add(&alloc_count, 1) + 1;
    return n == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

uint64_t pm_alloc_count(void)
{
    return atomic_load(&alloc_count);
}

void pm_alloc_fail_at(uint64_t n)
{
    atomic_store(&fail_at, n);
}

static bool checked_bytes(size_t count, size_t size, const char *what, size_t *bytes)
{
    if (size != 0 && count > SIZE_MAX / size) {
        (void)pm_fail(PM_ERR_NOMEM, "%s: %zu x %zu bytes exceed the address space", what, count, size);
        return false;
    }
    const size_t product = count * size;
    *bytes = product > 0 ? product : 1;
    return true;
}

void *pm_alloc(size_t count, size_t size, const char *what)
{
    size_t bytes;
    if (!checked_bytes(count, size, what, &bytes))
        return NULL;
    void *block = must_fail() ? NULL : calloc(1, bytes);
    if (block == NULL)
        (void)pm_fail(PM_ERR_NOMEM, "%s: cannot allocate %zu bytes of host memory", what, bytes);
    return block;
}

void *pm_realloc(void *old, size_t count, size_t size, const char *what)
{
    size_t bytes;
    if (!checked_bytes(count, size, what, &bytes))
        return NULL;
    void *block = must_fail() ? NULL : realloc(old, bytes);
    if (block == NULL)
        (void)pm_fail(PM_ERR_NOMEM, "%s: cannot grow to %zu bytes of host memory", what, bytes);
    return block;
}

void pm_free(void *block)
{
    free(block);
}

char *pm_strdup(const char *text, const char *what)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = pm_alloc(bytes, 1, what);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

/* ---------------------------------------------------------------- arenas */

typedef struct pm_arena_chunk {
    struct pm_arena_chunk *next;
    size_t used, capacity;         /* bytes of data[] */
    _Alignas(16) unsigned char data[];
} pm_arena_chunk;

void pm_arena_init(pm_arena *arena, size_t chunk_bytes)
{
    *arena = (pm_arena){.chunk_bytes = chunk_bytes ? chunk_bytes : 64u << 10};
}

void pm_arena_finish(pm_arena *arena)
{
    for (pm_arena_chunk *chunk = arena->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        pm_free(chunk);
    }
    arena->chunks = NULL;
}

void *pm_arena_alloc(pm_arena *arena, size_t count, size_t size, const char *what)
{
    size_t bytes;
    if (!checked_bytes(count, size, what, &bytes))
        return NULL;
    if (bytes > SIZE_MAX - 15 - sizeof(pm_arena_chunk)) {
        (void)pm_fail(PM_ERR_NOMEM, "%s: %zu bytes exceed the address space", what, bytes);
        return NULL;
    }
    bytes = (bytes + 15) & ~(size_t)15;
    pm_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < bytes) {
        const size_t capacity = bytes > arena->chunk_bytes ? bytes : arena->chunk_bytes;
        chunk = pm_alloc(1, sizeof(*chunk) + capacity, what);
        if (chunk == NULL)
            return NULL;
        chunk->capacity = capacity;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    void *block = chunk->data + chunk->used;
    chunk->used += bytes;
    return block;
}
