/* vk/features.h - what a physical device offers, and what we ask it for. Floor 1, inside vk/ only. */
#ifndef PM_VK_FEATURES_H
#define PM_VK_FEATURES_H

#include "vk/api.h"
#include "vk/caps.h"

/* A chain of feature structs, linked inside: it must not be moved once linked. */
typedef struct pm_vk_features {
    VkPhysicalDeviceFeatures2 core;
    VkPhysicalDeviceVulkan11Features v11;
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceVulkan13Features v13;
} pm_vk_features;

/* Zeroes and links the chain. */
void pm_vk_features_link(pm_vk_features *features);

/* Extension names of the device, as a bit for each that we know. */
typedef struct pm_vk_extensions {
    bool budget, host_memory, coopmat, coopmat2, bfloat16;
} pm_vk_extensions;

void pm_vk_extensions_query(VkPhysicalDevice physical, pm_vk_extensions *out);

/* Names of what the floor needs and the device lacks, into missing ("" = nothing). */
void pm_vk_features_missing(const pm_vk_features *has, uint32_t api_version, char *missing, size_t capacity);

/* PM_CAP_BIT()s of what is there. timestamps: valid bits of the queue are not 0. */
uint32_t pm_vk_features_caps(const pm_vk_features *has, const pm_vk_extensions *extensions,
                             const VkPhysicalDeviceSubgroupProperties *subgroup, bool int8dot_accelerated,
                             bool timestamps);

/* The chain to create a device with: what the floor needs, and what `caps` names. */
void pm_vk_features_ask(pm_vk_features *ask, const pm_vk_features *has, uint32_t caps);

/* PUMICE_CAPS as bits to take away. Errors: PM_ERR_ARG (an item is not -name; lists the
 * names). */
PM_MUST_USE pm_result pm_vk_caps_masked(const char *list, uint32_t *out);

#endif /* PM_VK_FEATURES_H */
