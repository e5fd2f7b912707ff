/* op/variant.h - which row of an op's variant table runs. Floor 2.
 *
 * PUMICE_VARIANT=matmul:tile64,attention:decode forces rows by name. A row that the self-test
 * found wrong on a device (verify/start.h) is off there, for one type of weights or pages: it
 * is no longer chosen, and the next row that can serve is. */
#ifndef PM_OP_VARIANT_H
#define PM_OP_VARIANT_H

#include "vk/device.h"

#include <stdint.h>

#define PM_VARIANT_FREE UINT32_MAX

/* The forced row of `op` among names[0 .. count - 1], or PM_VARIANT_FREE.
 * Errors: PM_ERR_ARG (a name that the table lacks; lists it). */
PM_MUST_USE pm_result pm_variant_forced(const char *op, const char *const *names, uint32_t count, uint32_t *out);

typedef enum pm_variant_table { PM_VARIANTS_MATMUL, PM_VARIANTS_ATTENTION } pm_variant_table;

/* type: a pm_dtype or pm_kv_type; index: row of the table. */
void pm_variant_switch_off(pm_vk_device *device, pm_variant_table table, uint32_t type, uint32_t index);
bool pm_variant_is_off(const pm_vk_caps *caps, pm_variant_table table, uint32_t type, uint32_t index);

#endif /* PM_OP_VARIANT_H */
