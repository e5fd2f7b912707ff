/* vk/cache.c - compiled pipelines on disk. */
#include "vk/cache.h"

#include "base/alloc.h"
#include "base/env.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "vk/pipeline_impl.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct cache_header {
    char magic[8];                 /* "pumice01" */
    uint64_t bytes;                /* of the driver's data that follows */
    uint64_t hash;                 /* pm_hash64() of them */
} cache_header;

static const char magic[8] = {'p', 'u', 'm', 'i', 'c', 'e', '0', '1'};

static bool is_off(void)
{
    const char *value = pm_env_get(PM_ENV_CACHE);
    return value != NULL && strcmp(value, "0") == 0;
}

pm_result pm_vk_device_cache_path(const pm_vk_device *d, const char *stem, const char *extension, char *path,
                                  size_t capacity)
{
    char name[128];
    if (is_off())
        return pm_fail(PM_ERR_STATE, "PUMICE_CACHE=0");
    /* The device's name, too: lavapipe's says how wide its vectors are, which no UUID tells. */
    const uint64_t hash = pm_hash64(d->info.name, strlen(d->info.name), pm_hash64(d->cache_uuid, VK_UUID_SIZE, pm_shader_hash()));
    snprintf(name, sizeof(name), "%s-%s-%08x-%016llx.%s", stem, d->info.uuid, d->driver_version, (unsigned long long)hash, extension);
    return pm_file_cache_path(name, path, capacity);
}

static pm_result cache_path(const pm_vk_device *d, char path[PATH_MAX])
{
    return pm_vk_device_cache_path(d, "pipelines", "bin", path, PATH_MAX);
}

static bool is_sound(const pm_file_map *map)
{
    cache_header header;
    if (map->bytes < sizeof(header))
        return false;
    memcpy(&header, map->data, sizeof(header));
    return memcmp(header.magic, magic, sizeof(magic)) == 0 && header.bytes == map->bytes - sizeof(header) &&
           header.hash == pm_hash64(map->data + sizeof(header), header.bytes, PM_HASH_SEED);
}

pm_result pm_vk_cache_load(pm_vk_device *d, VkPipelineCache *out)
{
    char path[PATH_MAX];
    pm_file_map map = {0};
    if (cache_path(d, path) == PM_OK && pm_file_map_open(path, &map) == PM_OK && !is_sound(&map)) {
        pm_warn("%s: damaged, ignored and written anew", path);
        pm_file_map_close(&map);
        map = (pm_file_map){0};
    }
    const size_t skip = map.bytes > 0 ? sizeof(cache_header) : 0;
    const VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                            .initialDataSize = map.bytes - skip,
                                            .pInitialData = map.bytes > 0 ? map.data + skip : NULL};
    const VkResult result = d->vk.vkCreatePipelineCache(d->handle, &info, NULL, out);
    pm_file_map_close(&map);
    return pm_vk_check(result, "vkCreatePipelineCache");
}

/* True when the file holds this already. */
static bool is_same(const char *path, const uint8_t *data, size_t bytes)
{
    pm_file_map map = {0};
    const bool same = pm_file_map_open(path, &map) == PM_OK && map.bytes == bytes && memcmp(map.data, data, bytes) == 0;
    pm_file_map_close(&map);
    return same;
}

void pm_vk_cache_save(pm_vk_device *d, VkPipelineCache cache)
{
    char path[PATH_MAX];
    size_t bytes = 0;
    if (cache_path(d, path) != PM_OK ||
        d->vk.vkGetPipelineCacheData(d->handle, cache, &bytes, NULL) != VK_SUCCESS || bytes == 0)
        return;
    uint8_t *file = pm_alloc(1, sizeof(cache_header) + bytes, "pipeline cache");
    if (file == NULL)
        return;
    uint8_t *data = file + sizeof(cache_header);
    if (d->vk.vkGetPipelineCacheData(d->handle, cache, &bytes, data) == VK_SUCCESS) {
        cache_header header = {.bytes = bytes, .hash = pm_hash64(data, bytes, PM_HASH_SEED)};
        memcpy(header.magic, magic, sizeof(magic));
        memcpy(file, &header, sizeof(header));
        if (!is_same(path, file, sizeof(header) + bytes) &&
            pm_file_write_atomic(path, file, sizeof(header) + bytes) != PM_OK)
            pm_log(PM_LOG_VK, "%s", pm_error_message());
    }
    pm_free(file);
}
