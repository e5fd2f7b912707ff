/* vk/hazard.h - when a dispatch must wait for earlier ones. Floor 1, pure.
 *
 * Keeps the byte ranges that were read and written since the last barrier. A new access
 * needs a barrier when it overlaps an earlier write (read after write, write after
 * write), or is a write and overlaps an earlier read (write after read).
 */
#ifndef PM_VK_HAZARD_H
#define PM_VK_HAZARD_H

#include "vk/record.h"

#define PM_HAZARD_RANGES 128       /* kept at most; when full, the next access gets a barrier */

typedef struct pm_hazards {
    struct { const void *buffer; uint64_t begin, end; bool write; } range[PM_HAZARD_RANGES];
    uint32_t count;
} pm_hazards;

void pm_hazards_clear(pm_hazards *hazards);

/* True when the accesses together need a barrier before them. */
bool pm_hazards_conflict(const pm_hazards *hazards, const pm_vk_access *access, uint32_t count);

/* Notes the accesses; the caller cleared the hazards if it put a barrier. */
void pm_hazards_note(pm_hazards *hazards, const pm_vk_access *access, uint32_t count);

#endif /* PM_VK_HAZARD_H */
