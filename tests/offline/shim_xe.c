/* offline/shim_xe.c - what ANV asks of the kernel's xe, the driver of Intel's cards from Xe2 on. Source: <drm/xe_drm.h>.
 * Its fences are words in memory, which nobody writes: waiting for one ends at once. */
#include "offline/shim.h"

#include <drm/xe_drm.h>
#include <errno.h>
#include <string.h>

#define CLOCK 19200000u            /* ticks a second of the card's clock */
#define MEMORY (UINT64_C(16) << 30) /* bytes, of the card and of the host */
#define PAGE 65536u
#define ADDRESS_BITS 48u

static size_t fill_config(const shim_card *card, struct drm_xe_query_config *config)
{
    const uint64_t info[] = {
        [DRM_XE_QUERY_CONFIG_REV_AND_DEVICE_ID] = (uint64_t)card->revision << 16 | card->device,
        [DRM_XE_QUERY_CONFIG_FLAGS] = DRM_XE_QUERY_CONFIG_FLAG_HAS_VRAM,
        [DRM_XE_QUERY_CONFIG_MIN_ALIGNMENT] = PAGE,
        [DRM_XE_QUERY_CONFIG_VA_BITS] = ADDRESS_BITS,
        [DRM_XE_QUERY_CONFIG_MAX_EXEC_QUEUE_PRIORITY] = 1,
    };
    if (config != NULL) {
        config->num_params = sizeof(info) / sizeof(info[0]);
        memcpy(config->info, info, sizeof(info));
    }
    return sizeof(*config) + sizeof(info);
}

static size_t fill_engines(struct drm_xe_query_engines *engines)
{
    static const uint16_t classes[] = {DRM_XE_ENGINE_CLASS_RENDER, DRM_XE_ENGINE_CLASS_COPY, DRM_XE_ENGINE_CLASS_COMPUTE};
    if (engines != NULL) {
        engines->num_engines = 3;
        for (int i = 0; i < 3; i++)
            engines->engines[i].instance.engine_class = classes[i];
    }
    return sizeof(*engines) + 3 * sizeof(engines->engines[0]);
}

static size_t fill_memory(struct drm_xe_query_mem_regions *memory)
{
    static const uint16_t classes[] = {DRM_XE_MEM_REGION_CLASS_SYSMEM, DRM_XE_MEM_REGION_CLASS_VRAM};
    if (memory != NULL) {
        memory->num_mem_regions = 2;
        for (uint16_t i = 0; i < 2; i++)
            memory->mem_regions[i] = (struct drm_xe_mem_region){
                .mem_class = classes[i], .instance = i, .min_page_size = PAGE, .total_size = MEMORY, .cpu_visible_size = MEMORY};
    }
    return sizeof(*memory) + 2 * sizeof(memory->mem_regions[0]);
}

static size_t fill_gts(const shim_card *card, struct drm_xe_query_gt_list *list)
{
    if (list != NULL) {
        list->num_gt = 1;
        list->gt_list[0] = (struct drm_xe_gt){.type = DRM_XE_QUERY_GT_TYPE_MAIN, .reference_clock = CLOCK,
                                              .near_mem_regions = 2, .far_mem_regions = 1, .ip_ver_major = 20,
                                              .ip_ver_minor = card->revision};
    }
    return sizeof(*list) + sizeof(list->gt_list[0]);
}

/* Masks of what there is: all, a bit each, in 8 bytes. */
static size_t fill_topology(const shim_card *card, uint8_t *at)
{
    const struct { uint16_t type; uint32_t count; } masks[] = {
        {DRM_XE_TOPO_DSS_GEOMETRY, card->units[0] * card->units[1]},
        {DRM_XE_TOPO_DSS_COMPUTE, card->units[0] * card->units[1]},
        {DRM_XE_TOPO_L3_BANK, card->units[0] * 2},
        {DRM_XE_TOPO_SIMD16_EU_PER_DSS, card->units[2]},
    };
    const size_t bytes = sizeof(struct drm_xe_query_topology_mask) + 8;
    for (size_t i = 0; at != NULL && i < sizeof(masks) / sizeof(masks[0]); i++, at += bytes) {
        const struct drm_xe_query_topology_mask head = {.type = masks[i].type, .num_bytes = 8};
        const uint64_t mask = (UINT64_C(1) << masks[i].count) - 1;
        memcpy(at, &head, sizeof(head));
        memcpy(at + sizeof(head), &mask, sizeof(mask));
    }
    return sizeof(masks) / sizeof(masks[0]) * bytes;
}

/* Keys, counts of words, words: slices, subslices, units of a subslice. */
static size_t fill_hwconfig(const shim_card *card, void *data)
{
    const uint32_t words[] = {1, 1, card->units[0], 2, 1, card->units[0] * card->units[1], 3, 1, card->units[2]};
    if (data != NULL)
        memcpy(data, words, sizeof(words));
    return sizeof(words);
}

static size_t fill(const shim_card *card, uint32_t what, void *data)
{
    switch (what) {
    case DRM_XE_DEVICE_QUERY_CONFIG: return fill_config(card, data);
    case DRM_XE_DEVICE_QUERY_ENGINES: return fill_engines(data);
    case DRM_XE_DEVICE_QUERY_MEM_REGIONS: return fill_memory(data);
    case DRM_XE_DEVICE_QUERY_GT_LIST: return fill_gts(card, data);
    case DRM_XE_DEVICE_QUERY_HWCONFIG: return fill_hwconfig(card, data);
    case DRM_XE_DEVICE_QUERY_GT_TOPOLOGY: return fill_topology(card, data);
    default: return 0;
    }
}

/* The first call of each asks for the size, the second for the data. */
static int query(const shim_card *card, struct drm_xe_device_query *q)
{
    void *data = (void *)(uintptr_t)q->data;
    const size_t bytes = fill(card, q->query, NULL);
    if (bytes == 0 || (q->size != 0 && q->size != bytes))
        return EINVAL;
    if (q->size != 0) {
        memset(data, 0, bytes);
        (void)fill(card, q->query, data);
    }
    q->size = (uint32_t)bytes;
    return 0;
}

static int command(const shim_card *card, unsigned number, void *data, size_t bytes)
{
    (void)bytes;
    switch (number) {
    case DRM_XE_DEVICE_QUERY: return query(card, data);
    case DRM_XE_GEM_CREATE: {
        struct drm_xe_gem_create *create = data;
        create->handle = shim_buffer(create->size);
        return 0;
    }
    case DRM_XE_GEM_MMAP_OFFSET: {
        struct drm_xe_gem_mmap_offset *offset = data;
        offset->offset = offset->handle * SHIM_GRANULE;
        return 0;
    }
    case DRM_XE_VM_CREATE: ((struct drm_xe_vm_create *)data)->vm_id = shim_name(); return 0;
    case DRM_XE_EXEC_QUEUE_CREATE: ((struct drm_xe_exec_queue_create *)data)->exec_queue_id = shim_name(); return 0;
    case DRM_XE_EXEC_QUEUE_GET_PROPERTY: ((struct drm_xe_exec_queue_get_property *)data)->value = 0; return 0; /* not banned */
    default: return 0;             /* binding, submitting, waiting: done */
    }
}

/* Device number and units: Intel's product page. */
const shim_card shim_xe[] = {
    {"bmg", "xe", {1, 1, 0}, NULL, 0x8086, 0xe20b, 0, {5, 4, 8}, NULL, command}, /* Arc B580 */
    {0},
};
