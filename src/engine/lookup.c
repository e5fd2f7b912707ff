/* engine/lookup.c - guesses of what follows, from the sequence itself. */
#include "engine/lookup.h"

#include <string.h>

/* The end of the latest earlier occurrence of the last `words` tokens; 0 = there is none. */
static uint32_t find(const int32_t *tokens, uint32_t count, uint32_t words)
{
    if (count < words + 1)
        return 0;
    const int32_t *last = tokens + count - words;
    for (uint32_t end = count - 1; end >= words; end--)
        if (tokens[end - 1] == last[words - 1] && memcmp(tokens + end - words, last, words * sizeof(*last)) == 0)
            return end;
    return 0;
}

uint32_t pm_lookup(const int32_t *tokens, uint32_t count, int32_t *guesses, uint32_t most)
{
    for (uint32_t words = PM_LOOKUP_WORDS; words >= 2; words--) {
        const uint32_t end = find(tokens, count, words);
        if (end == 0)
            continue;
        const uint32_t there = count - end, guessed = there < most ? there : most;
        memcpy(guesses, tokens + end, guessed * sizeof(*guesses));
        return guessed;
    }
    return 0;
}
