/* load.c - nvcc's build of the kernels, from a shared library. */
#include "cuda/kernels.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const cuda_kernels *cuda_kernels_load(const char *library, char *why, size_t capacity)
{
    const cuda_kernels *(*table)(void) = NULL;
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void *symbol = handle != NULL ? dlsym(handle, "cuda_kernels_gpu") : NULL;
    if (symbol == NULL) {
        snprintf(why, capacity, "no CUDA build of the kernels: %s", dlerror());
        return NULL;
    }
    memcpy(&table, &symbol, sizeof(table)); /* ISO C has no cast from object to function pointers */
    const cuda_kernels *kernels = table();
    if (kernels->origin != NULL)
        return kernels;
    snprintf(why, capacity, "no CUDA device: %s", kernels->error());
    return NULL;
}
