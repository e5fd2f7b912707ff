/* text/nfc.h - Unicode normalisation form C. Floor 1.
 *
 * Some models' tokenizer files compose the text before cutting it. Cost: linear;
 * text whose characters are all below U+0300 is in NFC already.
 * Source: Unicode Standard Annex 15; the character data is utf8proc's.
 */
#ifndef PM_TEXT_NFC_H
#define PM_TEXT_NFC_H

#include "base/str.h"

/* False only when the text is in NFC for certain. */
bool pm_nfc_may_change(const char *text, size_t len);

/* Appends the NFC of text, which is well-formed UTF-8, to out: at most three times
 * its bytes. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_nfc_append(const char *text, size_t len, pm_str *out);

#endif /* PM_TEXT_NFC_H */
