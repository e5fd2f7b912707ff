/* op/pack_host.h - the packed layout, written by the host. Floor 2. */
#ifndef PM_OP_PACK_HOST_H
#define PM_OP_PACK_HOST_H

#include "op/weight.h"

/* True for the types that pm_weight_pack_on_host() knows; the others go through pm_weight_pack_record(). */
bool pm_weight_packs_on_host(pm_dtype type);

/* As pm_weight_pack_record(), at once. packed: where weight->data lies for the host, pm_weight_bytes() of it; raw:
 * `rows` rows of the file's blocks. Rows of one matrix may be packed by several threads, each its own rows. */
void pm_weight_pack_on_host(const pm_weight *weight, void *packed, uint32_t row_base, uint32_t rows, const void *raw);

#endif /* PM_OP_PACK_HOST_H */
