/* vk/features.c - what a physical device offers, and what we ask it for. */
#include "vk/features.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

#define EXTENSION_MAP(X)                                        \
    X(budget,          BUDGET,   "VK_EXT_memory_budget")        \
    X(host_memory,     HOSTMEM,  "VK_EXT_external_memory_host") \
    X(coopmat,         COOPMAT,  "VK_KHR_cooperative_matrix")   \
    X(coopmat2,        COOPMAT2, "VK_NV_cooperative_matrix2")   \
    X(bf16,            BF16,     "VK_KHR_shader_bfloat16")      \
    X(push_descriptor, TEXELS,   "VK_KHR_push_descriptor")

pm_result pm_vk_extensions_query(VkPhysicalDevice physical, pm_vk_extensions *out)
{
    *out = (pm_vk_extensions){0};
    uint32_t count = 0;
    PM_TRY(pm_vk_check(vkEnumerateDeviceExtensionProperties(physical, NULL, &count, NULL),
                       "vkEnumerateDeviceExtensionProperties"));
    VkExtensionProperties *list = pm_alloc(count, sizeof(*list), "device extensions");
    if (list == NULL)
        return PM_ERR_NOMEM;
    const pm_result result = pm_vk_check(vkEnumerateDeviceExtensionProperties(physical, NULL, &count, list),
                                         "vkEnumerateDeviceExtensionProperties");
    for (uint32_t i = 0; result == PM_OK && i < count; i++) {
#define X(member, cap, name) out->member |= strcmp(list[i].extensionName, name) == 0;
        EXTENSION_MAP(X)
#undef X
        out->statistics |= strcmp(list[i].extensionName, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME) == 0;
    }
    pm_free(list);
    return result;
}

uint32_t pm_vk_extensions_ask(uint32_t caps, bool statistics, const char **names)
{
    uint32_t count = 0;
#define X(member, cap, name)       \
    if (caps & PM_CAP_BIT(cap))    \
        names[count++] = name;
    EXTENSION_MAP(X)
#undef X
    if (statistics)
        names[count++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    return count;
}

/* Puts a struct that starts as VkBaseOutStructure does behind the core features. */
static void link_struct(pm_vk_features *f, void *next)
{
    ((VkBaseOutStructure *)next)->pNext = f->core.pNext;
    f->core.pNext = next;
}

void pm_vk_features_link(pm_vk_features *f, const pm_vk_extensions *extensions)
{
    *f = (pm_vk_features){
        .core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
        .v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .v13.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
        .coopmat.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .coopmat2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV,
        .bf16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR,
        .statistics.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
    };
    link_struct(f, &f->v11);
    link_struct(f, &f->v12);
    link_struct(f, &f->v13);
    if (extensions->coopmat)
        link_struct(f, &f->coopmat);
    if (extensions->coopmat2)
        link_struct(f, &f->coopmat2);
    if (extensions->bf16)
        link_struct(f, &f->bf16);
    if (extensions->statistics)
        link_struct(f, &f->statistics);
}

/* The features without which nothing runs; all are mandatory in Vulkan 1.3. */
#define REQUIRED_MAP(X)                                             \
    X(v12, bufferDeviceAddress)                                     \
    X(v12, timelineSemaphore)                                       \
    X(v12, hostQueryReset)                                          \
    X(v13, subgroupSizeControl)                                     \
    X(v13, computeFullSubgroups)                                    \
    X(v13, synchronization2)                                        \
    X(v13, maintenance4)                                            \
    X(v13, shaderIntegerDotProduct)

void pm_vk_features_missing(const pm_vk_features *has, uint32_t api_version, char *missing, size_t capacity)
{
    size_t used = 0;
    missing[0] = '\0';
    if (api_version < VK_API_VERSION_1_3) {
        snprintf(missing, capacity, "Vulkan 1.3 (it has %u.%u)", VK_API_VERSION_MAJOR(api_version),
                 VK_API_VERSION_MINOR(api_version));
        return;
    }
#define X(version, feature)                                                                          \
    if (!has->version.feature && used < capacity) {                                                  \
        const int n = snprintf(missing + used, capacity - used, "%s" #feature, used > 0 ? ", " : ""); \
        used += n > 0 ? (size_t)n : 0;                                                               \
    }
    REQUIRED_MAP(X)
#undef X
}

uint32_t pm_vk_features_caps(const pm_vk_features *has, const pm_vk_extensions *extensions,
                             const VkPhysicalDeviceSubgroupProperties *subgroup, bool int8dot_accelerated,
                             bool timestamps)
{
    const VkSubgroupFeatureFlags operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT |
                                              VK_SUBGROUP_FEATURE_SHUFFLE_BIT | VK_SUBGROUP_FEATURE_BALLOT_BIT;
    uint32_t caps = 0;
    caps |= has->v12.shaderFloat16 ? PM_CAP_BIT(F16) : 0;
    caps |= has->v11.storageBuffer16BitAccess ? PM_CAP_BIT(STORE16) : 0;
    caps |= has->v12.storageBuffer8BitAccess ? PM_CAP_BIT(STORE8) : 0;
    caps |= has->v12.shaderInt8 ? PM_CAP_BIT(INT8) : 0;
    caps |= has->core.features.shaderInt16 ? PM_CAP_BIT(INT16) : 0;
    caps |= has->core.features.shaderInt64 ? PM_CAP_BIT(INT64) : 0;
    caps |= int8dot_accelerated ? PM_CAP_BIT(INT8DOT) : 0;
    caps |= (subgroup->supportedOperations & operations) == operations &&
                    (subgroup->supportedStages & VK_SHADER_STAGE_COMPUTE_BIT)
                ? PM_CAP_BIT(SUBGROUP) : 0;
    caps |= has->coopmat.cooperativeMatrix && has->v12.vulkanMemoryModel ? PM_CAP_BIT(COOPMAT) : 0;
    const VkPhysicalDeviceCooperativeMatrix2FeaturesNV *m2 = &has->coopmat2;
    caps |= (caps & PM_CAP_BIT(COOPMAT)) && m2->cooperativeMatrixFlexibleDimensions && m2->cooperativeMatrixReductions &&
                    m2->cooperativeMatrixConversions && m2->cooperativeMatrixPerElementOperations
                ? PM_CAP_BIT(COOPMAT2) : 0; /* what kernels use */
    caps |= (caps & PM_CAP_BIT(COOPMAT2)) && m2->cooperativeMatrixWorkgroupScope && m2->cooperativeMatrixTensorAddressing &&
                    m2->cooperativeMatrixBlockLoads
                ? PM_CAP_BIT(COOPMAT2WG) : 0;
    caps |= has->bf16.shaderBFloat16Type ? PM_CAP_BIT(BF16) : 0;
    caps |= extensions->budget ? PM_CAP_BIT(BUDGET) : 0;
    caps |= extensions->host_memory ? PM_CAP_BIT(HOSTMEM) : 0;
    caps |= timestamps ? PM_CAP_BIT(TIMESTAMP) : 0;
    caps |= extensions->push_descriptor ? PM_CAP_BIT(TEXELS) : 0;
    return caps;
}

/* The function of an extension that volk may be too old to know; NULL if the loader lacks it. */
static PFN_vkVoidFunction instance_function(const char *name)
{
    return vkGetInstanceProcAddr(volkGetLoadedInstance(), name);
}

/* f16 x f16 -> f32, which is all that kernels use. */
static bool is_f16_f32(VkComponentTypeKHR a, VkComponentTypeKHR b, VkComponentTypeKHR c, VkComponentTypeKHR result)
{
    return a == VK_COMPONENT_TYPE_FLOAT16_KHR && b == VK_COMPONENT_TYPE_FLOAT16_KHR &&
           c == VK_COMPONENT_TYPE_FLOAT32_KHR && result == VK_COMPONENT_TYPE_FLOAT32_KHR;
}

#define LISTED_MAX 256             /* shapes of all component types; drivers list some tens */

static pm_result query_matrices(VkPhysicalDevice physical, pm_vk_caps *caps)
{
    static const char name[] = "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR";
    const PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)instance_function(name);
    VkCooperativeMatrixPropertiesKHR list[LISTED_MAX];
    uint32_t count = get != NULL ? LISTED_MAX : 0;
    for (uint32_t i = 0; i < count; i++)
        list[i] = (VkCooperativeMatrixPropertiesKHR){.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    if (get != NULL)
        PM_TRY(pm_vk_check(get(physical, &count, list), name));
    for (uint32_t i = 0; i < count && caps->matrix_count < PM_VK_MATRICES_MAX; i++)
        if (is_f16_f32(list[i].AType, list[i].BType, list[i].CType, list[i].ResultType) &&
            list[i].scope == VK_SCOPE_SUBGROUP_KHR)
            caps->matrix[caps->matrix_count++] = (pm_vk_matrix){list[i].MSize, list[i].NSize, list[i].KSize};
    return PM_OK;
}

static pm_result query_flexible(VkPhysicalDevice physical, pm_vk_caps *caps)
{
    static const char name[] = "vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV";
    const PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV)instance_function(name);
    VkCooperativeMatrixFlexibleDimensionsPropertiesNV list[LISTED_MAX];
    uint32_t count = get != NULL ? LISTED_MAX : 0;
    for (uint32_t i = 0; i < count; i++)
        list[i] = (VkCooperativeMatrixFlexibleDimensionsPropertiesNV){
            .sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_FLEXIBLE_DIMENSIONS_PROPERTIES_NV};
    if (get != NULL)
        PM_TRY(pm_vk_check(get(physical, &count, list), name));
    for (uint32_t i = 0; i < count && caps->flexible_count < PM_VK_MATRICES_MAX; i++) {
        const VkCooperativeMatrixFlexibleDimensionsPropertiesNV *f = &list[i];
        const bool subgroup = f->scope == VK_SCOPE_SUBGROUP_KHR;
        const bool workgroup = f->scope == VK_SCOPE_WORKGROUP_KHR && f->workgroupInvocations > 0 &&
                               (caps->bits & PM_CAP_BIT(COOPMAT2WG));
        if (is_f16_f32(f->AType, f->BType, f->CType, f->ResultType) && (subgroup || workgroup))
            caps->flexible[caps->flexible_count++] = (pm_vk_flexible_matrix){
                f->MGranularity, f->NGranularity, f->KGranularity, subgroup ? 0 : f->workgroupInvocations};
    }
    VkPhysicalDeviceCooperativeMatrix2PropertiesNV limits = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_PROPERTIES_NV};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &limits};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    caps->flexible_max = limits.cooperativeMatrixFlexibleDimensionsMaxDimension;
    if (caps->bits & PM_CAP_BIT(COOPMAT2WG)) {
        caps->flexible_lanes_max = limits.cooperativeMatrixWorkgroupScopeMaxWorkgroupSize;
        caps->flexible_shared_bytes = limits.cooperativeMatrixWorkgroupScopeReservedSharedMemory;
    }
    return PM_OK;
}

pm_result pm_vk_matrices_query(VkPhysicalDevice physical, pm_vk_caps *caps)
{
    caps->matrix_count = caps->flexible_count = 0;
    caps->flexible_max = caps->flexible_lanes_max = caps->flexible_shared_bytes = 0;
    if (caps->bits & PM_CAP_BIT(COOPMAT))
        PM_TRY(query_matrices(physical, caps));
    if (caps->bits & PM_CAP_BIT(COOPMAT2))
        PM_TRY(query_flexible(physical, caps));
    return PM_OK;
}

void pm_vk_features_ask(pm_vk_features *ask, const pm_vk_features *has, uint32_t caps, bool statistics)
{
    const pm_vk_extensions extensions = {.coopmat = (caps & PM_CAP_BIT(COOPMAT)) != 0,
                                         .coopmat2 = (caps & PM_CAP_BIT(COOPMAT2)) != 0,
                                         .bf16 = (caps & PM_CAP_BIT(BF16)) != 0,
                                         .statistics = statistics};
    pm_vk_features_link(ask, &extensions);
#define X(version, feature) ask->version.feature = VK_TRUE;
    REQUIRED_MAP(X)
#undef X
    ask->v12.shaderFloat16 = (caps & PM_CAP_BIT(F16)) != 0;
    ask->v11.storageBuffer16BitAccess = (caps & PM_CAP_BIT(STORE16)) != 0;
    ask->v12.storageBuffer8BitAccess = (caps & PM_CAP_BIT(STORE8)) != 0;
    ask->v12.shaderInt8 = (caps & PM_CAP_BIT(INT8)) != 0;
    ask->core.features.shaderInt16 = (caps & PM_CAP_BIT(INT16)) != 0;
    ask->core.features.shaderInt64 = (caps & PM_CAP_BIT(INT64)) != 0;
    ask->v12.shaderSubgroupExtendedTypes = (caps & PM_CAP_BIT(SUBGROUP)) != 0 && has->v12.shaderSubgroupExtendedTypes;
    ask->v12.vulkanMemoryModel = has->v12.vulkanMemoryModel;
    ask->v12.vulkanMemoryModelDeviceScope = has->v12.vulkanMemoryModelDeviceScope;
    ask->coopmat.cooperativeMatrix = extensions.coopmat;
    if (extensions.coopmat2) {
        VkPhysicalDeviceCooperativeMatrix2FeaturesNV *m2 = &ask->coopmat2;
        m2->cooperativeMatrixFlexibleDimensions = m2->cooperativeMatrixReductions = m2->cooperativeMatrixConversions =
            m2->cooperativeMatrixPerElementOperations = VK_TRUE;
        m2->cooperativeMatrixWorkgroupScope = m2->cooperativeMatrixTensorAddressing = m2->cooperativeMatrixBlockLoads =
            (caps & PM_CAP_BIT(COOPMAT2WG)) != 0;
    }
    ask->statistics.pipelineExecutableInfo = statistics;
    ask->bf16.shaderBFloat16Type = extensions.bf16;
    ask->bf16.shaderBFloat16DotProduct = extensions.bf16 && has->bf16.shaderBFloat16DotProduct;
    ask->bf16.shaderBFloat16CooperativeMatrix =
        extensions.bf16 && extensions.coopmat && has->bf16.shaderBFloat16CooperativeMatrix;
}

static pm_result unknown_cap(const char *item, size_t len)
{
    char known[256] = "";
    size_t used = 0;
    for (int cap = 0; cap < PM_CAPS && used < sizeof(known); cap++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, " -%s", pm_cap_name((pm_cap)cap));
    return pm_fail(PM_ERR_ARG, "PUMICE_CAPS: '%.*s', expected -all or some of%s", (int)(len < 64 ? len : 64), item, known);
}

pm_result pm_vk_caps_masked(const char *list, uint32_t *out)
{
    uint32_t masked = 0;
    while (list != NULL && *list != '\0') {
        const size_t len = strcspn(list, ",");
        uint32_t bits = 0;
        for (int cap = 0; cap < PM_CAPS; cap++) {
            const char *name = pm_cap_name((pm_cap)cap);
            if (len == strlen(name) + 1 && list[0] == '-' && memcmp(list + 1, name, len - 1) == 0)
                bits = 1u << cap;
        }
        if (len == 4 && memcmp(list, "-all", 4) == 0)
            bits = (1u << PM_CAPS) - 1;
        if (bits == 0)
            return unknown_cap(list, len);
        masked |= bits;
        list += len + (list[len] == ',');
    }
    if (masked & PM_CAP_BIT(COOPMAT)) /* each builds on the one before */
        masked |= PM_CAP_BIT(COOPMAT2);
    if (masked & PM_CAP_BIT(COOPMAT2))
        masked |= PM_CAP_BIT(COOPMAT2WG);
    *out = masked;
    return PM_OK;
}
