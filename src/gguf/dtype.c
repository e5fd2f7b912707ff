/* gguf/dtype.c - THE table of tensor types. */
#include "gguf/dtype.h"

#include "gguf/blocks.h"

#include <stddef.h>

static const pm_dtype_info infos[PM_DTYPE_LIMIT] = {
#define X(name, id, block, bytes, stem) [id] = {#name, stem, block, bytes},
    PM_DTYPE_MAP(X)
#undef X
};

const pm_dtype_info *pm_dtype_get(uint32_t id)
{
    return id < PM_DTYPE_LIMIT && infos[id].name != NULL ? &infos[id] : NULL;
}

uint64_t pm_dtype_row_bytes(pm_dtype type, uint64_t k)
{
    const pm_dtype_info *info = pm_dtype_get(type);
    pm_assert(info != NULL && k % info->block == 0);
    return k / info->block * info->bytes;
}
