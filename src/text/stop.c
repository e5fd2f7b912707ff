/* text/stop.c - stop strings in a text that comes piece by piece. */
#include "text/stop.h"

#include "base/alloc.h"
#include "text/utf8.h"

#include <string.h>

pm_result pm_stops_init(pm_stops *stops, const char *const *strings, size_t count)
{
    pm_stops s = {0};
    if (count > PM_STOP_MAX)
        return pm_fail(PM_ERR_ARG, "%zu stop strings, expected at most %d", count, PM_STOP_MAX);
    for (size_t i = 0; i < count; i++) {
        const size_t len = strings[i] != NULL ? strlen(strings[i]) : 0;
        if (len == 0 || len > PM_STOP_BYTES_MAX)
            return pm_fail(PM_ERR_ARG, "stop string %zu has %zu bytes, expected 1 to %d", i, len, PM_STOP_BYTES_MAX);
        if (pm_utf8_prefix(strings[i], len) != len)
            return pm_fail(PM_ERR_ARG, "stop string %zu is not UTF-8 at byte %zu", i, pm_utf8_prefix(strings[i], len));
        s.start[i + 1] = s.start[i] + (uint32_t)len;
        s.longest = len > s.longest ? (uint32_t)len : s.longest;
    }
    s.count = (uint32_t)count;
    s.bytes = pm_alloc(s.start[count], 1, "stop strings");
    if (s.bytes == NULL)
        return PM_ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        memcpy(s.bytes + s.start[i], strings[i], s.start[i + 1] - s.start[i]);
    *stops = s;
    return PM_OK;
}

void pm_stops_finish(pm_stops *stops)
{
    pm_free(stops->bytes);
    *stops = (pm_stops){0};
}

static bool begins_with(const char *text, size_t text_len, const char *part, size_t part_len)
{
    const size_t len = text_len < part_len ? text_len : part_len;
    return memcmp(text, part, len) == 0;
}

/* What stands at text[0 .. len): a whole stop string (its index), the beginning of one
 * (*partial), or neither (-1). */
static int32_t stop_at(const pm_stops *stops, const char *text, size_t len, bool *partial)
{
    for (uint32_t i = 0; i < stops->count; i++) {
        const size_t stop_len = stops->start[i + 1] - stops->start[i];
        if (!begins_with(text, len, stops->bytes + stops->start[i], stop_len))
            continue;
        if (stop_len <= len)
            return (int32_t)i;
        *partial = true;
    }
    return -1;
}

int32_t pm_stop_push(pm_stop_text *text, pm_str *out, size_t from)
{
    const pm_stops *stops = text->stops;
    if (stops->count == 0)
        return -1;
    const size_t fresh = out->len - from, len = text->held_len + fresh;
    pm_assert(out->len + text->held_len < out->capacity);
    memmove(out->data + from + text->held_len, out->data + from, fresh);
    memcpy(out->data + from, text->held, text->held_len);
    text->held_len = 0;
    size_t keep = len;             /* bytes that may be let through: up to the first beginning */
    for (size_t at = 0; at < len; at++) {
        bool partial = false;
        const int32_t stop = stop_at(stops, out->data + from + at, len - at, &partial);
        if (stop >= 0) {           /* an earlier beginning is let through: it cannot end before this one */
            out->len = from + at;
            out->data[out->len] = '\0';
            return stop;
        }
        if (partial && keep == len)
            keep = at;
    }
    text->held_len = (uint32_t)(len - keep);
    memcpy(text->held, out->data + from + keep, text->held_len);
    out->len = from + keep;
    out->data[out->len] = '\0';
    return -1;
}

void pm_stop_flush(pm_stop_text *text, pm_str *out)
{
    pm_assert(out->len + text->held_len < out->capacity);
    if (text->held_len > 0)
        memcpy(out->data + out->len, text->held, text->held_len);
    out->len += text->held_len;
    out->data[out->len] = '\0';
    text->held_len = 0;
}
