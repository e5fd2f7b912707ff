/* op/turn.c - which of what costs much has its turn. */
#include "op/turn.h"

#include "base/env.h"
#include "op/harness.h"
#include "op/matmul.h"
#include "op/weight.h"

#include <stdlib.h>
#include <string.h>

/* Whether a list of the environment has the name, or is not there. */
static bool is_listed(const char *variable, const char *name)
{
    const char *list = getenv(variable);
    return list == NULL || list[0] == '\0' || pm_env_list_has(list, name);
}

static bool is_wanted(pm_dtype type)
{
    return is_listed("PUMICE_TEST_TYPES", pm_dtype_get(type)->stem);
}

bool variant_is_wanted(const char *name)
{
    return is_listed("PUMICE_TEST_VARIANTS", name);
}

uint32_t next_type(uint32_t id)
{
    while (id < PM_DTYPE_LIMIT && !(pm_weight_supported((pm_dtype)id) && is_wanted((pm_dtype)id)))
        id++;
    return id;
}

uint32_t pick(uint32_t limit)
{
    static uint64_t draws;
    return input_index(harness_seed(), draws++, limit);
}

bool is_full(void)
{
    const char *value = getenv("PUMICE_TEST_FULL");
    return value != NULL && strcmp(value, "1") == 0;
}

bool type_in_turn(uint32_t type, uint32_t most)
{
    uint32_t count = 0, place = 0;
    if (is_full())
        return true;
    for_each_type(other) {
        place += other < type;
        count++;
    }
    const uint32_t turns = (count + most - 1) / most;
    return (place + harness_seed()) % turns == 0;
}

uint32_t some_type(void)
{
    uint32_t types[PM_DTYPE_LIMIT], count = 0;
    for_each_type(type)
        types[count++] = type;
    return types[pick(count)];
}

uint32_t matmul_variant_count(void)
{
    uint32_t count = 0;
    while (pm_matmul_variant(count) != NULL)
        count++;
    return count;
}

uint64_t matmul_variants_in_turn(uint32_t type, uint32_t most)
{
    const uint32_t count = matmul_variant_count();
    uint64_t variants = 0;
    if (type_in_turn(type, most))
        return UINT64_MAX;
    for (uint32_t v = 0, next; v < count; v = next) {
        const char *text = pm_matmul_variant_text(v);
        for (next = v + 1; next < count && strcmp(pm_matmul_variant_text(next), text) == 0;)
            next++;
        variants |= UINT64_C(1) << (v + (harness_seed() + type) % (next - v));
    }
    return variants;
}
