/* modules.h - SPIR-V modules of a folder, served in place of the build's: how a test plants a
 * fault, in a test program (op/harness.c) or in pumice itself (tools/with_modules.c).
 *
 * PUMICE_TEST_MODULES=DIR names the folder: each DIR/<module>.spv takes the place of the module of
 * that name. */
#ifndef PM_TEST_MODULES_H
#define PM_TEST_MODULES_H

#include "base/file.h"
#include "vk/pipeline.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST_MODULES_MAX 64u

/* The number served, kept for the program's life; 0 without PUMICE_TEST_MODULES. What is wrong with the
 * folder, and one that has no module, ends the program: a fault that is not planted proves nothing. */
static inline size_t test_modules_serve(void)
{
    static pm_shader_module modules[TEST_MODULES_MAX];
    const char *folder = getenv("PUMICE_TEST_MODULES"), *wrong = NULL;
    size_t count = 0;
    if (folder == NULL)
        return 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; wrong == NULL && dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[1024], *words = NULL;
        const char *end = strstr(entry->d_name, ".spv");
        if (end == NULL || end[4] != '\0')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        pm_shader_module *module = &modules[count];
        if (++count == TEST_MODULES_MAX)
            wrong = "too many modules";
        else if (pm_file_read(path, &words, &module->bytes) != PM_OK)
            wrong = pm_error_message();
        module->words = (const uint32_t *)(const void *)words;
        module->name = strndup(entry->d_name, (size_t)(end - entry->d_name));
        if (module->name == NULL || !pm_vk_module_exists(module->name))
            wrong = "a file there is named as no module of this build";
    }
    if (wrong == NULL && count == 0)
        wrong = dir != NULL ? "no module there" : "no such folder";
    if (wrong != NULL) {
        fprintf(stderr, "PUMICE_TEST_MODULES=%s: %s\n", folder, wrong);
        exit(1);
    }
    closedir(dir);
    pm_vk_modules_override(modules, count);
    return count;
}

#endif /* PM_TEST_MODULES_H */
