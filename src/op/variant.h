/* op/variant.h - which row of an op's variant table runs. Floor 2.
 *
 * PUMICE_VARIANT=matmul:tile8,attention:decode forces rows by name. */
#ifndef PM_OP_VARIANT_H
#define PM_OP_VARIANT_H

#include "base/error.h"

#include <stdint.h>

#define PM_VARIANT_FREE UINT32_MAX

/* The forced row of `op` among names[0 .. count - 1], or PM_VARIANT_FREE.
 * Errors: PM_ERR_ARG (a name that the table lacks; lists it). */
PM_MUST_USE pm_result pm_variant_forced(const char *op, const char *const *names, uint32_t count, uint32_t *out);

#endif /* PM_OP_VARIANT_H */
