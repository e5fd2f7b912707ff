/* kernels.cu - the table of kernels.h: memory, errors, and whose build this is. */
#include "cuda/device.h"
#include "cuda/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static char error_text[256];

static const char *error(void)
{
    return error_text;
}

#ifdef __CUDACC__

#define TABLE cuda_kernels_gpu

static bool succeeded(cudaError_t result, const char *what)
{
    if (result != cudaSuccess)
        snprintf(error_text, sizeof(error_text), "%s: %s", what, cudaGetErrorString(result));
    return result == cudaSuccess;
}

bool cuda_launched(const char *kernel)
{
    return succeeded(cudaGetLastError(), kernel);
}

static void *alloc(size_t bytes)
{
    void *memory = NULL;
    return succeeded(cudaMalloc(&memory, bytes > 0 ? bytes : 1), "cudaMalloc") ? memory : NULL;
}

static void release(void *memory)
{
    cudaFree(memory);
}

static bool put(void *device, const void *host, size_t bytes)
{
    return succeeded(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
}

static bool get(void *host, const void *device, size_t bytes)
{
    return succeeded(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
}

static bool describe(cuda_kernels *table)
{
    cudaDeviceProp properties;
    int driver = 0, runtime = 0, count = 0;
    if (!succeeded(cudaGetDeviceCount(&count), "cudaGetDeviceCount") ||
        !succeeded(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties") ||
        !succeeded(cudaDriverGetVersion(&driver), "cudaDriverGetVersion") ||
        !succeeded(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion"))
        return false;
    table->origin = "CUDA";
    snprintf(table->device, sizeof(table->device), "%.100s, sm_%d%d", properties.name, properties.major, properties.minor);
    snprintf(table->driver, sizeof(table->driver), "CUDA %d.%d", driver / 1000, driver % 1000 / 10);
    snprintf(table->runtime, sizeof(table->runtime), "CUDA %d.%d", runtime / 1000, runtime % 1000 / 10);
    FILE *file = fopen("/proc/driver/nvidia/version", "r");
    if (file != NULL) { /* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  ..." */
        char line[256], *at;
        if (fgets(line, sizeof(line), file) != NULL && (at = strstr(line, "Module")) != NULL &&
            (at = strpbrk(at, "0123456789")) != NULL) {
            at[strcspn(at, " \n")] = '\0';
            snprintf(table->driver, sizeof(table->driver), "%s", at);
        }
        fclose(file);
    }
    return true;
}

#else

#define TABLE cuda_kernels_host

bool cuda_launched(const char *kernel)
{
    (void)kernel; /* shim_launch() ran it to its end */
    return true;
}

static void *alloc(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL)
        snprintf(error_text, sizeof(error_text), "malloc: no %zu bytes", bytes);
    return memory;
}

static void release(void *memory)
{
    free(memory);
}

static bool put(void *device, const void *host, size_t bytes)
{
    memcpy(device, host, bytes);
    return true;
}

static bool get(void *host, const void *device, size_t bytes)
{
    memcpy(host, device, bytes);
    return true;
}

static bool describe(cuda_kernels *table)
{
    table->origin = "host";
    struct utsname machine;
    const bool known = uname(&machine) == 0;
    snprintf(table->device, sizeof(table->device), "CPU, %.100s", known ? machine.machine : "unknown");
    snprintf(table->driver, sizeof(table->driver), "none");
    snprintf(table->runtime, sizeof(table->runtime), "compiler %s", __VERSION__);
    return true;
}

#endif

const uint32_t *cuda_codebook(uint32_t type)
{
    static const uint32_t *grids[64];
    uint32_t count;
    const uint32_t *entries = cuda_grid(type, &count);
    if (entries == NULL || type >= sizeof(grids) / sizeof(grids[0]))
        return NULL;
    if (grids[type] == NULL) {
        uint32_t *memory = (uint32_t *)alloc(count * sizeof(*memory));
        if (memory != NULL && put(memory, entries, count * sizeof(*memory)))
            grids[type] = memory;
    }
    return grids[type];
}

#ifdef __cplusplus
extern "C" const cuda_kernels *TABLE(void);
#endif

/* origin is NULL when there is no device; error() says why. */
const cuda_kernels *TABLE(void)
{
    static cuda_kernels table;
    table.error = error;
    table.alloc = alloc;
    table.release = release;
    table.put = put;
    table.get = get;
    table.embedding = cuda_embedding_run;
    table.round_rows = cuda_round_run;
    table.matmul = cuda_matmul_run;
    table.rmsnorm = cuda_rmsnorm_run;
    table.rope = cuda_rope_run;
    table.kv_store = cuda_kv_store_run;
    table.attention_decode = cuda_attention_decode_run;
    table.attention_prefill = cuda_attention_prefill_run;
    table.swiglu = cuda_swiglu_run;
    table.argmax = cuda_argmax_run;
    table.topk = cuda_topk_run;
    if (!describe(&table))
        table.origin = NULL;
    return &table;
}
