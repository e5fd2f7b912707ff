/* op/preset.h - choices that ship with the program, for families of devices. Floor 2.
 *
 * They serve where tuning has found nothing: they stand behind what a device's file holds (op/choice.h). A family is
 * known by its driver, its caps and its name. Each choice has numbers behind it, which stand beside it in preset.c; what was
 * neither measured nor compiled for a family has none. PUMICE_PRESETS=0 leaves all of them out. */
#ifndef PM_OP_PRESET_H
#define PM_OP_PRESET_H

#include "op/choice.h"
#include "vk/caps.h"

/* "AMD RDNA 3 by RADV", or NULL: no presets. Static storage. */
const char *pm_preset_family(const pm_device_info *info, const pm_vk_caps *caps);

/* Puts the family's choices behind those that are there. Where PM_CHOICES_MAX are there, the rest is left out.
 * Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_presets_append(const pm_device_info *info, const pm_vk_caps *caps, pm_choices *choices);

#endif /* PM_OP_PRESET_H */
