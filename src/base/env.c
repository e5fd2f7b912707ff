/* base/env.c - THE table of environment switches. */
#include "base/env.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *variable, *text;
} switches[PM_ENVS] = {
#define X(name, variable, text) {variable, text},
    PM_ENV_MAP(X)
#undef X
};

const char *pm_env_get(pm_env name)
{
    const char *value = getenv(switches[name].variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *pm_env_name(pm_env name)
{
    return switches[name].variable;
}

const char *pm_env_text(pm_env name)
{
    return switches[name].text;
}

bool pm_env_list_has(const char *list, const char *item)
{
    const size_t len = strlen(item);
    while (*list != '\0') {
        const size_t n = strcspn(list, ",");
        if (n == len && memcmp(list, item, len) == 0)
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}
