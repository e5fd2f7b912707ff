/* vk/pipeline.c - compute pipelines by module and specialization. */
#include "vk/pipeline_impl.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/thread.h"
#include "pm_shared.h"
#include "vk/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static const pm_shader_module *overrides; /* pm_vk_modules_override() */
static size_t override_count;

void pm_vk_modules_override(const pm_shader_module *modules, size_t count)
{
    overrides = modules;
    override_count = count;
}

static const pm_shader_module *find_in(const pm_shader_module *modules, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(modules[i].name, name) == 0)
            return &modules[i];
    return NULL;
}

static const pm_shader_module *find_module(const char *name)
{
    const pm_shader_module *built = find_in(pm_shader_table, pm_shader_count, name);
    const pm_shader_module *other = built != NULL ? find_in(overrides, override_count, name) : NULL;
    return other != NULL ? other : built;
}

bool pm_vk_module_exists(const char *module)
{
    return find_module(module) != NULL;
}

static uint64_t shader_hash;

static void hash_shaders(void)
{
    shader_hash = PM_HASH_SEED;
    for (size_t i = 0; i < pm_shader_count; i++)
        shader_hash = pm_hash64(pm_shader_table[i].words, pm_shader_table[i].bytes, shader_hash);
}

uint64_t pm_shader_hash(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, hash_shaders);
    uint64_t hash = shader_hash;
    for (size_t i = 0; i < override_count; i++)
        hash = pm_hash64(overrides[i].words, overrides[i].bytes, hash);
    return hash;
}

/* ------------------------------------------------------------------- get */

static bool same_key(const pm_vk_pipeline_key *a, const pm_vk_pipeline_key *b)
{
    if (strcmp(a->module, b->module) != 0 || a->spec_count != b->spec_count || a->push_bytes != b->push_bytes ||
        a->subgroup != b->subgroup || a->texels != b->texels)
        return false;
    for (uint32_t i = 0; i < a->spec_count; i++)
        if (a->spec[i].id != b->spec[i].id || a->spec[i].value != b->spec[i].value)
            return false;
    return true;
}

static pm_result table_get(pm_vk_device *d, pm_vk_pipeline_table **out)
{
    if (d->pipelines == NULL) {
        d->pipelines = pm_alloc(1, sizeof(*d->pipelines), "pipelines");
        if (d->pipelines == NULL)
            return PM_ERR_NOMEM;
    }
    *out = d->pipelines;
    return PM_OK;
}

/* Push descriptors of so many buffer textures. */
static pm_result set_get(pm_vk_device *d, pm_vk_pipeline_table *table, uint32_t texels, VkDescriptorSetLayout *out)
{
    VkDescriptorSetLayout *set = &table->sets[texels];
    if (*set == VK_NULL_HANDLE) {
        VkDescriptorSetLayoutBinding bindings[PM_VK_TEXELS_MAX];
        for (uint32_t i = 0; i < texels; i++)
            bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                         .descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
                                                         .descriptorCount = 1,
                                                         .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
        const VkDescriptorSetLayoutCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
            .flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR,
            .bindingCount = texels,
            .pBindings = bindings};
        PM_TRY(pm_vk_check(d->vk.vkCreateDescriptorSetLayout(d->handle, &info, NULL, set), "vkCreateDescriptorSetLayout"));
    }
    *out = *set;
    return PM_OK;
}

/* The layout of so many push bytes and buffer textures. */
static pm_result layout_get(pm_vk_device *d, pm_vk_pipeline_table *table, const pm_vk_pipeline_key *key,
                            VkPipelineLayout *out)
{
    VkPipelineLayout *layout = &table->layouts[key->texels][key->push_bytes / 4];
    if (*layout == VK_NULL_HANDLE) {
        VkDescriptorSetLayout set = VK_NULL_HANDLE;
        if (key->texels > 0)
            PM_TRY(set_get(d, table, key->texels, &set));
        const uint32_t push_bytes = key->push_bytes;
        const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = push_bytes};
        const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                                 .setLayoutCount = key->texels > 0,
                                                 .pSetLayouts = &set,
                                                 .pushConstantRangeCount = push_bytes > 0,
                                                 .pPushConstantRanges = &range};
        PM_TRY(pm_vk_check(d->vk.vkCreatePipelineLayout(d->handle, &info, NULL, layout), "vkCreatePipelineLayout"));
    }
    *out = *layout;
    return PM_OK;
}

static pm_result get(pm_vk_device *d, const pm_vk_pipeline_key *key, const pm_vk_pipeline **out)
{
    pm_assert(key->push_bytes <= 128 && key->push_bytes % 4 == 0 && key->spec_count <= PM_SPEC_MAX);
    pm_assert(key->texels == 0 || (key->texels <= PM_VK_TEXELS_MAX && (d->caps.bits & PM_CAP_BIT(TEXELS))));
    pm_assert(key->subgroup == 0 || (key->subgroup >= d->caps.subgroup_min && key->subgroup <= d->caps.subgroup_max));
    pm_vk_pipeline_table *table;
    PM_TRY(table_get(d, &table));
    for (uint32_t i = 0; i < table->count; i++)
        if (same_key(&table->list[i]->key, key)) {
            *out = table->list[i];
            return PM_OK;
        }
    const pm_shader_module *module = find_module(key->module);
    if (module == NULL)
        return pm_fail(PM_ERR_UNSUP, "this build has no shader module '%s'", key->module);
    if (table->count == table->capacity) {
        const uint32_t capacity = table->capacity ? table->capacity * 2 : 32;
        pm_vk_pipeline **grown = pm_realloc(table->list, capacity, sizeof(*grown), "pipelines");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        table->list = grown;
        table->capacity = capacity;
    }
    VkPipelineLayout layout;
    PM_TRY(layout_get(d, table, key, &layout));
    pm_vk_pipeline *pipeline = pm_alloc(1, sizeof(*pipeline), "pipeline");
    if (pipeline == NULL)
        return PM_ERR_NOMEM;
    pipeline->key = *key;
    pipeline->key.module = module->name; /* static, unlike the caller's */
    pipeline->layout = layout;
    table->list[table->count++] = pipeline;
    *out = pipeline;
    return PM_OK;
}

pm_result pm_vk_pipeline_get(pm_vk_device *d, const pm_vk_pipeline_key *key, const pm_vk_pipeline **out)
{
    pthread_mutex_lock(&d->pipelines_lock);
    const pm_result result = get(d, key, out);
    pthread_mutex_unlock(&d->pipelines_lock);
    return result;
}

/* ----------------------------------------------------------------- build */

/* "matmul_q8_0(0=32,1=4)" */
static void describe(const pm_vk_pipeline_key *key, char *text, size_t capacity)
{
    size_t used = (size_t)snprintf(text, capacity, "%s(", key->module);
    for (uint32_t i = 0; i < key->spec_count && used < capacity; i++)
        used += (size_t)snprintf(text + used, capacity - used, "%s%u=%u", i > 0 ? "," : "", key->spec[i].id,
                                 key->spec[i].value);
    if (used < capacity)
        snprintf(text + used, capacity - used, ")");
}

static pm_result build(pm_vk_device *d, pm_vk_pipeline *pipeline)
{
    if (pipeline->handle != VK_NULL_HANDLE) /* built before another one failed */
        return PM_OK;
    const pm_vk_pipeline_key *key = &pipeline->key;
    const pm_shader_module *module = find_module(key->module);
    VkSpecializationMapEntry entries[PM_SPEC_MAX + 1] = {{PM_SPEC_SOFT_HALF, 0, 4}};
    uint32_t values[PM_SPEC_MAX + 1] = {d->caps.soft_half};
    for (uint32_t i = 0; i < key->spec_count; i++) {
        entries[i + 1] = (VkSpecializationMapEntry){key->spec[i].id, (i + 1) * 4, 4};
        values[i + 1] = key->spec[i].value;
    }
    const VkSpecializationInfo specialization = {key->spec_count + 1, entries, (key->spec_count + 1) * 4, values};
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = key->subgroup};
    const VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                           .codeSize = module->bytes,
                                           .pCode = module->words};
    VkShaderModule shader;
    const uint64_t start_ns = pm_clock_ns();
    PM_TRY(pm_vk_check(d->vk.vkCreateShaderModule(d->handle, &code, NULL, &shader), key->module));
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = d->statistics ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = key->subgroup > 0 ? &subgroup : NULL,
                  .flags = key->subgroup > 0 ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = shader,
                  .pName = "main",
                  .pSpecializationInfo = &specialization},
        .layout = pipeline->layout};
    const VkResult result =
        d->vk.vkCreateComputePipelines(d->handle, d->pipelines->cache, 1, &info, NULL, &pipeline->handle);
    d->vk.vkDestroyShaderModule(d->handle, shader, NULL);
    char name[160];
    describe(key, name, sizeof(name));
    pm_log(PM_LOG_VK, "pipeline %s: %.1f ms", name, (double)(pm_clock_ns() - start_ns) * 1e-6);
    return pm_vk_check(result, name);
}

typedef struct build_work {
    pm_vk_device *device;
    pm_vk_pipeline **list;
    uint32_t count;
    _Atomic uint32_t done;
    pm_progress *progress;
    void *context;
    pthread_t caller;
} build_work;

static pm_result build_one(void *context, uint32_t index)
{
    build_work *work = context;
    pm_vk_pipeline *pipeline = work->list[index];
    const pm_result result = build(work->device, pipeline);
    const uint32_t done = atomic_fetch_add(&work->done, 1) + 1;
    if (work->progress != NULL && pthread_equal(pthread_self(), work->caller))
        work->progress(work->context, "pipelines", (double)done / work->count);
    return result;
}

static pm_result build_list(pm_vk_device *d, pm_vk_pipeline **list, uint32_t count, pm_progress *progress,
                            void *context)
{
    pm_vk_pipeline_table *table = d->pipelines;
    if (count == 0)
        return PM_OK;
    if (table->cache == VK_NULL_HANDLE)
        PM_TRY(pm_vk_cache_load(d, &table->cache));
    if (progress != NULL)
        progress(context, "pipelines", 0.0);
    build_work work = {.device = d, .list = list, .count = count, .progress = progress, .context = context,
                       .caller = pthread_self()};
    PM_TRY(pm_thread_for(0, count, build_one, &work));
    if (progress != NULL)
        progress(context, "pipelines", 1.0);
    pm_vk_cache_save(d, table->cache);
    return PM_OK;
}

/* Room for `count` pipelines, NULL where there is none. */
static pm_vk_pipeline **make_list(uint32_t count)
{
    return pm_alloc(count > 0 ? count : 1, sizeof(pm_vk_pipeline *), "pipelines");
}

static pm_result build_new(pm_vk_device *d, pm_progress *progress, void *context)
{
    pm_vk_pipeline_table *table;
    uint32_t count = 0;
    PM_TRY(table_get(d, &table));
    if (table->built == table->count)
        return PM_OK;
    pm_vk_pipeline **list = make_list(table->count - table->built);
    if (list == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t i = table->built; i < table->count; i++)
        if (table->list[i]->handle == VK_NULL_HANDLE)
            list[count++] = table->list[i];
    table->built = table->count;
    const pm_result result = build_list(d, list, count, progress, context);
    pm_free(list);
    return result;
}

pm_result pm_vk_pipelines_build(pm_vk_device *d, pm_progress *progress, void *context)
{
    pthread_mutex_lock(&d->pipelines_lock);
    const pm_result result = build_new(d, progress, context);
    pthread_mutex_unlock(&d->pipelines_lock);
    return result;
}

static pm_result build_these(pm_vk_device *d, const pm_vk_pipeline *const *wanted, uint32_t wanted_count)
{
    pm_vk_pipeline **list = NULL;
    uint32_t count = 0, missing = 0;
    for (uint32_t i = 0; i < wanted_count; i++)
        missing += wanted[i]->handle == VK_NULL_HANDLE;
    if (missing == 0)
        return PM_OK;
    list = make_list(d->pipelines->count);
    if (list == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t t = 0; t < d->pipelines->count; t++) {
        pm_vk_pipeline *pipeline = d->pipelines->list[t];
        bool is_wanted = false;
        for (uint32_t i = 0; i < wanted_count && pipeline->handle == VK_NULL_HANDLE; i++)
            is_wanted |= wanted[i] == pipeline;
        if (is_wanted)
            list[count++] = pipeline;
    }
    const pm_result result = build_list(d, list, count, NULL, NULL);
    pm_free(list);
    return result;
}

pm_result pm_vk_pipelines_build_these(pm_vk_device *d, const pm_vk_pipeline *const *wanted, uint32_t wanted_count)
{
    pthread_mutex_lock(&d->pipelines_lock);
    const pm_result result = build_these(d, wanted, wanted_count);
    pthread_mutex_unlock(&d->pipelines_lock);
    return result;
}

void pm_vk_pipelines_finish(pm_vk_device *d)
{
    pm_vk_pipeline_table *table = d->pipelines;
    if (table == NULL)
        return;
    for (uint32_t i = 0; i < table->count; i++) {
        d->vk.vkDestroyPipeline(d->handle, table->list[i]->handle, NULL);
        pm_free(table->list[i]);
    }
    for (uint32_t t = 0; t <= PM_VK_TEXELS_MAX; t++) {
        for (uint32_t i = 0; i <= PM_VK_LAYOUTS_MAX; i++)
            d->vk.vkDestroyPipelineLayout(d->handle, table->layouts[t][i], NULL);
        d->vk.vkDestroyDescriptorSetLayout(d->handle, table->sets[t], NULL);
    }
    d->vk.vkDestroyPipelineCache(d->handle, table->cache, NULL);
    pm_free(table->list);
    pm_free(table);
    d->pipelines = NULL;
}
