/* llama_kernels.c - the kernels that llama.cpp's Vulkan library takes for an operation, as a driver compiles them.
 *
 *   llama_kernels LIB_DIR matmul TYPE ROWS N K           W [N, K], of ggml's type of this number, times ROWS rows of K f32
 *   llama_kernels LIB_DIR attention HEAD_DIM GROUP ROWS  GROUP heads of each of 4 KV heads, ROWS rows, 4096 tokens of f16
 *
 * For bench/static_peer.py, on RADV's device that is not there. No fence or semaphore can be made on it and nothing
 * runs, and it has no memory, so that this answers for those: the library is linked to vkGetInstanceProcAddr(), and finds
 * this program's before the loader's. Pipelines are made one at a time: "PIPELINE I" on stderr comes before what the
 * driver prints of one. Then, on stdout:
 *
 *   device NAME
 *   pipeline I NAME lanes=L ID=VALUE ...        of the subgroup, and the specialization constants by id
 *   statistic I VALUE WHAT                      as the driver calls it
 *   dispatch I X Y Z                            workgroups of the operation's dispatches, in order
 *
 * Exit status 77: no such library, or no device of its backend. */
#include "llama_abi.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

enum { SKIP = 77, PIPELINES_MAX = 1024, STATISTICS_MAX = 64, KV_HEADS = 4, KV_TOKENS = 4096, TYPE_F32 = 0, TYPE_F16 = 1,
       PREC_F32 = 10 };

static PFN_vkGetInstanceProcAddr instance_function;
static PFN_vkGetDeviceProcAddr device_function;
static VkDevice the_device;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { VkPipeline handle; char name[96], constants[400]; } pipelines[PIPELINES_MAX];
static uint32_t pipeline_count, bound;
static bool recording;

static _Noreturn void leave(int status, const char *what, const char *detail)
{
    printf("%s%s: %s\n", status == SKIP ? "skipped: " : "", what, detail);
    fflush(stdout);
    _Exit(status);
}

/* ISO C has no cast from an object to a function pointer. */
static PFN_vkVoidFunction function_at(void *address)
{
    PFN_vkVoidFunction function;
    memcpy(&function, &address, sizeof(function));
    return function;
}

#define REAL(name) ((PFN_##name)device_function(the_device, #name))

/* ------------------------------------------------------------ what is recorded */

static uint32_t index_of(VkPipeline handle)
{
    uint32_t i = 0;
    while (i < pipeline_count && pipelines[i].handle != handle)
        i++;
    return i;
}

static void write_constants(const VkSpecializationInfo *info, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; info != NULL && i < info->mapEntryCount && used < capacity; i++) {
        uint32_t value = 0;
        const VkSpecializationMapEntry *entry = &info->pMapEntries[i];
        memcpy(&value, (const char *)info->pData + entry->offset, entry->size < sizeof(value) ? entry->size : sizeof(value));
        used += (size_t)snprintf(text + used, capacity - used, " %u=%u", entry->constantID, value);
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL create_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                       const VkComputePipelineCreateInfo *infos,
                                                       const VkAllocationCallbacks *allocator, VkPipeline *out)
{
    VkResult result = VK_SUCCESS;
    pthread_mutex_lock(&lock);
    the_device = device;
    for (uint32_t i = 0; i < count && result == VK_SUCCESS; i++) {
        VkComputePipelineCreateInfo info = infos[i];
        if (pipeline_count == PIPELINES_MAX)
            leave(1, "llama_kernels", "too many pipelines");
        info.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
        fprintf(stderr, "PIPELINE %u\n", pipeline_count);
        result = REAL(vkCreateComputePipelines)(device, cache, 1, &info, allocator, &out[i]);
        pipelines[pipeline_count].handle = out[i];
        write_constants(info.stage.pSpecializationInfo, pipelines[pipeline_count].constants,
                        sizeof(pipelines[pipeline_count].constants));
        pipeline_count += result == VK_SUCCESS;
    }
    fflush(stderr);
    pthread_mutex_unlock(&lock);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL name_object(VkDevice device, const VkDebugUtilsObjectNameInfoEXT *info)
{
    (void)device;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < pipeline_count && info->objectType == VK_OBJECT_TYPE_PIPELINE; i++)
        if ((uint64_t)(uintptr_t)pipelines[i].handle == info->objectHandle)
            snprintf(pipelines[i].name, sizeof(pipelines[i].name), "%s", info->pObjectName);
    pthread_mutex_unlock(&lock);
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL bind_pipeline(VkCommandBuffer commands, VkPipelineBindPoint point, VkPipeline pipeline)
{
    (void)commands;
    (void)point;
    bound = index_of(pipeline);
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z)
{
    (void)commands;
    if (recording)
        printf("dispatch %u %u %u %u\n", bound, x, y, z);
}

static void print_pipeline(uint32_t i)
{
    VkPipelineExecutablePropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    VkPipelineExecutableStatisticKHR list[STATISTICS_MAX] = {{.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR}};
    const VkPipelineInfoKHR pipeline = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipelines[i].handle};
    const VkPipelineExecutableInfoKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipelines[i].handle};
    uint32_t one = 1, count = STATISTICS_MAX;
    for (uint32_t s = 0; s < STATISTICS_MAX; s++)
        list[s].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    if (REAL(vkGetPipelineExecutablePropertiesKHR) == NULL)
        leave(SKIP, "the device has no", "VK_KHR_pipeline_executable_properties");
    REAL(vkGetPipelineExecutablePropertiesKHR)(the_device, &pipeline, &one, &properties);
    REAL(vkGetPipelineExecutableStatisticsKHR)(the_device, &executable, &count, list);
    printf("pipeline %u %s lanes=%u%s\n", i, pipelines[i].name, properties.subgroupSize, pipelines[i].constants);
    for (uint32_t s = 0; s < count; s++)
        printf("statistic %u %llu %s\n", i, (unsigned long long)list[s].value.u64, list[s].name);
}

/* ------------------------------------------ for what the device does not have */

/* With nothing to read or write: what they are called with does not matter. */
static VKAPI_ATTR VkResult VKAPI_CALL succeed(void)
{
    return VK_SUCCESS;
}

/* Handles that are never followed. */
static VKAPI_ATTR VkResult VKAPI_CALL create_nothing(VkDevice device, const void *info, const VkAllocationCallbacks *allocator,
                                                     uint64_t *out)
{
    static uint64_t next = 1;
    (void)device;
    (void)info;
    (void)allocator;
    *out = next++;
    return VK_SUCCESS;
}

/* The device has no memory: one type of it that is never touched but where it is mapped. */
static VKAPI_ATTR void VKAPI_CALL memory_types(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties *out)
{
    (void)device;
    *out = (VkPhysicalDeviceMemoryProperties){.memoryTypeCount = 1, .memoryHeapCount = 1};
    out->memoryTypes[0].propertyFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                        VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    out->memoryHeaps[0] = (VkMemoryHeap){UINT64_C(16) << 30, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};
}

static VKAPI_ATTR void VKAPI_CALL memory_types_2(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties2 *out)
{
    memory_types(device, &out->memoryProperties);
}

static VKAPI_ATTR void VKAPI_CALL requirements(VkDevice device, VkBuffer buffer, VkMemoryRequirements *out)
{
    the_device = device;
    REAL(vkGetBufferMemoryRequirements)(device, buffer, out);
    out->memoryTypeBits = 1;
}

static VKAPI_ATTR VkResult VKAPI_CALL map_memory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset,
                                                 VkDeviceSize size, VkMemoryMapFlags flags, void **out)
{
    enum { MAPPED_BYTES = 256 << 20 }; /* pages of it exist once they are written */
    (void)device;
    (void)memory;
    (void)size;
    (void)flags;
    *out = calloc(1, MAPPED_BYTES);
    *out = *out != NULL ? (char *)*out + offset : NULL;
    return *out != NULL ? VK_SUCCESS : VK_ERROR_MEMORY_MAP_FAILED;
}

static VKAPI_ATTR VkDeviceAddress VKAPI_CALL buffer_address(VkDevice device, const VkBufferDeviceAddressInfo *info)
{
    (void)device;
    (void)info;
    return UINT64_C(1) << 40;
}

static VKAPI_ATTR VkResult VKAPI_CALL semaphore_value(VkDevice device, VkSemaphore semaphore, uint64_t *out)
{
    (void)device;
    (void)semaphore;
    *out = UINT64_MAX;
    return VK_SUCCESS;
}

/* Called by the library without vkGetDeviceProcAddr(). */
void vkCmdCopyBuffer(VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count, const VkBufferCopy *regions)
{
    (void)commands;
    (void)from;
    (void)to;
    (void)count;
    (void)regions;
}

static PFN_vkVoidFunction instead(const char *name)
{
    static const struct { const char *name; PFN_vkVoidFunction function; } table[] = {
        {"vkCreateComputePipelines", (PFN_vkVoidFunction)create_pipelines},
        {"vkSetDebugUtilsObjectNameEXT", (PFN_vkVoidFunction)name_object},
        {"vkCmdBindPipeline", (PFN_vkVoidFunction)bind_pipeline},
        {"vkCmdDispatch", (PFN_vkVoidFunction)dispatch},
        {"vkCreateFence", (PFN_vkVoidFunction)create_nothing},
        {"vkCreateSemaphore", (PFN_vkVoidFunction)create_nothing},
        {"vkAllocateMemory", (PFN_vkVoidFunction)create_nothing},
        {"vkGetPhysicalDeviceMemoryProperties", (PFN_vkVoidFunction)memory_types},
        {"vkGetPhysicalDeviceMemoryProperties2", (PFN_vkVoidFunction)memory_types_2},
        {"vkGetBufferMemoryRequirements", (PFN_vkVoidFunction)requirements},
        {"vkMapMemory", (PFN_vkVoidFunction)map_memory},
        {"vkGetBufferDeviceAddress", (PFN_vkVoidFunction)buffer_address},
        {"vkGetSemaphoreCounterValue", (PFN_vkVoidFunction)semaphore_value},
        {"vkGetInstanceProcAddr", (PFN_vkVoidFunction)vkGetInstanceProcAddr},
        {"vkGetDeviceProcAddr", (PFN_vkVoidFunction)vkGetDeviceProcAddr},
    };
    static const char *const nothing[] = {
        "vkDestroyFence", "vkResetFences", "vkGetFenceStatus", "vkWaitForFences", "vkDestroySemaphore", "vkWaitSemaphores",
        "vkQueueSubmit", "vkQueueWaitIdle", "vkDeviceWaitIdle", "vkFreeMemory", "vkUnmapMemory", "vkBindBufferMemory",
        "vkUpdateDescriptorSets", "vkBeginCommandBuffer", "vkEndCommandBuffer", "vkResetCommandPool", "vkResetCommandBuffer",
        "vkCmdBindDescriptorSets", "vkCmdPushConstants", "vkCmdPipelineBarrier", "vkCmdCopyBuffer",
        "vkCmdFillBuffer", "vkCmdUpdateBuffer", "vkCmdSetEvent", "vkCmdWaitEvents", "vkCmdResetQueryPool",
        "vkCmdWriteTimestamp"};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].function;
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        if (strcmp(nothing[i], name) == 0)
            return (PFN_vkVoidFunction)succeed;
    return NULL;
}

PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance, const char *name)
{
    PFN_vkVoidFunction function = instead(name);
    return function != NULL ? function : instance_function(instance, name);
}

PFN_vkVoidFunction vkGetDeviceProcAddr(VkDevice device, const char *name)
{
    PFN_vkVoidFunction function = instead(name);
    return function != NULL ? function : device_function(device, name);
}

static void open_loader(void)
{
    void *loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (loader == NULL)
        leave(SKIP, "no Vulkan loader", dlerror());
    instance_function = (PFN_vkGetInstanceProcAddr)function_at(dlsym(loader, "vkGetInstanceProcAddr"));
    device_function = (PFN_vkGetDeviceProcAddr)function_at(dlsym(loader, "vkGetDeviceProcAddr"));
}

/* ------------------------------------------------------------------------- main */

static int64_t number(const char *text, int64_t most)
{
    char *end;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || value < 0 || value > most)
        leave(2, "llama_kernels: not a number in range", text);
    return value;
}

static void *matmul(void *context, char **argument)
{
    const int type = (int)number(argument[0], 255);
    const int64_t rows = number(argument[1], 4096), n = number(argument[2], 1 << 20), k = number(argument[3], 1 << 20);
    return ggml_mul_mat(context, ggml_new_tensor_2d(context, type, k, n), ggml_new_tensor_2d(context, TYPE_F32, k, rows));
}

static void *attention(void *context, char **argument)
{
    const int64_t dim = number(argument[0], 1024), group = number(argument[1], 64), rows = number(argument[2], 4096);
    void *q = ggml_new_tensor_4d(context, TYPE_F32, dim, rows, KV_HEADS * group, 1);
    void *k = ggml_new_tensor_4d(context, TYPE_F16, dim, KV_TOKENS, KV_HEADS, 1);
    void *v = ggml_new_tensor_4d(context, TYPE_F16, dim, KV_TOKENS, KV_HEADS, 1);
    void *mask = ggml_new_tensor_4d(context, TYPE_F16, KV_TOKENS, rows, 1, 1);
    void *out = ggml_flash_attn_ext(context, q, k, v, mask, 0.125f, 0.0f, 0.0f);
    ggml_flash_attn_ext_set_prec(out, PREC_F32); /* as llama.cpp's models ask for */
    return out;
}

int main(int argc, char **argv)
{
    const bool matrix = argc == 7 && strcmp(argv[2], "matmul") == 0;
    if (!matrix && !(argc == 6 && strcmp(argv[2], "attention") == 0)) {
        fprintf(stderr, "usage: llama_kernels LIB_DIR matmul TYPE ROWS N K | attention HEAD_DIM GROUP ROWS\n");
        return 2;
    }
    setenv("GGML_VK_PIPELINE_STATS", "-", 1); /* no pipeline's name: it turns the statistics on */
    setenv("GGML_VK_DEBUG_MARKERS", "1", 1);  /* objects get names */
    open_loader();
    llama_abi_load(argv[1]);
    ggml_backend_load_all_from_path(argv[1]);
    void *device = NULL;
    for (size_t i = 0; i < ggml_backend_dev_count() && device == NULL; i++)
        if (strncmp(ggml_backend_dev_name(ggml_backend_dev_get(i)), "Vulkan", 6) == 0)
            device = ggml_backend_dev_get(i);
    if (device == NULL)
        leave(SKIP, "llama.cpp finds no Vulkan device with the libraries of", argv[1]);
    printf("device %s\n", ggml_backend_dev_description(device));
    void *backend = ggml_backend_dev_init(device, NULL);
    void *context = ggml_init((ggml_init_params){.bytes = 1 << 20, .no_alloc = true});
    void *out = matrix ? matmul(context, argv + 3) : attention(context, argv + 3), *graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, out);
    if (ggml_backend_alloc_ctx_tensors(context, backend) == NULL)
        leave(1, "llama_kernels", "no memory for the tensors");
    recording = true;
    if (ggml_backend_graph_compute(backend, graph) != 0)
        leave(1, "llama_kernels", "the operation failed");
    recording = false;
    for (uint32_t i = 0; i < pipeline_count; i++)
        print_pipeline(i);
    fflush(stdout);
    _Exit(0); /* the library's own threads need no farewell */
}
