/* text/ids.h - the caller's array of tokens, filled and counted. Floor 1. */
#ifndef PM_TEXT_IDS_H
#define PM_TEXT_IDS_H

#include <stddef.h>
#include <stdint.h>

typedef struct pm_ids {
    int32_t *tokens;               /* [capacity], borrowed */
    size_t capacity;
    size_t count;                  /* tokens pushed; may pass capacity */
} pm_ids;

/* Tokens past the capacity are counted and dropped. */
static inline void pm_ids_push(pm_ids *ids, int32_t token)
{
    if (ids->count < ids->capacity)
        ids->tokens[ids->count] = token;
    ids->count++;
}

#endif /* PM_TEXT_IDS_H */
