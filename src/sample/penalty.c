/* sample/penalty.c - logits changed by what was said before. */
#include "sample/penalty.h"

#include <stdbool.h>

static bool said_before(const int32_t *history, uint32_t count, int32_t token)
{
    for (uint32_t i = 0; i < count; i++)
        if (history[i] == token)
            return true;
    return false;
}

void pm_penalty_repeat(float *logits, uint32_t vocab, float penalty, const int32_t *history, uint32_t count)
{
    const uint32_t first = count < PM_PENALTY_TOKENS ? 0 : count - PM_PENALTY_TOKENS;
    const float inverse = 1.0f / penalty;
    for (uint32_t i = first; i < count; i++) {
        const int32_t token = history[i];
        if (token < 0 || (uint32_t)token >= vocab || said_before(&history[first], i - first, token))
            continue;
        float *logit = &logits[token];
        *logit = *logit * (*logit > 0.0f ? inverse : penalty);
    }
}
