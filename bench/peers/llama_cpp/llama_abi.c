/* llama_abi.c - opening llama.cpp's prebuilt libraries. */
#include "llama_abi.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP = 77, TYPE_F16 = 1 };

#define X(type, name, arguments) type(*name) arguments;
LLAMA_MAP(X) GGML_MAP(X) GGML_BASE_MAP(X)
#undef X

static _Noreturn void skip(const char *what, const char *detail)
{
    printf("skipped: %s: %s\n", what, detail != NULL ? detail : "");
    exit(SKIP);
}

/* The file of `folder` whose name starts with `prefix`. */
static void *open_library(const char *folder, const char *prefix)
{
    char path[4096] = "";
    DIR *dir = opendir(folder);
    if (dir == NULL)
        skip("no such folder", folder);
    for (struct dirent *entry; path[0] == '\0' && (entry = readdir(dir)) != NULL;)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
    closedir(dir);
    void *library = path[0] != '\0' ? dlopen(path, RTLD_NOW | RTLD_GLOBAL) : NULL;
    if (library == NULL)
        skip(prefix, path[0] != '\0' ? dlerror() : "not in the folder");
    return library;
}

/* ISO C has no cast from an object to a function pointer; POSIX has dlsym() all the same. */
static void find(void *library, const char *name, void *function, size_t bytes)
{
    void *address = dlsym(library, name);
    if (address == NULL)
        skip("no function", name);
    memcpy(function, &address, bytes);
}

void llama_abi_load(const char *folder)
{
    void *base = open_library(folder, "libggml-base."), *ggml = open_library(folder, "libggml.");
    void *llama = open_library(folder, "libllama.");
#define X(type, name, arguments) find(llama, #name, &name, sizeof(name));
    LLAMA_MAP(X)
#undef X
#define X(type, name, arguments) find(ggml, #name, &name, sizeof(name));
    GGML_MAP(X)
#undef X
#define X(type, name, arguments) find(base, #name, &name, sizeof(name));
    GGML_BASE_MAP(X)
#undef X
    const llama_model_params m = llama_model_default_params();
    if (m.devices != NULL || m.overrides != NULL || m.gpu_layers != -1 || m.main_gpu != 0)
        skip(folder, "llama_model_params is not laid out as in v0.5.0");
    const llama_context_params c = llama_context_default_params();
    if (c.n_ctx != 512 || c.n_batch != 2048 || c.n_ubatch != 512 || c.n_seq_max != 1 || c.flash_attention != -1 ||
        c.yarn_ext != -1.0f || c.defrag != -1.0f || c.eval != NULL || c.type_k != TYPE_F16 || c.type_v != TYPE_F16)
        skip(folder, "llama_context_params is not laid out as in v0.5.0");
}
