/* op/variant.c - which row of an op's variant table runs. */
#include "op/variant.h"

#include "base/env.h"

#include <stdio.h>
#include <string.h>

static pm_result unknown(const char *op, const char *name, size_t len, const char *const *names, uint32_t count)
{
    char known[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < sizeof(known); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, " %s", names[i]);
    return pm_fail(PM_ERR_ARG, "PUMICE_VARIANT: %s has no variant '%.*s', expected one of%s", op,
                   (int)(len < 64 ? len : 64), name, known);
}

pm_result pm_variant_forced(const char *op, const char *const *names, uint32_t count, uint32_t *out)
{
    *out = PM_VARIANT_FREE;
    const char *list = pm_env_get(PM_ENV_VARIANT);
    const size_t op_len = strlen(op);
    for (; list != NULL && *list != '\0'; list += strcspn(list, ",") + (list[strcspn(list, ",")] == ',')) {
        const size_t len = strcspn(list, ",");
        if (len <= op_len || memcmp(list, op, op_len) != 0 || list[op_len] != ':')
            continue;
        const char *name = list + op_len + 1;
        const size_t name_len = len - op_len - 1;
        for (uint32_t i = 0; i < count; i++)
            if (strlen(names[i]) == name_len && memcmp(names[i], name, name_len) == 0)
                *out = i;
        if (*out == PM_VARIANT_FREE)
            return unknown(op, name, name_len, names, count);
    }
    return PM_OK;
}

static uint32_t off_id(pm_variant_table table, uint32_t type, uint32_t index)
{
    return (uint32_t)table << 24 | type << 16 | index;
}

void pm_variant_switch_off(pm_vk_device *device, pm_variant_table table, uint32_t type, uint32_t index)
{
    if (!pm_variant_is_off(pm_vk_device_caps(device), table, type, index))
        pm_vk_device_switch_off(device, off_id(table, type, index));
}

bool pm_variant_is_off(const pm_vk_caps *caps, pm_variant_table table, uint32_t type, uint32_t index)
{
    for (uint32_t i = 0; i < caps->off_count; i++)
        if (caps->off[i] == off_id(table, type, index))
            return true;
    return false;
}
