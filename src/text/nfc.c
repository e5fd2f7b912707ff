/* text/nfc.c - decompose, order, compose, in stretches that begin at ASCII. */
#include "text/nfc.h"

#include "text/utf8.h"

#include <string.h>
#include <utf8proc.h>

enum {
    EXPANSION = 4,                 /* most code points that one decomposes to */
    SHORT_RUN = 32,                /* marks that insertion sorts */
};

typedef struct work {
    utf8proc_int32_t *points;      /* [capacity]; owned */
    utf8proc_int32_t *ordered;     /* [capacity]; owned, made for long runs of marks */
    size_t count, capacity;
} work;

bool pm_nfc_may_change(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0xcc) /* leads U+0300 and above */
            return true;
    return false;
}

static pm_result reserve(work *w, size_t capacity)
{
    if (capacity <= w->capacity)
        return PM_OK;
    pm_free(w->points);
    pm_free(w->ordered);
    *w = (work){.points = pm_alloc(capacity, sizeof(*w->points), "text to normalise")};
    if (w->points == NULL)
        return PM_ERR_NOMEM;
    w->capacity = capacity;
    return PM_OK;
}

static unsigned char_class(utf8proc_int32_t c)
{
    return (unsigned char)utf8proc_get_property(c)->combining_class;
}

static void order_short(utf8proc_int32_t *run, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const utf8proc_int32_t c = run[i];
        size_t at = i;
        for (; at > 0 && char_class(run[at - 1]) > char_class(c); at--)
            run[at] = run[at - 1];
        run[at] = c;
    }
}

static pm_result order_long(work *w, utf8proc_int32_t *run, size_t count)
{
    if (w->ordered == NULL)
        w->ordered = pm_alloc(w->capacity, sizeof(*w->ordered), "text to normalise");
    if (w->ordered == NULL)
        return PM_ERR_NOMEM;
    size_t starts[257] = {0};
    for (size_t i = 0; i < count; i++)
        starts[char_class(run[i]) + 1]++;
    for (size_t i = 0; i < 256; i++)
        starts[i + 1] += starts[i];
    for (size_t i = 0; i < count; i++)
        w->ordered[starts[char_class(run[i])]++] = run[i];
    memcpy(run, w->ordered, count * sizeof(*run));
    return PM_OK;
}

/* Marks between two starters go by their class, those of one class stay in order. */
static pm_result order_marks(work *w)
{
    for (size_t start = 0; start < w->count; start++) {
        if (char_class(w->points[start]) == 0)
            continue;
        size_t end = start + 1;
        while (end < w->count && char_class(w->points[end]) != 0)
            end++;
        if (end - start <= SHORT_RUN)
            order_short(w->points + start, end - start);
        else
            PM_TRY(order_long(w, w->points + start, end - start));
        start = end;
    }
    return PM_OK;
}

static pm_result append_points(const work *w, size_t count, pm_str *out)
{
    for (size_t i = 0; i < count; i++) {
        char bytes[4];
        PM_TRY(pm_str_append(out, bytes, pm_utf8_encode((uint32_t)w->points[i], bytes)));
    }
    return PM_OK;
}

static pm_result compose_stretch(work *w, const char *text, size_t len, pm_str *out)
{
    PM_TRY(reserve(w, len * EXPANSION));
    w->count = 0;
    uint32_t size;
    for (size_t at = 0; at < len; at += size) {
        (void)pm_utf8_next(text + at, len - at, &size);
        const utf8proc_int32_t c = (utf8proc_int32_t)pm_utf8_decode(text + at, size);
        int boundary = 0;
        const utf8proc_ssize_t n = utf8proc_decompose_char(c, w->points + w->count,
                                                           (utf8proc_ssize_t)(w->capacity - w->count),
                                                           UTF8PROC_DECOMPOSE, &boundary);
        pm_assert(n > 0 && (size_t)n <= w->capacity - w->count);
        w->count += (size_t)n;
    }
    PM_TRY(order_marks(w));
    const utf8proc_ssize_t composed = utf8proc_normalize_utf32(w->points, (utf8proc_ssize_t)w->count,
                                                               UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    pm_assert(composed >= 0);
    return append_points(w, (size_t)composed, out);
}

pm_result pm_nfc_append(const char *text, size_t len, pm_str *out)
{
    work w = {0};
    pm_result result = pm_str_reserve(out, out->len + len);
    for (size_t at = 0; at < len && result == PM_OK;) {
        size_t end = at; /* ASCII, up to the character that a mark may follow */
        while (end < len && (unsigned char)text[end] < 0x80)
            end++;
        const size_t plain = end < len && end > at ? end - 1 : end;
        result = pm_str_append(out, text + at, plain - at);
        at = plain;
        while (end < len && (unsigned char)text[end] >= 0x80)
            end++;
        if (result == PM_OK && end > at)
            result = pm_nfc_may_change(text + at, end - at) ? compose_stretch(&w, text + at, end - at, out)
                                                            : pm_str_append(out, text + at, end - at);
        at = end;
    }
    pm_free(w.points);
    pm_free(w.ordered);
    return result;
}
