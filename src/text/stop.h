/* text/stop.h - stop strings in a text that comes piece by piece. Floor 1.
 *
 * Text that may be the beginning of a stop string is held back until it is one, or cannot
 * become one any more; so what is let through never holds a stop string, nor its start
 * when it then ends the text. Of several strings the one that is complete first counts;
 * of those complete at once, the one that begins first.
 */
#ifndef PM_TEXT_STOP_H
#define PM_TEXT_STOP_H

#include "base/str.h"

/* The strings, shared by all texts that look for them. */
typedef struct pm_stops {
    char *bytes;                   /* owned; one after the other */
    uint32_t count, longest;       /* bytes of the longest */
    uint32_t start[PM_STOP_MAX + 1];
} pm_stops;

/* Copies the strings. Errors: PM_ERR_ARG (more than PM_STOP_MAX; empty, longer than
 * PM_STOP_BYTES_MAX or not UTF-8, by index), PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_stops_init(pm_stops *stops, const char *const *strings, size_t count);
void pm_stops_finish(pm_stops *stops);

/* One text: what is held back of it, at most longest - 1 bytes between calls. */
typedef struct pm_stop_text {
    const pm_stops *stops;         /* borrowed */
    char held[PM_STOP_BYTES_MAX];
    uint32_t held_len;
} pm_stop_text;

/* text->text[from ..] has just come (whole characters). Cuts it to what may be let through,
 * with what was held before in front. Returns the index of the stop string that is now
 * complete, of which nothing is let through, or -1. The string's memory must have room for
 * PM_STOP_BYTES_MAX bytes more, and is not moved. */
int32_t pm_stop_push(pm_stop_text *text, pm_str *out, size_t from);

/* The end: what is held is text after all. */
void pm_stop_flush(pm_stop_text *text, pm_str *out);

#endif /* PM_TEXT_STOP_H */
