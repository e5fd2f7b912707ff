/* tests/fuzz/replay.c - runs a fuzz target once over each file of the given folders,
 * where there is no libFuzzer. */
#include "base/alloc.h"
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        fprintf(stderr, "%s: no such folder\n", folder);
        return -1;
    }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[4096], *data;
        size_t bytes;
        if (entry->d_name[0] == '.' || snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path))
            continue;
        if (pm_file_read(path, &data, &bytes) != PM_OK) {
            fprintf(stderr, "%s\n", pm_error_message());
            count = -1;
            break;
        }
        (void)LLVMFuzzerTestOneInput((const uint8_t *)data, bytes);
        pm_free(data);
        count++;
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        const int count = replay_folder(argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
