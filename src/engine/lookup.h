/* engine/lookup.h - guesses of what follows, from the sequence itself. Floor 5, pure.
 *
 * Source: A. Saxena, "Prompt lookup decoding", 2023: text that repeats earlier text (a
 * summary, code, a quotation) is likely to go on as it did there.
 */
#ifndef PM_ENGINE_LOOKUP_H
#define PM_ENGINE_LOOKUP_H

#include <stdint.h>

#define PM_LOOKUP_WORDS 3u         /* last tokens that must have stood earlier; 2 will do where 3 did not */

/* Up to `most` tokens that followed the latest earlier place where the last tokens stood;
 * returns how many. O(count). */
uint32_t pm_lookup(const int32_t *tokens, uint32_t count, int32_t *guesses, uint32_t most);

#endif /* PM_ENGINE_LOOKUP_H */
