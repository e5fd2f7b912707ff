/* vk/hazard.c - when a dispatch must wait for earlier ones. */
#include "vk/hazard.h"

void pm_hazards_clear(pm_hazards *hazards)
{
    hazards->count = 0;
}

bool pm_hazards_conflict(const pm_hazards *hazards, const pm_vk_access *access, uint32_t count)
{
    if (hazards->count + count > PM_HAZARD_RANGES)
        return true;
    for (uint32_t a = 0; a < count; a++) {
        const pm_slice *s = &access[a].slice;
        for (uint32_t i = 0; i < hazards->count && s->buffer != NULL; i++)
            if (hazards->range[i].buffer == s->buffer && (hazards->range[i].write || access[a].write) &&
                hazards->range[i].begin < s->offset + s->bytes && s->offset < hazards->range[i].end)
                return true;
    }
    return false;
}

void pm_hazards_note(pm_hazards *hazards, const pm_vk_access *access, uint32_t count)
{
    for (uint32_t a = 0; a < count; a++) {
        const pm_slice *s = &access[a].slice;
        if (s->buffer == NULL)
            continue;
        pm_assert(hazards->count < PM_HAZARD_RANGES);
        const uint32_t i = hazards->count++;
        hazards->range[i].buffer = s->buffer;
        hazards->range[i].begin = s->offset;
        hazards->range[i].end = s->offset + s->bytes;
        hazards->range[i].write = access[a].write;
    }
}
