/* text/pieces.h - byte strings with numbers, found by their bytes. Floor 1.
 *
 * Strings are numbered 0, 1, 2 ... in the order they are added. Adding a string
 * that is there already gives it a second number, and find returns the newest.
 * Empty strings have numbers but are never found. Open addressing, at most half
 * full; one block of bytes.
 */
#ifndef PM_TEXT_PIECES_H
#define PM_TEXT_PIECES_H

#include "base/error.h"

#define PM_PIECE_NONE UINT32_MAX

typedef struct pm_pieces {
    char *bytes;                   /* all strings, one after the other; owned */
    uint32_t *ends;                /* [count] offset of each string's end; owned */
    uint32_t *slots;               /* [slot_count] number or PM_PIECE_NONE; owned */
    uint32_t count, capacity;
    uint32_t byte_count, byte_capacity;
    uint32_t slot_count;           /* a power of two, or 0 */
} pm_pieces;

/* All zero is an empty set. */
void pm_pieces_finish(pm_pieces *pieces);

/* Room for `count` more strings of `bytes` bytes in all. Errors: PM_ERR_NOMEM;
 * PM_ERR_UNSUP (2^31 strings or 4 GiB of them). */
PM_MUST_USE pm_result pm_pieces_reserve(pm_pieces *pieces, size_t count, size_t bytes);

/* Errors: as reserve. */
PM_MUST_USE pm_result pm_pieces_add(pm_pieces *pieces, const char *data, size_t len);

/* The newest number of the string, or PM_PIECE_NONE. */
uint32_t pm_pieces_find(const pm_pieces *pieces, const char *data, size_t len);

static inline const char *pm_pieces_get(const pm_pieces *pieces, uint32_t number, uint32_t *len)
{
    const uint32_t start = number == 0 ? 0 : pieces->ends[number - 1];
    *len = pieces->ends[number] - start;
    return pieces->bytes + start;
}

#endif /* PM_TEXT_PIECES_H */
