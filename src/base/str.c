/* base/str.c - a growing byte string. */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void pm_str_finish(pm_str *s)
{
    pm_free(s->data);
    *s = (pm_str){0};
}

void pm_str_clear(pm_str *s)
{
    s->len = 0;
    if (s->data != NULL)
        s->data[0] = '\0';
}

pm_result pm_str_reserve(pm_str *s, size_t capacity)
{
    if (s->data != NULL && capacity <= s->capacity)
        return PM_OK;
    if (capacity > SIZE_MAX / 4)
        return pm_fail(PM_ERR_NOMEM, "string: %zu bytes exceed the address space", capacity);
    size_t grown = s->capacity ? s->capacity * 2 : 64;
    while (grown < capacity)
        grown *= 2;
    char *data = pm_realloc(s->data, grown + 1, 1, "string");
    if (data == NULL)
        return PM_ERR_NOMEM;
    s->data = data;
    s->capacity = grown;
    s->data[s->len] = '\0';
    return PM_OK;
}

pm_result pm_str_append(pm_str *s, const char *data, size_t len)
{
    PM_TRY(pm_str_reserve(s, s->len + len));
    if (len > 0)
        memcpy(s->data + s->len, data, len);
    s->len += len;
    s->data[s->len] = '\0';
    return PM_OK;
}

pm_result pm_str_append_text(pm_str *s, const char *text)
{
    return pm_str_append(s, text, strlen(text));
}

pm_result pm_str_append_format(pm_str *s, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    pm_result result = len < 0 ? pm_fail(PM_ERR_ARG, "string: bad format '%s'", format)
                               : pm_str_reserve(s, s->len + (size_t)len);
    if (result == PM_OK) {
        vsnprintf(s->data + s->len, (size_t)len + 1, format, again);
        s->len += (size_t)len;
    }
    va_end(again);
    return result;
}
