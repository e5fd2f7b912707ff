/* vk/api.c - the loader, the instance and the names of results. */
#define VOLK_IMPLEMENTATION
#include "vk/api.h"

#include "base/env.h"
#include "base/log.h"
#include "vk/device.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

const char *pm_vk_result_name(VkResult result)
{
    switch (result) {
#define NAME(code) case code: return #code;
        NAME(VK_SUCCESS) NAME(VK_NOT_READY) NAME(VK_TIMEOUT) NAME(VK_INCOMPLETE)
        NAME(VK_ERROR_OUT_OF_HOST_MEMORY) NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY)
        NAME(VK_ERROR_INITIALIZATION_FAILED) NAME(VK_ERROR_DEVICE_LOST) NAME(VK_ERROR_MEMORY_MAP_FAILED)
        NAME(VK_ERROR_LAYER_NOT_PRESENT) NAME(VK_ERROR_EXTENSION_NOT_PRESENT) NAME(VK_ERROR_FEATURE_NOT_PRESENT)
        NAME(VK_ERROR_INCOMPATIBLE_DRIVER) NAME(VK_ERROR_TOO_MANY_OBJECTS) NAME(VK_ERROR_FRAGMENTED_POOL)
        NAME(VK_ERROR_OUT_OF_POOL_MEMORY) NAME(VK_ERROR_INVALID_EXTERNAL_HANDLE) NAME(VK_ERROR_UNKNOWN)
#undef NAME
    default: return "an unknown VkResult";
    }
}

pm_result pm_vk_check(VkResult result, const char *what)
{
    if (result >= 0)
        return PM_OK;
    pm_result code = PM_ERR_DEVICE;
    if (result == VK_ERROR_DEVICE_LOST)
        code = PM_ERR_LOST;
    else if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        code = PM_ERR_DEVMEM;
    else if (result == VK_ERROR_OUT_OF_HOST_MEMORY)
        code = PM_ERR_NOMEM;
    return pm_fail(code, "%s: %s (%d)", what, pm_vk_result_name(result), (int)result);
}

/* ------------------------------------------------------------ validation */

static _Atomic uint32_t validation_messages;

uint32_t pm_vk_validation_messages(void)
{
    return atomic_load(&validation_messages);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *context)
{
    (void)types;
    (void)context;
    if (severity < VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT)
        return VK_FALSE;
    atomic_fetch_add(&validation_messages, 1);
    fprintf(stderr, "vulkan validation: %s\n", data->pMessage);
    return VK_FALSE;
}

/* -------------------------------------------------------------- instance */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t users;
static VkInstance instance;
static VkDebugUtilsMessengerEXT messenger;

static bool wants_validation(void)
{
    const char *value = pm_env_get(PM_ENV_VALIDATE);
    return value != NULL && strcmp(value, "0") != 0;
}

static bool has_layer(const char *name)
{
    VkLayerProperties layers[64];
    uint32_t count = 64;
    if (vkEnumerateInstanceLayerProperties(&count, layers) < 0)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(layers[i].layerName, name) == 0)
            return true;
    return false;
}

static pm_result create_instance(void)
{
    static const char *const layer = "VK_LAYER_KHRONOS_validation";
    static const char *const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME,
                                             VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
    static const VkValidationFeatureEnableEXT enables[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    if (volkInitialize() != VK_SUCCESS)
        return pm_fail(PM_ERR_UNSUP, "no Vulkan loader (libvulkan.so.1); on Debian and Ubuntu: "
                                     "apt install libvulkan1 and a driver, for example mesa-vulkan-drivers");
    if (vkEnumerateInstanceVersion == NULL)
        return pm_fail(PM_ERR_UNSUP, "the Vulkan loader is older than Vulkan 1.1, expected 1.3");
    const bool validate = wants_validation();
    if (validate && !has_layer(layer))
        return pm_fail(PM_ERR_UNSUP, "PUMICE_VALIDATE is set, but the layer %s is not installed; on Debian and "
                                     "Ubuntu: apt install vulkan-validationlayers", layer);
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "pumice",
                                           .pEngineName = "pumice",
                                           .apiVersion = VK_API_VERSION_1_3};
    const VkDebugUtilsMessengerCreateInfoEXT messages = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = on_message};
    const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                              .pNext = &messages,
                                              .enabledValidationFeatureCount = 1,
                                              .pEnabledValidationFeatures = enables};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pNext = validate ? &features : NULL,
                                       .pApplicationInfo = &application,
                                       .enabledLayerCount = validate,
                                       .ppEnabledLayerNames = &layer,
                                       .enabledExtensionCount = validate ? 2 : 0,
                                       .ppEnabledExtensionNames = extensions};
    const VkResult result = vkCreateInstance(&info, NULL, &instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return pm_fail(PM_ERR_UNSUP, "no Vulkan driver; on Debian and Ubuntu: apt install mesa-vulkan-drivers");
    PM_TRY(pm_vk_check(result, "vkCreateInstance"));
    volkLoadInstanceOnly(instance);
    if (validate)
        (void)vkCreateDebugUtilsMessengerEXT(instance, &messages, NULL, &messenger);
    return PM_OK;
}

pm_result pm_vk_instance_acquire(VkInstance *out)
{
    pthread_mutex_lock(&lock);
    const pm_result result = users > 0 ? PM_OK : create_instance();
    if (result == PM_OK) {
        users++;
        *out = instance;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

void pm_vk_instance_release(void)
{
    pthread_mutex_lock(&lock);
    if (--users == 0) {
        if (messenger != VK_NULL_HANDLE)
            vkDestroyDebugUtilsMessengerEXT(instance, messenger, NULL);
        messenger = VK_NULL_HANDLE;
        vkDestroyInstance(instance, NULL);
        instance = VK_NULL_HANDLE;
    }
    pthread_mutex_unlock(&lock);
}
