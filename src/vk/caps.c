/* vk/caps.c - names of the optional capabilities. */
#include "vk/caps.h"

#include <stdio.h>
#include <string.h>

static const char *const names[PM_CAPS] = {
#define X(name, text, help) text,
    PM_CAP_MAP(X)
#undef X
};

static const char *const texts[PM_CAPS] = {
#define X(name, text, help) help,
    PM_CAP_MAP(X)
#undef X
};

const char *pm_cap_name(pm_cap cap)
{
    return names[cap];
}

const char *pm_cap_text(pm_cap cap)
{
    return texts[cap];
}

bool pm_vk_loads_uniform(const char *driver)
{
    unsigned major, minor;
    return sscanf(driver, "llvmpipe Mesa %4u.%4u", &major, &minor) == 2 && (major > 25 || (major == 25 && minor >= 1));
}

bool pm_vk_unpacks_soft(const char *driver, bool has_f16)
{
    return !has_f16 && strncmp(driver, "llvmpipe ", 9) == 0;
}
