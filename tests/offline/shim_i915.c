/* offline/shim_i915.c - what ANV, Mesa's driver of Intel, asks of the kernel's i915. Source: <drm/i915_drm.h>. */
#include "offline/shim.h"

#include <drm/i915_drm.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define CLOCK 19200000             /* ticks a second of the card's clock */
#define MEMORY (UINT64_C(16) << 30) /* bytes, of the card and of the host */
#define ADDRESSES (UINT64_C(1) << 48)

static int param(const shim_card *card, const drm_i915_getparam_t *get)
{
    const int subslices = (int)(card->units[0] * card->units[1]);
    switch (get->param) {
    case I915_PARAM_CHIPSET_ID: *get->value = card->device; return 0;
    case I915_PARAM_REVISION: *get->value = card->revision; return 0;
    case I915_PARAM_CS_TIMESTAMP_FREQUENCY: *get->value = CLOCK; return 0;
    case I915_PARAM_HAS_ALIASING_PPGTT: *get->value = 3; return 0; /* 48 bits */
    case I915_PARAM_MMAP_GTT_VERSION: *get->value = 4; return 0; /* GEM_MMAP_OFFSET */
    case I915_PARAM_SUBSLICE_TOTAL: *get->value = subslices; return 0;
    case I915_PARAM_EU_TOTAL: *get->value = subslices * (int)card->units[2]; return 0;
    default: *get->value = 1; return 0; /* "has" */
    }
}

/* Which units there are: all, a bit each. */
static void fill_topology(const shim_card *card, struct drm_i915_query_topology_info *info)
{
    uint8_t *at = info->data;
    info->max_slices = (uint16_t)card->units[0];
    info->max_subslices = (uint16_t)card->units[1];
    info->max_eus_per_subslice = (uint16_t)card->units[2];
    info->subslice_offset = 1;
    info->subslice_stride = 1;
    info->eu_offset = (uint16_t)(1 + card->units[0]);
    info->eu_stride = (uint16_t)(card->units[2] / 8);
    *at++ = (uint8_t)((1u << card->units[0]) - 1);
    for (uint32_t s = 0; s < card->units[0]; s++)
        *at++ = (uint8_t)((1u << card->units[1]) - 1);
    memset(at, 0xff, (size_t)card->units[0] * card->units[1] * card->units[2] / 8);
}

static void fill_engines(struct drm_i915_query_engine_info *info)
{
    static const uint16_t classes[] = {I915_ENGINE_CLASS_RENDER, I915_ENGINE_CLASS_COPY};
    info->num_engines = 2;
    for (int i = 0; i < 2; i++)
        info->engines[i].engine.engine_class = classes[i];
}

static void fill_memory(struct drm_i915_query_memory_regions *info)
{
    static const uint16_t classes[] = {I915_MEMORY_CLASS_SYSTEM, I915_MEMORY_CLASS_DEVICE};
    info->num_regions = 2;
    for (int i = 0; i < 2; i++) {
        info->regions[i].region.memory_class = classes[i];
        info->regions[i].probed_size = info->regions[i].unallocated_size = MEMORY;
    }
}

/* The first call of each asks for the length, the second for the data. */
static void query(const shim_card *card, struct drm_i915_query_item *item)
{
    void *data = (void *)(uintptr_t)item->data_ptr;
    size_t length = 0;
    switch (item->query_id) {
    case DRM_I915_QUERY_TOPOLOGY_INFO:
    case DRM_I915_QUERY_GEOMETRY_SUBSLICES:
        length = sizeof(struct drm_i915_query_topology_info) + 1 + card->units[0] +
                 (size_t)card->units[0] * card->units[1] * card->units[2] / 8;
        break;
    case DRM_I915_QUERY_ENGINE_INFO:
        length = sizeof(struct drm_i915_query_engine_info) + 2 * sizeof(struct drm_i915_engine_info);
        break;
    case DRM_I915_QUERY_MEMORY_REGIONS:
        length = sizeof(struct drm_i915_query_memory_regions) + 2 * sizeof(struct drm_i915_memory_region_info);
        break;
    }
    if (length == 0 || (item->length != 0 && (size_t)item->length < length)) {
        item->length = -EINVAL;
        return;
    }
    if (item->length == 0) {
        item->length = (int32_t)length;
        return;
    }
    memset(data, 0, length);
    if (item->query_id == DRM_I915_QUERY_ENGINE_INFO)
        fill_engines(data);
    else if (item->query_id == DRM_I915_QUERY_MEMORY_REGIONS)
        fill_memory(data);
    else
        fill_topology(card, data);
}

static int map(struct drm_i915_gem_mmap *m)
{
    const off_t offset = (off_t)(m->handle * SHIM_GRANULE + m->offset);
    void *at = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, shim_node(), offset);
    m->addr_ptr = (uintptr_t)at;
    return at == MAP_FAILED ? errno : 0;
}

static int command(const shim_card *card, unsigned number, void *data, size_t bytes)
{
    (void)bytes;
    switch (number) {
    case DRM_I915_GETPARAM: return param(card, data);
    case DRM_I915_QUERY: {
        const struct drm_i915_query *q = data;
        struct drm_i915_query_item *items = (struct drm_i915_query_item *)(uintptr_t)q->items_ptr;
        for (uint32_t i = 0; i < q->num_items; i++)
            query(card, &items[i]);
        return 0;
    }
    case DRM_I915_GEM_CREATE: {
        struct drm_i915_gem_create *create = data;
        create->handle = shim_buffer(create->size);
        return 0;
    }
    case DRM_I915_GEM_CREATE_EXT: {
        struct drm_i915_gem_create_ext *create = data;
        create->handle = shim_buffer(create->size);
        return 0;
    }
    case DRM_I915_GEM_USERPTR: ((struct drm_i915_gem_userptr *)data)->handle = shim_name(); return 0;
    case DRM_I915_GEM_MMAP: return map(data);
    case DRM_I915_GEM_MMAP_GTT: { /* GEM_MMAP_OFFSET has the same number */
        struct drm_i915_gem_mmap_offset *offset = data;
        offset->offset = offset->handle * SHIM_GRANULE;
        return 0;
    }
    case DRM_I915_GEM_CONTEXT_CREATE: ((struct drm_i915_gem_context_create *)data)->ctx_id = shim_name(); return 0;
    case DRM_I915_GEM_VM_CREATE: ((struct drm_i915_gem_vm_control *)data)->vm_id = shim_name(); return 0;
    case DRM_I915_GEM_CONTEXT_GETPARAM: {
        struct drm_i915_gem_context_param *get = data;
        get->value = get->param == I915_CONTEXT_PARAM_GTT_SIZE ? ADDRESSES : 1;
        return 0;
    }
    case DRM_I915_GEM_GET_APERTURE: {
        struct drm_i915_gem_get_aperture *get = data;
        get->aper_size = get->aper_available_size = MEMORY;
        return 0;
    }
    case DRM_I915_REG_READ: ((struct drm_i915_reg_read *)data)->val = 1; return 0;
    default: return 0;             /* domains, tiling, priorities, submissions: done */
    }
}

/* Device numbers and units: Intel's product pages of each. */
const shim_card shim_i915[] = {
    {"dg2", "i915", {1, 6, 0}, NULL, 0x8086, 0x56a0, 8, {8, 4, 16}, NULL, command}, /* Arc A770 */
    {"tgl", "i915", {1, 6, 0}, NULL, 0x8086, 0x9a49, 3, {1, 6, 16}, NULL, command}, /* Iris Xe of an 11th Core i7 */
    {"cfl", "i915", {1, 6, 0}, NULL, 0x8086, 0x3e92, 2, {1, 3, 8}, NULL, command},  /* UHD Graphics 630 of an 8th Core i7 */
    {0},
};
