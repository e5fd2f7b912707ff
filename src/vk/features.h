/* vk/features.h - what a physical device offers, and what we ask it for. Floor 1, inside vk/ only. */
#ifndef PM_VK_FEATURES_H
#define PM_VK_FEATURES_H

#include "vk/api.h"
#include "vk/caps.h"
#include "vk/newer.h"

/* Extensions of a device, those that we know. */
typedef struct pm_vk_extensions {
    bool budget, host_memory, coopmat, coopmat2, bf16, push_descriptor;
    bool statistics;               /* no capability: asked for by pm_vk_device_open_measured() alone */
} pm_vk_extensions;

/* Errors: PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_vk_extensions_query(VkPhysicalDevice physical, pm_vk_extensions *out);

/* Names of the extensions that the capabilities `caps`, and statistics, need; names:
 * [PM_VK_EXTENSIONS_MAX]. */
#define PM_VK_EXTENSIONS_MAX 8
uint32_t pm_vk_extensions_ask(uint32_t caps, bool statistics, const char **names);

/* A chain of feature structs, linked inside: it must not be moved once linked. */
typedef struct pm_vk_features {
    VkPhysicalDeviceFeatures2 core;
    VkPhysicalDeviceVulkan11Features v11;
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceVulkan13Features v13;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat;
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV coopmat2;
    VkPhysicalDeviceShaderBfloat16FeaturesKHR bf16;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics;
} pm_vk_features;

/* Zeroes and links the chain; of the extensions' structs those that are named. */
void pm_vk_features_link(pm_vk_features *features, const pm_vk_extensions *extensions);

/* Names of what the floor needs and the device lacks, into missing ("" = nothing). */
void pm_vk_features_missing(const pm_vk_features *has, uint32_t api_version, char *missing, size_t capacity);

/* PM_CAP_BIT()s of what is there. timestamps: valid bits of the queue are not 0. */
uint32_t pm_vk_features_caps(const pm_vk_features *has, const pm_vk_extensions *extensions,
                             const VkPhysicalDeviceSubgroupProperties *subgroup, bool int8dot_accelerated,
                             bool timestamps);

/* Fills in caps->matrix and caps->flexible, as far as caps->bits say that they are there.
 * Errors: PM_ERR_DEVICE, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_vk_matrices_query(VkPhysicalDevice physical, pm_vk_caps *caps);

/* The chain to create a device with: what the floor needs, what `caps` names, and with
 * `statistics` VK_KHR_pipeline_executable_properties. */
void pm_vk_features_ask(pm_vk_features *ask, const pm_vk_features *has, uint32_t caps, bool statistics);

/* PUMICE_CAPS as bits to take away. Errors: PM_ERR_ARG (an item is not -name; lists the
 * names). */
PM_MUST_USE pm_result pm_vk_caps_masked(const char *list, uint32_t *out);

#endif /* PM_VK_FEATURES_H */
