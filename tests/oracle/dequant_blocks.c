/* dequant_blocks.c - blocks on stdin to f32 values on stdout, for dequant.py.
 *
 *   dequant_blocks TYPE      a name of gguf/dtype.h; exits with 77 when pm_dequant_row() lacks it */
#include "gguf/dtype.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const pm_dtype_info *info = NULL;
    uint32_t type = 0;
    for (; argc == 2 && type < PM_DTYPE_LIMIT; type++) {
        info = pm_dtype_get(type);
        if (info != NULL && strcmp(info->name, argv[1]) == 0)
            break;
    }
    if (argc != 2 || type == PM_DTYPE_LIMIT) {
        fprintf(stderr, "usage: dequant_blocks TYPE <blocks >values\n");
        return 2;
    }
    if (!pm_dtype_can_dequant((pm_dtype)type))
        return 77;
    uint8_t block[512];
    float values[256];
    while (fread(block, info->bytes, 1, stdin) == 1) {
        pm_dequant_row((pm_dtype)type, block, values, info->block);
        if (fwrite(values, sizeof(float), info->block, stdout) != info->block)
            return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
