/* vk/device.c - choosing and opening a Vulkan 1.3 device. */
#include "vk/device_impl.h"

#include "base/alloc.h"
#include "base/env.h"
#include "base/log.h"
#include "vk/features.h"
#include "vk/statistics.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX 64

/* A physical device with all that is known about it before it is opened. */
typedef struct candidate {
    VkPhysicalDevice physical;
    pm_device_info info;
    pm_vk_caps caps;
    pm_vk_extensions extensions;
    uint32_t queue_family, timestamp_bits;
    float timestamp_ns;
    uint32_t driver_version;
    uint8_t cache_uuid[VK_UUID_SIZE];
    VkPhysicalDeviceType type;
} candidate;

/* -------------------------------------------------------------- describe */

static const char *type_name(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "cpu";
    default: return "other";
    }
}

static int type_rank(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return 4;
    default: return 3;
    }
}

static void write_vendor(uint32_t id, char *out, size_t capacity)
{
    static const struct { uint32_t id; const char *name; } vendors[] = {
        {0x10de, "NVIDIA"}, {0x1002, "AMD"}, {0x8086, "Intel"}, {0x106b, "Apple"}, {0x13b5, "Arm"},
        {0x5143, "Qualcomm"}, {0x1010, "Imagination"}, {0x1ae0, "Google"}, {0x10005, "Mesa"},
    };
    snprintf(out, capacity, "0x%04x", id);
    for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++)
        if (vendors[i].id == id)
            snprintf(out, capacity, "%s", vendors[i].name);
}

static void write_uuid(const uint8_t uuid[VK_UUID_SIZE], char out[37])
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    for (uint32_t i = 0; i < VK_UUID_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[used++] = '-';
        out[used++] = digits[uuid[i] >> 4];
        out[used++] = digits[uuid[i] & 15];
    }
    out[used] = '\0';
}

/* The first family with compute: on most devices the one with graphics too, which is the
 * one that drivers are tested with most. */
static bool find_queue(VkPhysicalDevice physical, uint32_t *family, uint32_t *timestamp_bits)
{
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
    for (uint32_t i = 0; i < count; i++)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            *family = i;
            *timestamp_bits = families[i].timestampValidBits;
            return true;
        }
    return false;
}

static void describe_memory(candidate *c)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                                .pNext = c->extensions.budget ? &budget : NULL};
    vkGetPhysicalDeviceMemoryProperties2(c->physical, &memory);
    for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; i++) {
        if (!(memory.memoryProperties.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT))
            continue;
        c->info.memory_bytes += memory.memoryProperties.memoryHeaps[i].size;
        if (c->extensions.budget && budget.heapBudget[i] > budget.heapUsage[i])
            c->info.memory_free_bytes += budget.heapBudget[i] - budget.heapUsage[i];
    }
}

static void list_caps(pm_device_info *info, uint32_t present, uint32_t masked)
{
    info->cap_count = PM_CAPS;
    for (int cap = 0; cap < PM_CAPS; cap++) {
        info->caps[cap].name = pm_cap_name((pm_cap)cap);
        info->caps[cap].present = (present >> cap) & 1;
        info->caps[cap].masked = (present & masked) >> cap & 1;
    }
}

/* Limits that only a Vulkan 1.3 device can tell. */
static pm_result describe_13(candidate *c, uint32_t masked)
{
    VkPhysicalDeviceVulkan13Properties v13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties m3 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
                                                 .pNext = &v13};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                                                   .pNext = &m3};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &subgroup};
    pm_vk_features has;
    pm_vk_features_link(&has, &c->extensions);
    vkGetPhysicalDeviceProperties2(c->physical, &properties);
    vkGetPhysicalDeviceFeatures2(c->physical, &has.core);
    pm_vk_features_missing(&has, properties.properties.apiVersion, c->info.missing, sizeof(c->info.missing));
    const uint32_t caps =
        pm_vk_features_caps(&has, &c->extensions, &subgroup, v13.integerDotProduct4x8BitPackedSignedAccelerated,
                            c->timestamp_bits > 0 && c->timestamp_ns > 0.0f);
    const VkPhysicalDeviceLimits *limits = &properties.properties.limits;
    const uint32_t x_max = limits->maxComputeWorkGroupSize[0], all_max = limits->maxComputeWorkGroupInvocations;
    const bool sizes = v13.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT; /* has a choice */
    const uint64_t bytes_max = v13.maxBufferSize < m3.maxMemoryAllocationSize ? v13.maxBufferSize
                                                                               : m3.maxMemoryAllocationSize;
    c->caps = (pm_vk_caps){
        .bits = caps & ~masked,
        .masked = caps & masked,
        .subgroup_min = sizes ? v13.minSubgroupSize : subgroup.subgroupSize,
        .subgroup_max = sizes ? v13.maxSubgroupSize : subgroup.subgroupSize,
        .subgroup_default = subgroup.subgroupSize,
        .shared_bytes = limits->maxComputeSharedMemorySize,
        .workgroup_max = x_max < all_max ? x_max : all_max,
        .buffer_bytes_max = bytes_max / 16 * 16,
        .texels_max = caps & ~masked & PM_CAP_BIT(TEXELS) ? limits->maxTexelBufferElements : 0,
        .is_cpu = c->type == VK_PHYSICAL_DEVICE_TYPE_CPU,
    };
    memcpy(c->caps.groups_max, limits->maxComputeWorkGroupCount, sizeof(c->caps.groups_max));
    c->info.subgroup_min = c->caps.subgroup_min;
    c->info.subgroup_max = c->caps.subgroup_max;
    c->info.shared_bytes = c->caps.shared_bytes;
    c->info.workgroup_max = c->caps.workgroup_max;
    list_caps(&c->info, caps, masked);
    return pm_vk_matrices_query(c->physical, &c->caps);
}

static pm_result describe(VkPhysicalDevice physical, uint32_t masked, candidate *c)
{
    *c = (candidate){.physical = physical};
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES, .pNext = &driver};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    const VkPhysicalDeviceProperties *p = &properties.properties;
    c->type = p->deviceType;
    c->driver_version = p->driverVersion;
    c->timestamp_ns = p->limits.timestampPeriod;
    memcpy(c->cache_uuid, p->pipelineCacheUUID, VK_UUID_SIZE);
    c->info.api_version = p->apiVersion;
    snprintf(c->info.name, sizeof(c->info.name), "%s", p->deviceName);
    snprintf(c->info.type, sizeof(c->info.type), "%s", type_name(p->deviceType));
    snprintf(c->info.driver, sizeof(c->info.driver), "%.120s %.120s", driver.driverName, driver.driverInfo);
    write_vendor(p->vendorID, c->info.vendor, sizeof(c->info.vendor));
    write_uuid(id.deviceUUID, c->info.uuid);
    PM_TRY(pm_vk_extensions_query(physical, &c->extensions));
    describe_memory(c);
    const bool has_queue = find_queue(physical, &c->queue_family, &c->timestamp_bits);
    if (p->apiVersion >= VK_API_VERSION_1_3)
        PM_TRY(describe_13(c, masked));
    else
        snprintf(c->info.missing, sizeof(c->info.missing), "Vulkan 1.3 (it has %u.%u)",
                 VK_API_VERSION_MAJOR(p->apiVersion), VK_API_VERSION_MINOR(p->apiVersion));
    c->caps.uniform_loads = c->caps.is_cpu && pm_vk_loads_uniform(c->info.driver);
    c->caps.soft_half = c->caps.is_cpu && pm_vk_unpacks_soft(c->info.driver, (c->caps.bits & PM_CAP_BIT(F16)) != 0);
    if (!has_queue)
        snprintf(c->info.missing, sizeof(c->info.missing), "a compute queue");
    return PM_OK;
}

/* All devices, best first. *out: owned, pm_free(). */
static pm_result enumerate(VkInstance instance, candidate **out, uint32_t *count)
{
    VkPhysicalDevice physical[DEVICES_MAX];
    uint32_t masked = 0, n = DEVICES_MAX;
    PM_TRY(pm_vk_caps_masked(pm_env_get(PM_ENV_CAPS), &masked));
    const VkResult found = vkEnumeratePhysicalDevices(instance, &n, physical);
    if (found == VK_ERROR_INITIALIZATION_FAILED) /* what the loader says of drivers without a device */
        n = 0;
    else
        PM_TRY(pm_vk_check(found, "vkEnumeratePhysicalDevices"));
    if (n == 0)
        return pm_fail(PM_ERR_UNSUP, "no Vulkan device; on Debian and Ubuntu: apt install mesa-vulkan-drivers "
                                     "(its lavapipe runs on any CPU)");
    candidate *list = pm_alloc(n, sizeof(*list), "device list");
    if (list == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        candidate c;
        const pm_result result = describe(physical[i], masked, &c);
        if (result != PM_OK) {
            pm_free(list);
            return result;
        }
        uint32_t at = i; /* stable insertion by rank */
        for (; at > 0 && type_rank(list[at - 1].type) > type_rank(c.type); at--)
            list[at] = list[at - 1];
        list[at] = c;
    }
    for (uint32_t i = 0; i < n; i++)
        list[i].info.index = i;
    *out = list;
    *count = n;
    return PM_OK;
}

pm_result pm_vk_devices_list(pm_device_info *infos, size_t capacity, size_t *count)
{
    VkInstance instance;
    PM_TRY(pm_vk_instance_acquire(&instance));
    candidate *list = NULL;
    uint32_t n = 0;
    const pm_result result = enumerate(instance, &list, &n);
    if (result == PM_OK) {
        for (uint32_t i = 0; i < n && i < capacity; i++)
            infos[i] = list[i].info;
        *count = n;
    }
    pm_free(list);
    pm_vk_instance_release();
    return result;
}

/* ---------------------------------------------------------------- choose */

static bool contains_any_case(const char *text, const char *part)
{
    const size_t len = strlen(part);
    for (; *text != '\0'; text++) {
        size_t i = 0;
        while (i < len && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == len)
            return true;
    }
    return false;
}

static bool matches(const candidate *c, const char *selector)
{
    char *end;
    const unsigned long index = strtoul(selector, &end, 10);
    if (*selector != '\0' && *end == '\0')
        return index == c->info.index;
    return contains_any_case(c->info.name, selector) ||
           (strlen(selector) == 36 && contains_any_case(c->info.uuid, selector));
}

static pm_result no_match(const candidate *list, uint32_t count, const char *selector, uint32_t matched)
{
    char names[384] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%u: %s", i > 0 ? ", " : "", i, list[i].info.name);
    return pm_fail(PM_ERR_ARG, "device '%s' matches %s; there are %s", selector, matched == 0 ? "none" : "several", names);
}

static pm_result choose(const candidate *list, uint32_t count, const char *selector, const candidate **out)
{
    uint32_t matched = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (selector == NULL ? list[i].info.missing[0] != '\0' || matched > 0 : !matches(&list[i], selector))
            continue;
        *out = &list[i];
        matched++;
    }
    if (selector != NULL && matched != 1)
        return no_match(list, count, selector, matched);
    if (matched == 0)
        *out = &list[0];
    if ((*out)->info.missing[0] != '\0')
        return pm_fail(PM_ERR_UNSUP, "device %u (%s) lacks %s", (*out)->info.index, (*out)->info.name,
                       (*out)->info.missing);
    return PM_OK;
}

/* ------------------------------------------------------------------ open */

static uint64_t import_alignment(VkPhysicalDevice physical)
{
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &host};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    return host.minImportedHostPointerAlignment;
}

static pm_result create_device(pm_vk_device *d, const candidate *c)
{
    pm_vk_features has, ask;
    pm_vk_features_link(&has, &c->extensions);
    vkGetPhysicalDeviceFeatures2(c->physical, &has.core);
    if (d->statistics && !has.statistics.pipelineExecutableInfo)
        return pm_fail(PM_ERR_UNSUP, "device %u (%s) lacks VK_KHR_pipeline_executable_properties", c->info.index,
                       c->info.name);
    pm_vk_features_ask(&ask, &has, c->caps.bits, d->statistics);
    const char *extensions[PM_VK_EXTENSIONS_MAX];
    const uint32_t extension_count = pm_vk_extensions_ask(c->caps.bits, d->statistics, extensions);
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = c->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &ask.core,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = extension_count,
                                     .ppEnabledExtensionNames = extensions};
    PM_TRY(pm_vk_check(vkCreateDevice(c->physical, &info, NULL, &d->handle), "vkCreateDevice"));
    volkLoadDeviceTable(&d->vk, d->handle);
    if (c->caps.bits & PM_CAP_BIT(HOSTMEM))
        d->import_alignment = import_alignment(c->physical);
    d->vk.vkGetDeviceQueue(d->handle, c->queue_family, 0, &d->queue);
    return PM_OK;
}

static pm_result open_in(pm_vk_device *d, VkInstance instance, const char *selector, bool profile)
{
    candidate *list = NULL;
    uint32_t count = 0;
    const candidate *c = NULL;
    pm_result result = enumerate(instance, &list, &count);
    if (result == PM_OK)
        result = choose(list, count, selector != NULL ? selector : pm_env_get(PM_ENV_DEVICE), &c);
    if (result == PM_OK) {
        d->physical = c->physical;
        d->queue_family = c->queue_family;
        d->info = c->info;
        d->caps = c->caps;
        d->timestamp_ns = c->caps.bits & PM_CAP_BIT(TIMESTAMP) ? c->timestamp_ns : 0.0f;
        d->timestamp_bits = c->timestamp_bits;
        d->driver_version = c->driver_version;
        d->profile = profile && d->timestamp_ns > 0.0f;
        memcpy(d->cache_uuid, c->cache_uuid, VK_UUID_SIZE);
        vkGetPhysicalDeviceMemoryProperties(c->physical, &d->memory);
        result = create_device(d, c);
    }
    pm_free(list);
    if (result == PM_OK)
        pm_log(PM_LOG_VK, "device %u: %s, %s", d->info.index, d->info.name, d->info.driver);
    return result;
}

static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static pm_result open_device(const char *selector, bool profile, bool statistics, pm_vk_device **out)
{
    VkInstance instance;
    PM_TRY(pm_vk_instance_acquire(&instance));
    pm_vk_device *device = pm_alloc(1, sizeof(*device), "device");
    if (device == NULL) {
        pm_vk_instance_release();
        return PM_ERR_NOMEM;
    }
    init_lock(&device->queue_lock);
    init_lock(&device->pipelines_lock);
    device->statistics = statistics;
    pm_vk_device_limit_submissions(device, 100);
    const pm_result result = open_in(device, instance, selector, profile);
    if (result != PM_OK) {
        pm_vk_device_close(device);
        return result;
    }
    *out = device;
    return PM_OK;
}

pm_result pm_vk_device_open(const char *selector, bool profile, pm_vk_device **out)
{
    return open_device(selector, profile, false, out);
}

pm_result pm_vk_device_open_measured(const char *selector, pm_vk_device **out)
{
    return open_device(selector, false, true, out);
}

void pm_vk_device_close(pm_vk_device *device)
{
    if (device == NULL)
        return;
    if (device->handle != VK_NULL_HANDLE) {
        pm_vk_drain(device);
        pm_vk_staging_finish(device);
        pm_vk_pipelines_finish(device);
        pm_vk_profile_finish(device);
        device->vk.vkDestroySemaphore(device->handle, device->timeline, NULL);
        device->vk.vkDestroyDevice(device->handle, NULL);
    }
    pm_vk_instance_release();
    pthread_mutex_destroy(&device->pipelines_lock);
    pthread_mutex_destroy(&device->queue_lock);
    pm_free(device);
}

const pm_device_info *pm_vk_device_info(const pm_vk_device *device)
{
    return &device->info;
}

const pm_vk_caps *pm_vk_device_caps(const pm_vk_device *device)
{
    return &device->caps;
}

void pm_vk_device_switch_off(pm_vk_device *device, uint32_t id)
{
    pm_assert(device->caps.off_count < PM_VK_OFF_MAX);
    device->caps.off[device->caps.off_count++] = id;
}

void pm_vk_device_choose(pm_vk_device *device, const struct pm_choices *choices)
{
    device->caps.choices = choices;
}

bool pm_vk_device_is_profiled(const pm_vk_device *device)
{
    return device->profile;
}

void pm_vk_device_limit_submissions(pm_vk_device *device, uint32_t ms)
{
    device->submit_ns = (uint64_t)ms * 1000000;
}

/* Host memory that can be had without swapping; 0 = unknown. */
static uint64_t host_free_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    uint64_t bytes = 0;
    while (file != NULL && bytes == 0 && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "MemAvailable:", 13) == 0)
            bytes = strtoull(line + 13, NULL, 10) * 1024;
    if (file != NULL)
        fclose(file);
    return bytes;
}

uint64_t pm_vk_device_free_bytes(const pm_vk_device *device)
{
    const bool has_budget = device->caps.bits & PM_CAP_BIT(BUDGET);
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                                .pNext = has_budget ? &budget : NULL};
    vkGetPhysicalDeviceMemoryProperties2(device->physical, &memory);
    uint64_t best = 0;
    if (device->caps.is_cpu && !has_budget) /* lavapipe names a heap of 2 GiB, and holds to no such limit */
        best = host_free_bytes();
    for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &memory.memoryProperties.memoryHeaps[i];
        if (!(heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT))
            continue;
        const uint64_t limit = has_budget ? budget.heapBudget[i] : heap->size;
        const uint64_t used = has_budget ? budget.heapUsage[i] : device->heap_held[i];
        const uint64_t left = limit > used ? limit - used : 0;
        best = left > best ? left : best;
    }
    return best;
}

uint64_t pm_vk_device_held_bytes(const pm_vk_device *device)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < device->memory.memoryHeapCount; i++)
        bytes += device->heap_held[i];
    return bytes;
}

/* ---------------------------------------------------------------- submit */

static pm_result create_timeline(pm_vk_device *d)
{
    const VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                            .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    return pm_vk_check(d->vk.vkCreateSemaphore(d->handle, &info, NULL, &d->timeline), "vkCreateSemaphore");
}

void pm_vk_drain(pm_vk_device *d)
{
    pthread_mutex_lock(&d->queue_lock);
    if (d->timeline_value > 0)
        (void)d->vk.vkDeviceWaitIdle(d->handle);
    pthread_mutex_unlock(&d->queue_lock);
}

static pm_result submit(pm_vk_device *d, const VkCommandBufferSubmitInfo *buffers, uint32_t count)
{
    if (d->timeline == VK_NULL_HANDLE) /* here, since a device without hardware compiles but has none */
        PM_TRY(create_timeline(d));
    const VkSemaphoreSubmitInfo signal = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
                                          .semaphore = d->timeline,
                                          .value = d->timeline_value + 1,
                                          .stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT};
    const VkSubmitInfo2 info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
                                  .commandBufferInfoCount = count,
                                  .pCommandBufferInfos = buffers,
                                  .signalSemaphoreInfoCount = 1,
                                  .pSignalSemaphoreInfos = &signal};
    const VkResult result = d->vk.vkQueueSubmit2(d->queue, 1, &info, VK_NULL_HANDLE);
    if (result == VK_SUCCESS)
        d->timeline_value++;
    else
        pm_vk_drain(d);
    return pm_vk_check(result, "vkQueueSubmit2");
}

pm_result pm_vk_submit(pm_vk_device *d, const VkCommandBufferSubmitInfo *buffers, uint32_t count)
{
    pthread_mutex_lock(&d->queue_lock);
    const pm_result result = submit(d, buffers, count);
    pthread_mutex_unlock(&d->queue_lock);
    return result;
}

pm_result pm_vk_wait(pm_vk_device *d, uint64_t value)
{
    if (value == 0)
        return PM_OK;
    const VkSemaphoreWaitInfo wait = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                      .semaphoreCount = 1,
                                      .pSemaphores = &d->timeline,
                                      .pValues = &value};
    const VkResult result = d->vk.vkWaitSemaphores(d->handle, &wait, UINT64_MAX);
    if (result != VK_SUCCESS)
        pm_vk_drain(d);
    return pm_vk_check(result, "vkWaitSemaphores");
}
