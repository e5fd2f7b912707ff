/* vk/profile.c - device time by op, from timestamps. */
#include "vk/profile.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERIES_AT_ONCE 64u

typedef struct pm_vk_profile_table {
    pm_profile_row *rows;
    uint32_t count, capacity;
} pm_vk_profile_table;

pm_result pm_vk_timestamps(const pm_vk_device *d, VkQueryPool queries, uint32_t first, uint32_t count, uint64_t *ticks)
{
    return pm_vk_check(d->vk.vkGetQueryPoolResults(d->handle, queries, first, count, count * sizeof(*ticks), ticks,
                                                   sizeof(*ticks), VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                       "vkGetQueryPoolResults");
}

uint64_t pm_vk_ticks_ns(const pm_vk_device *d, uint64_t from, uint64_t to)
{
    const uint64_t mask = d->timestamp_bits >= 64 ? UINT64_MAX : (UINT64_C(1) << d->timestamp_bits) - 1;
    return (uint64_t)((double)((to - from) & mask) * (double)d->timestamp_ns);
}

pm_result pm_vk_profile_row(pm_vk_device *d, const char *op, uint32_t *row)
{
    if (d->profile_table == NULL)
        d->profile_table = pm_alloc(1, sizeof(*d->profile_table), "profile");
    pm_vk_profile_table *table = d->profile_table;
    if (table == NULL)
        return PM_ERR_NOMEM;
    for (*row = 0; *row < table->count; ++*row)
        if (strcmp(table->rows[*row].op, op) == 0)
            return PM_OK;
    if (table->count == table->capacity) {
        const uint32_t capacity = table->capacity ? table->capacity * 2 : 32;
        pm_profile_row *grown = pm_realloc(table->rows, capacity, sizeof(*grown), "profile");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        table->rows = grown;
        table->capacity = capacity;
    }
    table->rows[table->count] = (pm_profile_row){0};
    snprintf(table->rows[table->count++].op, sizeof(table->rows->op), "%s", op);
    return PM_OK;
}

pm_result pm_vk_profile_collect(pm_vk_device *d, VkQueryPool queries, const pm_vk_profile_entry *entries,
                                uint32_t count)
{
    uint64_t ticks[2 * QUERIES_AT_ONCE];
    for (uint32_t first = 0; first < count; first += QUERIES_AT_ONCE) {
        const uint32_t n = count - first < QUERIES_AT_ONCE ? count - first : QUERIES_AT_ONCE;
        PM_TRY(pm_vk_timestamps(d, queries, 2 * first, 2 * n, ticks));
        for (uint32_t i = 0; i < n; i++) {
            pm_profile_row *row = &d->profile_table->rows[entries[first + i].row];
            row->dispatches++;
            row->ns += pm_vk_ticks_ns(d, ticks[2 * i], ticks[2 * i + 1]);
            row->bytes += entries[first + i].bytes;
            row->flops += entries[first + i].flops;
        }
    }
    return PM_OK;
}

static int slower_first(const void *a, const void *b)
{
    const uint64_t x = ((const pm_profile_row *)a)->ns, y = ((const pm_profile_row *)b)->ns;
    return (x < y) - (x > y);
}

pm_result pm_vk_profile(pm_vk_device *d, pm_profile_row *rows, size_t capacity, size_t *count)
{
    if (!d->profile)
        return pm_fail(PM_ERR_STATE, "no profile: the device was opened without one, or has no timestamps");
    const pm_vk_profile_table *table = d->profile_table;
    *count = table != NULL ? table->count : 0;
    pm_profile_row *sorted = pm_alloc(*count, sizeof(*sorted), "profile");
    if (sorted == NULL)
        return PM_ERR_NOMEM;
    if (*count > 0) {
        memcpy(sorted, table->rows, *count * sizeof(*sorted));
        qsort(sorted, *count, sizeof(*sorted), slower_first);
        if (capacity > 0)
            memcpy(rows, sorted, (*count < capacity ? *count : capacity) * sizeof(*sorted));
    }
    pm_free(sorted);
    return PM_OK;
}

void pm_vk_profile_finish(pm_vk_device *d)
{
    if (d->profile_table == NULL)
        return;
    pm_free(d->profile_table->rows);
    pm_free(d->profile_table);
    d->profile_table = NULL;
}
