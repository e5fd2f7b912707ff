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
    pm_file_map map = {.bytes = (size_t)info.st_size, .device = (uint64_t)info.st_dev, .inode = (uint64_t)info.st_ino};
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

bool pm_file_map_is(const pm_file_map *map, const char *path)
{
    struct stat info;
    return map->data != NULL && stat(path, &info) == 0 && (uint64_t)info.st_dev == map->device &&
           (uint64_t)info.st_ino == map->inode;
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

pm_result pm_file_out_open(const char *path, unsigned mode, pm_file_out *out)
{
    static _Atomic unsigned serial;
    struct stat info;
    *out = (pm_file_out){0};
    if (strlen(path) + 40 > sizeof(out->path))
        return pm_fail(PM_ERR_ARG, "%s: path is longer than %d bytes", path, PATH_MAX - 40);
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return pm_fail(PM_ERR_IO, "%s: not a regular file", path);
    snprintf(out->path, sizeof(out->path), "%s", path);
    do {
        snprintf(out->temporary, sizeof(out->temporary), "%.*s.tmp-%ld-%u", PATH_MAX - 40, path, (long)getpid(), serial++);
        out->fd = open(out->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    } while (out->fd < 0 && errno == EEXIST);
    if (out->fd < 0)
        return pm_fail(PM_ERR_IO, "%s: cannot create: %s", out->temporary, strerror(errno));
    out->is_open = true;
    return PM_OK;
}

pm_result pm_file_out_write(pm_file_out *out, const void *data, size_t bytes)
{
    for (const char *p = data; bytes > 0;) {
        const ssize_t n = write(out->fd, p, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return pm_fail(PM_ERR_IO, "%s: cannot write: %s", out->path, n < 0 ? strerror(errno) : "nothing was taken");
        p += n;
        bytes -= (size_t)n;
    }
    return PM_OK;
}

pm_result pm_file_out_commit(pm_file_out *out)
{
    pm_result result = PM_OK;
    if (fsync(out->fd) != 0)
        result = pm_fail(PM_ERR_IO, "%s: cannot sync: %s", out->path, strerror(errno));
    else if (rename(out->temporary, out->path) != 0)
        result = pm_fail(PM_ERR_IO, "%s: cannot replace: %s", out->path, strerror(errno));
    if (result != PM_OK) {
        pm_file_out_discard(out);
        return result;
    }
    close(out->fd);
    out->is_open = false;
    return PM_OK;
}

void pm_file_out_discard(pm_file_out *out)
{
    if (!out->is_open)
        return;
    close(out->fd);
    unlink(out->temporary);
    out->is_open = false;
}

pm_result pm_file_write_atomic(const char *path, const void *data, size_t bytes)
{
    pm_file_out out;
    PM_TRY(pm_file_out_open(path, 0600, &out));
    pm_result result = pm_file_out_write(&out, data, bytes);
    if (result == PM_OK)
        return pm_file_out_commit(&out);
    pm_file_out_discard(&out);
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
