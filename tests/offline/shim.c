/* offline/shim.c - what all shims share: the list of devices, the node, and what every driver of the kernel is asked. */
#include "offline/shim.h"

#include <drm/drm.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_BYTES (INT64_C(1) << 46) /* holes, until something is written there */

static const shim_card *card;      /* NULL: none */
static int node = -1;
static char node_path[32];
static atomic_uint_least64_t granules = 1; /* used so far; handle 0 is none */
static atomic_uint names;

bool shim_choose(const char *name)
{
    static const shim_card *const lists[] = {shim_i915, shim_xe, shim_nouveau, shim_asahi};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && card == NULL; i++)
        for (const shim_card *c = lists[i]; c->name != NULL; c++)
            if (strcmp(c->name, name) == 0)
                card = c;
    if (card == NULL)
        return false;
    node = memfd_create("card", MFD_CLOEXEC);
    if (node < 0 || ftruncate(node, FILE_BYTES) != 0) {
        perror("shim: memfd");
        exit(1);
    }
    snprintf(node_path, sizeof(node_path), "/proc/self/fd/%d", node);
    return true;
}

uint32_t shim_buffer(uint64_t bytes)
{
    return (uint32_t)atomic_fetch_add(&granules, (bytes + SHIM_GRANULE - 1) / SHIM_GRANULE);
}

uint32_t shim_name(void)
{
    return atomic_fetch_add(&names, 1) + 1;
}

int shim_node(void)
{
    return node;
}

/* ---------------------------------------------------------------- libdrm */

/* As libdrm's ABI has them. */
enum { NODE_PRIMARY, NODE_CONTROL, NODE_RENDER, NODES };
enum { BUS_PCI = 0, BUS_PLATFORM = 2 };

typedef struct pci_bus { uint16_t domain; uint8_t bus, device, function; } pci_bus;
typedef struct pci_info { uint16_t vendor, device, sub_vendor, sub_device; uint8_t revision; } pci_info;
typedef struct platform_bus { char name[512]; } platform_bus;
typedef struct platform_info { char **compatible; } platform_info;

typedef struct drm_device {
    char **nodes;
    int available, bus_type;
    void *bus, *info;
} drm_device;

/* One allocation, which begins with the part that the driver knows. */
typedef struct found {
    drm_device device;
    char *nodes[NODES];
    char path[NODES][sizeof(node_path)];
    pci_bus bus;
    pci_info info;
    platform_bus platform;
    platform_info platform_info;
    char *compatible[2];           /* a list that ends with NULL */
    char text[64];
} found;

static int find_device(drm_device **out)
{
    found *f = card != NULL ? calloc(1, sizeof(*f)) : NULL;
    if (f == NULL)
        return card != NULL ? -ENOMEM : -ENODEV;
    f->bus = (pci_bus){.bus = 1};
    f->info = (pci_info){.vendor = card->vendor, .device = card->device, .revision = card->revision};
    for (int i = 0; i < NODES; i++)
        f->nodes[i] = f->path[i];  /* drivers look up what is not there, too */
    memcpy(f->path[NODE_RENDER], node_path, sizeof(node_path));
    f->device = (drm_device){
        .nodes = f->nodes, .available = 1 << NODE_RENDER, .bus_type = BUS_PCI, .bus = &f->bus, .info = &f->info};
    if (card->compatible != NULL) {
        snprintf(f->platform.name, sizeof(f->platform.name), "/soc/gpu@0");
        snprintf(f->text, sizeof(f->text), "%s", card->compatible);
        f->compatible[0] = f->text;
        f->platform_info.compatible = f->compatible;
        f->device.bus_type = BUS_PLATFORM;
        f->device.bus = &f->platform;
        f->device.info = &f->platform_info;
    }
    *out = &f->device;
    return 0;
}

int drmGetDevices2(uint32_t flags, drm_device **list, int capacity);
int drmGetDevice2(int fd, uint32_t flags, drm_device **out);
int drmGetDeviceFromDevId(uint64_t id, uint32_t flags, drm_device **out);
void drmFreeDevice(drm_device **device);
void drmFreeDevices(drm_device **list, int count);

int drmGetDevices2(uint32_t flags, drm_device **list, int capacity)
{
    (void)flags;
    if (card == NULL)
        return 0;
    if (list == NULL || capacity < 1)
        return 1;
    const int error = find_device(list);
    return error != 0 ? error : 1;
}

int drmGetDevice2(int fd, uint32_t flags, drm_device **out)
{
    (void)fd;
    (void)flags;
    return find_device(out);
}

int drmGetDeviceFromDevId(uint64_t id, uint32_t flags, drm_device **out)
{
    (void)id;
    (void)flags;
    return find_device(out);
}

void drmFreeDevice(drm_device **device)
{
    free(*device);
    *device = NULL;
}

void drmFreeDevices(drm_device **list, int count)
{
    for (int i = 0; i < count; i++)
        drmFreeDevice(&list[i]);
}

/* --------------------------------------------------------------- ioctl() */

static void give_text(const char *text, char *to, __kernel_size_t *capacity)
{
    const size_t bytes = strlen(text);
    if (to != NULL)
        memcpy(to, text, bytes < *capacity ? bytes : *capacity);
    *capacity = bytes;
}

static int give_version(struct drm_version *out)
{
    out->version_major = card->version[0];
    out->version_minor = card->version[1];
    out->version_patchlevel = card->version[2];
    give_text(card->driver, out->name, &out->name_len);
    give_text("0", out->date, &out->date_len);
    give_text("a card that is not there", out->desc, &out->desc_len);
    return 0;
}

static int give_capability(struct drm_get_cap *out)
{
    out->value = out->capability == DRM_CAP_SYNCOBJ || out->capability == DRM_CAP_SYNCOBJ_TIMELINE;
    return 0;
}

static int create_syncobj(struct drm_syncobj_create *out)
{
    out->handle = shim_name();
    return 0;
}

/* Whatever a driver waits for has come about. */
static int give_points(const struct drm_syncobj_timeline_array *in)
{
    uint64_t *points = (uint64_t *)(uintptr_t)in->points;
    for (uint32_t i = 0; i < in->count_handles; i++)
        points[i] = UINT64_MAX >> 1;
    return 0;
}

static int answer(unsigned long request, void *data)
{
    const unsigned number = _IOC_NR(request);
    if (number >= DRM_COMMAND_BASE && number < DRM_COMMAND_END)
        return card->command(card, number - DRM_COMMAND_BASE, data, _IOC_SIZE(request));
    switch (number) {
    case _IOC_NR(DRM_IOCTL_VERSION): return give_version(data);
    case _IOC_NR(DRM_IOCTL_GET_CAP): return give_capability(data);
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_CREATE): return create_syncobj(data);
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_QUERY): return give_points(data);
    case _IOC_NR(DRM_IOCTL_GEM_CLOSE):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_DESTROY):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_WAIT):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_RESET):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_SIGNAL):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_TRANSFER): return 0;
    default: return EINVAL;
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    if (_IOC_TYPE(request) != DRM_IOCTL_BASE || card == NULL)
        return (int)syscall(SYS_ioctl, fd, request, data);
    const int error = answer(request, data);
    if (error != 0 && getenv("PUMICE_SHIM_TRACE") != NULL)
        fprintf(stderr, "shim: ioctl %#x: %s\n", (unsigned)_IOC_NR(request), strerror(error));
    errno = error != 0 ? error : errno;
    return error == 0 ? 0 : -1;
}
