/* text/utf8.h - where characters begin and end. Floor 1, no allocation.
 *
 * Well-formed means Unicode table 3-7: shortest form, no surrogates, at most
 * U+10FFFF. Source: The Unicode Standard, chapter 3.9.
 */
#ifndef PM_TEXT_UTF8_H
#define PM_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

typedef enum pm_utf8_state {
    PM_UTF8_WHOLE,                 /* a well-formed character */
    PM_UTF8_CUT,                   /* the text ends inside a character */
    PM_UTF8_ILL,                   /* bytes that no continuation makes well-formed */
} pm_utf8_state;

/* What text[0 .. len) begins with; len > 0. *size: bytes of the character, of its
 * part, or of the maximal ill-formed part that U+FFFD stands for; 1..4. */
static inline pm_utf8_state pm_utf8_next(const char *text, size_t len, uint32_t *size)
{
    const unsigned char *p = (const unsigned char *)text;
    const unsigned char lead = p[0];
    *size = 1;
    if (lead < 0x80)
        return PM_UTF8_WHOLE;
    if (lead < 0xc2 || lead > 0xf4)
        return PM_UTF8_ILL;
    const uint32_t need = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned char low = 0x80, high = 0xbf;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    while (*size < need) {
        if (*size == len)
            return PM_UTF8_CUT;
        if (p[*size] < low || p[*size] > high)
            return PM_UTF8_ILL;
        low = 0x80;
        high = 0xbf;
        ++*size;
    }
    return PM_UTF8_WHOLE;
}

/* The code point of a well-formed character of `size` bytes. */
static inline uint32_t pm_utf8_decode(const char *text, uint32_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    if (size == 1)
        return p[0];
    uint32_t c = p[0] & (0x7fu >> size);
    for (uint32_t i = 1; i < size; i++)
        c = c << 6 | (p[i] & 0x3fu);
    return c;
}

/* Writes the bytes of code point c (a scalar value) and returns how many: 1..4,
 * at most 2 below U+0800. */
static inline uint32_t pm_utf8_encode(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const uint32_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (uint32_t i = size - 1; i > 0; i--) {
        out[i] = (char)(0x80u | (c & 0x3fu));
        c >>= 6;
    }
    out[0] = (char)((0xf00u >> size & 0xffu) | c);
    return size;
}

/* Bytes of the longest well-formed prefix of text. */
static inline size_t pm_utf8_prefix(const char *text, size_t len)
{
    size_t at = 0;
    uint32_t size;
    while (at < len && pm_utf8_next(text + at, len - at, &size) == PM_UTF8_WHOLE)
        at += size;
    return at;
}

#endif /* PM_TEXT_UTF8_H */
