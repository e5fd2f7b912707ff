/* text/pieces.c - interned byte strings. */
#include "text/pieces.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <string.h>

void pm_pieces_finish(pm_pieces *pieces)
{
    pm_free(pieces->bytes);
    pm_free(pieces->ends);
    pm_free(pieces->slots);
    *pieces = (pm_pieces){0};
}

static uint32_t first_slot(const pm_pieces *pieces, const char *data, size_t len)
{
    return (uint32_t)pm_mix64(pm_hash64(data, len, PM_HASH_SEED)) & (pieces->slot_count - 1);
}

/* The slot that holds the string, or the empty one where it belongs. */
static uint32_t *slot_of(const pm_pieces *pieces, const char *data, size_t len)
{
    uint32_t at = first_slot(pieces, data, len);
    for (;; at = (at + 1) & (pieces->slot_count - 1)) {
        const uint32_t number = pieces->slots[at];
        if (number == PM_PIECE_NONE)
            return &pieces->slots[at];
        uint32_t there;
        const char *piece = pm_pieces_get(pieces, number, &there);
        if (there == len && memcmp(piece, data, len) == 0)
            return &pieces->slots[at];
    }
}

static pm_result grow_slots(pm_pieces *pieces, size_t count)
{
    uint32_t slot_count = 16;
    while (slot_count < count * 2)
        slot_count *= 2;
    uint32_t *slots = pm_alloc(slot_count, sizeof(*slots), "vocabulary hash");
    if (slots == NULL)
        return PM_ERR_NOMEM;
    memset(slots, 0xff, (size_t)slot_count * sizeof(*slots));
    pm_free(pieces->slots);
    pieces->slots = slots;
    pieces->slot_count = slot_count;
    for (uint32_t i = 0; i < pieces->count; i++) {
        uint32_t len;
        const char *data = pm_pieces_get(pieces, i, &len);
        if (len > 0)
            *slot_of(pieces, data, len) = i;
    }
    return PM_OK;
}

pm_result pm_pieces_reserve(pm_pieces *pieces, size_t count, size_t bytes)
{
    if (count > (size_t)INT32_MAX / 2 - pieces->count)
        return pm_fail(PM_ERR_UNSUP, "vocabulary: %zu strings, at most %d are supported", count, INT32_MAX / 2);
    if (bytes > (size_t)UINT32_MAX / 2 - pieces->byte_count)
        return pm_fail(PM_ERR_UNSUP, "vocabulary: %zu bytes of strings, at most %u are supported", bytes,
                       UINT32_MAX / 2);
    const size_t want = pieces->count + count, want_bytes = pieces->byte_count + bytes;
    if (want > pieces->capacity) {
        uint32_t *ends = pm_realloc(pieces->ends, want, sizeof(*ends), "vocabulary offsets");
        if (ends == NULL)
            return PM_ERR_NOMEM;
        pieces->ends = ends;
        pieces->capacity = (uint32_t)want;
    }
    if (want_bytes > pieces->byte_capacity || pieces->bytes == NULL) {
        char *grown = pm_realloc(pieces->bytes, want_bytes, 1, "vocabulary strings");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        pieces->bytes = grown;
        pieces->byte_capacity = (uint32_t)want_bytes;
    }
    if (want * 2 > pieces->slot_count)
        return grow_slots(pieces, want);
    return PM_OK;
}

pm_result pm_pieces_add(pm_pieces *pieces, const char *data, size_t len)
{
    if (pieces->count == pieces->capacity || len > pieces->byte_capacity - pieces->byte_count)
        PM_TRY(pm_pieces_reserve(pieces, (size_t)pieces->count / 2 + 16, pieces->byte_count / 2 + len + 64));
    if (len > 0) {
        *slot_of(pieces, data, len) = pieces->count;
        memcpy(pieces->bytes + pieces->byte_count, data, len);
    }
    pieces->byte_count += (uint32_t)len;
    pieces->ends[pieces->count++] = pieces->byte_count;
    return PM_OK;
}

uint32_t pm_pieces_find(const pm_pieces *pieces, const char *data, size_t len)
{
    if (len == 0 || pieces->slot_count == 0)
        return PM_PIECE_NONE;
    return *slot_of(pieces, data, len);
}
