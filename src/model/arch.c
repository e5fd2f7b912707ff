/* model/arch.c - THE table of architectures. */
#include "model/arch.h"

#include <string.h>

static const pm_arch archs[] = {
    {.name = "llama", .models = "Llama 1/2/3, Mistral, Zephyr, TinyLlama, SmolLM", .window = true},
    {.name = "qwen2", .models = "Qwen2, Qwen2.5", .neox = true},
};

const pm_arch *pm_arch_find(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++)
        if (strlen(archs[i].name) == len && memcmp(archs[i].name, name, len) == 0)
            return &archs[i];
    return NULL;
}

const char *pm_arch_names(void)
{
    return "llama, qwen2";
}
