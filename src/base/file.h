/* base/file.h - read-only maps and atomic writes. Floor 0. */
#ifndef PM_BASE_FILE_H
#define PM_BASE_FILE_H

#include "base/error.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* A whole file mapped read-only. A file of zero bytes has data == NULL. */
typedef struct pm_file_map {
    const uint8_t *data;
    size_t bytes;
    uint64_t device, inode;        /* which file it is */
} pm_file_map;

/* Errors: PM_ERR_IO (path and system error), also for directories. A file that
 * another process truncates while it is mapped raises SIGBUS on access: replace
 * model files by rename, never in place. */
PM_MUST_USE pm_result pm_file_map_open(const char *path, pm_file_map *out);
void pm_file_map_close(pm_file_map *map);

/* True when path names the mapped file, by whatever name. */
bool pm_file_map_is(const pm_file_map *map, const char *path);

/* Reads a whole file into owned, NUL-terminated memory (pm_free()); *bytes does
 * not count the NUL. path "-" is standard input. Errors: PM_ERR_IO, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_file_read(const char *path, char **data, size_t *bytes);

/* A file that is written in pieces and appears at its path whole or not at all: the pieces go
 * to a temporary neighbour, which a commit renames. All zero is closed. */
typedef struct pm_file_out {
    bool is_open;
    int fd;
    char path[PATH_MAX], temporary[PATH_MAX];
} pm_file_out;

/* mode: of the new file, less the umask. Errors: PM_ERR_IO (also when path is there and is no
 * regular file), PM_ERR_ARG (a path that is too long). */
PM_MUST_USE pm_result pm_file_out_open(const char *path, unsigned mode, pm_file_out *out);

/* Errors: PM_ERR_IO, with the system's reason. */
PM_MUST_USE pm_result pm_file_out_write(pm_file_out *out, const void *data, size_t bytes);

/* Syncs and renames. Closed afterwards, and on failure gone. Errors: PM_ERR_IO. */
PM_MUST_USE pm_result pm_file_out_commit(pm_file_out *out);

/* Removes what was written; nothing when it is closed. */
void pm_file_out_discard(pm_file_out *out);

/* Writes to a temporary neighbour, then renames it: readers see the old file or
 * the new one, never a part. Errors: PM_ERR_IO; the old file is then untouched. */
PM_MUST_USE pm_result pm_file_write_atomic(const char *path, const void *data, size_t bytes);

/* Makes the folder and its parents (mode 0700 for those it makes).
 * Errors: PM_ERR_IO. */
PM_MUST_USE pm_result pm_file_make_folder(const char *path);

/* <cache home>/pumice/<name> into out, where cache home is $XDG_CACHE_HOME or
 * $HOME/.cache; makes the folder. Errors: PM_ERR_IO, PM_ERR_ARG (too long). */
PM_MUST_USE pm_result pm_file_cache_path(const char *name, char *out, size_t capacity);

#endif /* PM_BASE_FILE_H */
