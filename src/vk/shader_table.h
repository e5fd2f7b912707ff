/* vk/shader_table.h - the SPIR-V modules built from shaders/variants.txt. */
#ifndef PM_VK_SHADER_TABLE_H
#define PM_VK_SHADER_TABLE_H
#include <stddef.h>
#include <stdint.h>
typedef struct pm_shader_module {
    const char *name;              /* first column of variants.txt */
    const uint32_t *words;
    size_t bytes;
} pm_shader_module;
extern const pm_shader_module pm_shader_table[];
extern const size_t pm_shader_count;

#endif
