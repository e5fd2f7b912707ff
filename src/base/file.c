/* base/file.c - read-only maps and atomic writes. */
#include "base/file.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

pm_result pm_file_map_open(const char *path, pm_file_map *out)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pm_fail(PM_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return pm_fail(PM_ERR_IO, "%s: not a regular file", path);
    }
    pm_file_map map = {.bytes = (size_t)info.st_size};
    if (map.bytes > 0) {
        void *data = mmap(NULL, map.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            const int error = errno;
            close(fd);
            return pm_fail(PM_ERR_IO, "%s: cannot map %zu bytes: %s", path, map.bytes, strerror(error));
        }
        map.data = data;
    }
    close(fd);
    *out = map;
    return PM_OK;
}

void pm_file_map_close(pm_file_map *map)
{
    if (map->data != NULL)
        munmap((void *)(uintptr_t)map->data, map->bytes);
    *map = (pm_file_map){0};
}

pm_result pm_file_read(const char *path, char **data, size_t *bytes)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "rb");
    if (file == NULL)
        return pm_fail(PM_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    char *text = NULL;
    size_t used = 0, capacity = 0;
    pm_result result = PM_OK;
    for (;;) {
        if (capacity - used < 2) {
            capacity = capacity ? capacity * 2 : 4096;
            char *grown = pm_realloc(text, capacity, 1, path);
            if (grown == NULL) {
                result = PM_ERR_NOMEM;
                break;
            }
            text = grown;
        }
        const size_t n = fread(text + used, 1, capacity - used - 1, file);
        used += n;
        if (n == 0)
            break;
    }
    if (result == PM_OK && ferror(file))
        result = pm_fail(PM_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    if (!is_stdin)
        fclose(file);
    if (result != PM_OK) {
        pm_free(text);
        return result;
    }
    text[used] = '\0';
    *data = text;
    *bytes = used;
    return PM_OK;
}

static pm_result write_all(int fd, const char *path, const void *data, size_t bytes)
{
    for (const char *p = data; bytes > 0;) {
        const ssize_t n = write(fd, p, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return pm_fail(PM_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
        p += n;
        bytes -= (size_t)n;
    }
    if (fsync(fd) != 0)
        return pm_fail(PM_ERR_IO, "%s: cannot sync: %s", path, strerror(errno));
    return PM_OK;
}

pm_result pm_file_write_atomic(const char *path, const void *data, size_t bytes)
{
    char temporary[PATH_MAX];
    const int n = snprintf(temporary, sizeof(temporary), "%s.tmp-XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(temporary))
        return pm_fail(PM_ERR_ARG, "%s: path is longer than %d bytes", path, PATH_MAX);
    const int fd = mkstemp(temporary);
    if (fd < 0)
        return pm_fail(PM_ERR_IO, "%s: cannot create: %s", temporary, strerror(errno));
    pm_result result = write_all(fd, temporary, data, bytes);
    close(fd);
    if (result == PM_OK && rename(temporary, path) != 0)
        result = pm_fail(PM_ERR_IO, "%s: cannot replace: %s", path, strerror(errno));
    if (result != PM_OK)
        unlink(temporary);
    return result;
}

pm_result pm_file_make_folder(const char *path)
{
    char part[PATH_MAX];
    const size_t len = strlen(path);
    if (len == 0 || len >= sizeof(part))
        return pm_fail(PM_ERR_ARG, "folder path of %zu bytes, expected 1 to %d", len, PATH_MAX - 1);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        const char keep = part[i];
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return pm_fail(PM_ERR_IO, "%s: cannot make folder: %s", part, strerror(errno));
        part[i] = keep;
    }
    return PM_OK;
}

pm_result pm_file_cache_path(const char *name, char *out, size_t capacity)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char folder[PATH_MAX];
    int n;
    if (cache != NULL && cache[0] == '/')
        n = snprintf(folder, sizeof(folder), "%s/pumice", cache);
    else if (home != NULL && home[0] == '/')
        n = snprintf(folder, sizeof(folder), "%s/.cache/pumice", home);
    else
        return pm_fail(PM_ERR_IO, "no cache folder: neither XDG_CACHE_HOME nor HOME is an absolute path");
    if (n < 0 || (size_t)n >= sizeof(folder))
        return pm_fail(PM_ERR_ARG, "cache folder is longer than %d bytes", PATH_MAX);
    PM_TRY(pm_file_make_folder(folder));
    n = snprintf(out, capacity, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= capacity)
        return pm_fail(PM_ERR_ARG, "cache path of '%s' is longer than %zu bytes", name, capacity);
    return PM_OK;
}
