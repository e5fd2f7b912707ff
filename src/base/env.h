/* base/env.h - THE table of environment switches. Floor 0.
 *
 * Nothing else in the library calls getenv() for a PUMICE_ name, so that
 * `pumice --help-env` can print them all. */
#ifndef PM_BASE_ENV_H
#define PM_BASE_ENV_H

#include <stdbool.h>

#define PM_ENV_MAP(X)                                                                              \
    X(DEVICE,   "PUMICE_DEVICE",   "device: index, part of its name, or UUID")                     \
    X(CAPS,     "PUMICE_CAPS",     "capabilities to mask off, for example -f16,-int8dot")          \
    X(VARIANT,  "PUMICE_VARIANT",  "force kernel variants, for example matmul:rows8")               \
    X(VALIDATE, "PUMICE_VALIDATE", "1: Vulkan validation layer with synchronisation checks")       \
    X(PROFILE,  "PUMICE_PROFILE",  "1: time every dispatch on the device")                         \
    X(LOG,      "PUMICE_LOG",      "areas to log: vk,gguf,text,model,plan,sched,engine or all")    \
    X(CACHE,    "PUMICE_CACHE",    "0: neither read nor write the pipeline cache on disk")         \
    X(VERIFY,   "PUMICE_VERIFY",   "0: no self-test of the kernels when an engine starts")         \
    X(TUNE,     "PUMICE_TUNE",     "0: do not use what pumice tune found best on the device")          \
    X(PRESETS,  "PUMICE_PRESETS",  "0: do not use the choices that ship for families of devices")      \
    X(SUBGROUP, "PUMICE_SUBGROUP", "subgroup size to ask the driver for, where it has a choice")

typedef enum pm_env {
#define X(name, variable, text) PM_ENV_##name,
    PM_ENV_MAP(X)
#undef X
    PM_ENVS
} pm_env;

/* The variable's value, or NULL when it is unset or empty. */
const char *pm_env_get(pm_env name);
const char *pm_env_name(pm_env name);
const char *pm_env_text(pm_env name);

/* True when the comma-separated list has the item, exactly. */
bool pm_env_list_has(const char *list, const char *item);

#endif /* PM_BASE_ENV_H */
