/* offline/shim_nouveau.c - NVIDIA's cards, as the kernel's nouveau has them for NVK, Mesa's driver. Sources:
 * <drm/nouveau_drm.h>; classes and NVIF as Linux has them in drivers/gpu/drm/nouveau/include/nvif. */
#include "offline/shim.h"

#include <drm/nouveau_drm.h>
#include <errno.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

/* The classes are those of its engines: what the hardware's command sets are called. */
typedef struct nvidia_chip {
    uint16_t chipset;              /* as the chip has it in its boot register */
    uint64_t vram;
    int32_t compute, graphics, copy, inline_memory;
} nvidia_chip;

/* -------------------------------------------------------------- GETPARAM */

static int give_parameter(const shim_card *card, struct drm_nouveau_getparam *out)
{
    const nvidia_chip *chip = card->chip;
    switch (out->param) {
    case NOUVEAU_GETPARAM_PCI_VENDOR: out->value = card->vendor; return 0;
    case NOUVEAU_GETPARAM_PCI_DEVICE: out->value = card->device; return 0;
    case NOUVEAU_GETPARAM_CHIPSET_ID: out->value = chip->chipset; return 0;
    case NOUVEAU_GETPARAM_GRAPH_UNITS: out->value = card->units[0] | card->units[1] << 8; return 0;
    case NOUVEAU_GETPARAM_EXEC_PUSH_MAX: out->value = 510; return 0;
    case NOUVEAU_GETPARAM_FB_SIZE:
    case NOUVEAU_GETPARAM_VRAM_BAR_SIZE: out->value = chip->vram; return 0;
    case NOUVEAU_GETPARAM_AGP_SIZE: out->value = 8 * GIB; return 0;
    case NOUVEAU_GETPARAM_VRAM_USED: out->value = GIB / 4; return 0;
    case NOUVEAU_GETPARAM_HAS_VMA_TILEMODE: out->value = 1; return 0;
    case NOUVEAU_GETPARAM_PTIMER_TIME: out->value = 0; return 0;
    default: return EINVAL;
    }
}

/* ------------------------------------------------------------------ NVIF */

/* Objects inside of the kernel's driver. Its messages: a head, a head of the type, data. */
enum { NVIF_CLASSES = 1, NVIF_NEW = 2, NVIF_DELETE = 3, NVIF_METHOD = 4 };

typedef struct nvif_head {
    uint8_t version, type, pad[4], owner, route;
    uint64_t token, object;
} nvif_head;

typedef struct nvif_classes {
    uint8_t version, count, pad[6];
    struct { int32_t class; int16_t least, most; } list[];
} nvif_classes;

typedef struct nvif_device_info {
    uint8_t version, method, pad[6];
    struct {
        uint8_t version, platform;
        uint16_t chipset;
        uint8_t revision, family, pad[2];
        uint64_t ram, ram_of_user;
        char chip[16], name[64];
    } info;
} nvif_device_info;

enum { METHOD_INFO = 0, PLATFORM_PCIE = 3, TWO_D = 0x902d };

static int give_classes(const nvidia_chip *chip, nvif_classes *out, size_t bytes)
{
    const int32_t classes[] = {TWO_D, chip->inline_memory, chip->graphics, chip->compute, chip->copy};
    const uint8_t count = sizeof(classes) / sizeof(classes[0]);
    if (bytes < sizeof(*out) || out->count < count || bytes < sizeof(*out) + out->count * sizeof(out->list[0]))
        return EINVAL;
    memset(out->list, 0, out->count * sizeof(out->list[0]));
    for (uint8_t i = 0; i < count; i++)
        out->list[i].class = classes[i];
    out->count = count;
    return 0;
}

static int give_info(const shim_card *card, nvif_device_info *out, size_t bytes)
{
    const nvidia_chip *chip = card->chip;
    if (bytes < sizeof(*out) || out->method != METHOD_INFO)
        return EINVAL;
    out->info.platform = PLATFORM_PCIE;
    out->info.chipset = chip->chipset;
    out->info.revision = card->revision;
    out->info.ram = out->info.ram_of_user = chip->vram;
    memset(out->info.chip, 0, sizeof(out->info.chip));
    memset(out->info.name, 0, sizeof(out->info.name));
    strncpy(out->info.chip, card->name, sizeof(out->info.chip) - 1);
    strncpy(out->info.name, card->name, sizeof(out->info.name) - 1);
    return 0;
}

static int answer_nvif(const shim_card *card, void *data, size_t bytes)
{
    const nvif_head *head = data;
    if (bytes < sizeof(*head))
        return EINVAL;
    void *rest = (char *)data + sizeof(*head);
    switch (head->type) {
    case NVIF_CLASSES: return give_classes(card->chip, rest, bytes - sizeof(*head));
    case NVIF_METHOD: return give_info(card, rest, bytes - sizeof(*head));
    case NVIF_NEW:
    case NVIF_DELETE: return 0;
    default: return EINVAL;
    }
}

/* ------------------------------------------------------------------ rest */

static int create_buffer(struct drm_nouveau_gem_new *out)
{
    out->info.handle = shim_buffer(out->info.size);
    out->info.map_handle = out->info.handle * SHIM_GRANULE;
    out->info.offset = 0;
    return 0;
}

static int create_channel(struct drm_nouveau_channel_alloc *out)
{
    out->channel = (int32_t)shim_name();
    return 0;
}

static int command(const shim_card *card, unsigned number, void *data, size_t bytes)
{
    switch (number) {
    case DRM_NOUVEAU_GETPARAM: return give_parameter(card, data);
    case DRM_NOUVEAU_NVIF: return answer_nvif(card, data, bytes);
    case DRM_NOUVEAU_GEM_NEW: return create_buffer(data);
    case DRM_NOUVEAU_CHANNEL_ALLOC: return create_channel(data);
    case DRM_NOUVEAU_CHANNEL_FREE:
    case DRM_NOUVEAU_VM_INIT:
    case DRM_NOUVEAU_VM_BIND:
    case DRM_NOUVEAU_EXEC:
    case DRM_NOUVEAU_GEM_PUSHBUF:
    case DRM_NOUVEAU_GEM_CPU_PREP:
    case DRM_NOUVEAU_GEM_CPU_FINI: return 0;
    default: return EINVAL;
    }
}

static const nvidia_chip tu102 = {0x162, 11 * GIB, 0xc5c0, 0xc597, 0xc5b5, 0xa140};
static const nvidia_chip ga100 = {0x170, 40 * GIB, 0xc6c0, 0xc697, 0xc6b5, 0xa140};
static const nvidia_chip ga102 = {0x172, 24 * GIB, 0xc7c0, 0xc797, 0xc7b5, 0xa140};
static const nvidia_chip gh100 = {0x180, 80 * GIB, 0xcbc0, 0xcb97, 0xc8b5, 0xa140};
static const nvidia_chip ad102 = {0x192, 24 * GIB, 0xc9c0, 0xc997, 0xc7b5, 0xa140};
static const nvidia_chip gb202 = {0x1b2, 32 * GIB, 0xcec0, 0xce97, 0xcab5, 0xcd40};

const shim_card shim_nouveau[] = {
#define CARD(id, gpcs, tpcs, of) #of, "nouveau", {1, 4, 2}, NULL, 0x10de, id, 0xa1, {gpcs, tpcs, 0}, &of, command
    {CARD(0x1e04, 6, 34, tu102)},  /* GeForce RTX 2080 Ti */
    {CARD(0x20b0, 7, 54, ga100)},  /* A100 */
    {CARD(0x2236, 6, 36, ga102)},  /* A10 */
    {CARD(0x2330, 8, 66, gh100)},  /* H100; NVK wants NVK_I_WANT_A_BROKEN_VULKAN_DRIVER=1 */
    {CARD(0x2684, 11, 64, ad102)}, /* GeForce RTX 4090 */
    {CARD(0x2b85, 11, 85, gb202)}, /* GeForce RTX 5090 */
#undef CARD
    {0},
};
