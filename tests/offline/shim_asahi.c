/* offline/shim_asahi.c - Apple's GPUs, as the kernel's asahi has them for Honeykrisp, Mesa's driver. Numbers and structures
 * are those of Linux's <drm/asahi_drm.h>, which is newer than the headers of many systems. */
#include "offline/shim.h"

#include <errno.h>
#include <string.h>

enum {
    GET_PARAMS,
    GET_TIME,
    VM_CREATE,
    VM_DESTROY,
    VM_BIND,
    GEM_CREATE,
    GEM_MMAP_OFFSET,
    GEM_BIND_OBJECT,
    QUEUE_CREATE,
    QUEUE_DESTROY,
    SUBMIT,
};

typedef struct params {
    uint64_t features;
    uint32_t generation, variant, revision; /* G13G B1: 13, 'G', 0x11 */
    uint32_t chip, dies, clusters, cores_per_cluster, khz;
    uint64_t core_masks[64];       /* by cluster */
    uint64_t vm_start, vm_end, vm_kernel_bytes_min;
    uint32_t commands_max, attachments_max;
    uint64_t timestamp_hz;
} params;

struct get_params { uint32_t group, pad; uint64_t pointer, bytes; };
struct get_time { uint64_t flags, time; };
struct vm_create { uint64_t kernel_start, kernel_end; uint32_t vm, pad; };
struct gem_create { uint64_t bytes; uint32_t flags, vm, handle, pad; };
struct gem_mmap_offset { uint32_t handle, flags; uint64_t offset; };
struct gem_bind_object { uint32_t op, flags, handle, vm; uint64_t offset, bytes; uint32_t object, pad; };
struct queue_create { uint32_t flags, vm, priority, queue; uint64_t usc_base; };

typedef struct apple_chip {
    uint32_t generation, variant, revision, id, khz;
} apple_chip;

static int give_params(const shim_card *card, struct get_params *get)
{
    const apple_chip *chip = card->chip;
    params p = {.features = 1, /* faulting loads give 0 */
                .generation = chip->generation, .variant = chip->variant, .revision = chip->revision, .chip = chip->id,
                .dies = 1, .clusters = card->units[0], .cores_per_cluster = card->units[1], .khz = chip->khz,
                .vm_start = 0x4000, .vm_end = UINT64_C(1) << 39, .vm_kernel_bytes_min = UINT64_C(1) << 29,
                .commands_max = 64, .attachments_max = 16, .timestamp_hz = 24000000};
    for (uint32_t i = 0; i < card->units[0]; i++)
        p.core_masks[i] = (UINT64_C(1) << card->units[1]) - 1;
    if (get->group != 0)
        return EINVAL;
    get->bytes = get->bytes < sizeof(p) ? get->bytes : sizeof(p);
    memcpy((void *)(uintptr_t)get->pointer, &p, get->bytes);
    return 0;
}

static int command(const shim_card *card, unsigned number, void *data, size_t bytes)
{
    (void)bytes;
    switch (number) {
    case GET_PARAMS: return give_params(card, data);
    case GET_TIME: ((struct get_time *)data)->time = 1; return 0;
    case VM_CREATE: ((struct vm_create *)data)->vm = shim_name(); return 0;
    case GEM_CREATE: {
        struct gem_create *create = data;
        create->handle = shim_buffer(create->bytes);
        return 0;
    }
    case GEM_MMAP_OFFSET: {
        struct gem_mmap_offset *map = data;
        map->offset = map->handle * SHIM_GRANULE;
        return 0;
    }
    case GEM_BIND_OBJECT: ((struct gem_bind_object *)data)->object = shim_name(); return 0;
    case QUEUE_CREATE: ((struct queue_create *)data)->queue = shim_name(); return 0;
    case VM_DESTROY:
    case VM_BIND:
    case QUEUE_DESTROY:
    case SUBMIT: return 0;
    default: return ENOTTY;
    }
}

static const apple_chip g13g = {13, 'G', 0x11, 0x8103, 1278000};

const shim_card shim_asahi[] = {
    {"m1", "asahi", {1, 0, 0}, "apple,agx", 0, 0, 0, {1, 8, 0}, &g13g, command},
    {0},
};
