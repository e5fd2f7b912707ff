/* text/byte_level.h - the 256 characters that byte-level vocabularies write bytes
 * with. Floor 1.
 *
 * Printable Latin-1 bytes stand for themselves; the other 68 are numbered from
 * U+0100 in byte order. Source: Radford et al. 2019, the GPT-2 vocabulary.
 */
#ifndef PM_TEXT_BYTE_LEVEL_H
#define PM_TEXT_BYTE_LEVEL_H

#include "text/utf8.h"

static inline uint32_t pm_byte_to_char(unsigned char byte)
{
    if (byte <= 32)
        return 256u + byte;
    if (byte >= 127 && byte <= 160)
        return 289u + (byte - 127u);
    return byte == 173 ? 323u : byte;
}

/* -1 when the character stands for no byte. */
static inline int pm_char_to_byte(uint32_t c)
{
    if (c >= 256 && c <= 288)
        return (int)(c - 256);
    if (c >= 289 && c <= 322)
        return (int)(c - 289 + 127);
    if (c == 323)
        return 173;
    return (c >= 33 && c <= 126) || (c >= 161 && c <= 255 && c != 173) ? (int)c : -1;
}

#endif /* PM_TEXT_BYTE_LEVEL_H */
