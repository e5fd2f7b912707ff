/* offline/shim.h - cards that are not there, for Vulkan drivers that ask the kernel for theirs.
 *
 * RADV has a device without hardware; Mesa's other drivers want a DRM node. A program that links this and exports its
 * symbols answers in the kernel's place: libdrm's list has one card, whose node is a file in memory, and ioctls of DRM are
 * answered here. Buffers are parts of that file, so that opening and mapping need nothing. Enough to open a device and to
 * compile pipelines with the real compiler. All work that is submitted is done at once: it is not done at all.
 *
 * shim.c has libdrm's part and what every kernel driver is asked, shim_<driver>.c the rest.
 */
#ifndef PM_TEST_OFFLINE_SHIM_H
#define PM_TEST_OFFLINE_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct shim_card {
    const char *name;              /* as tests and tables call it */
    const char *driver;            /* the kernel's, as it calls itself */
    int version[3];                /* of the driver's interface */
    const char *compatible;        /* of the device tree's node; NULL: the card is on PCI */
    uint16_t vendor, device;       /* of PCI */
    uint8_t revision;
    uint32_t units[3];             /* i915, xe: slices, subslices of one, execution units of one of these;
                                      nouveau: clusters (GPCs), pairs of multiprocessors (TPCs) of all;
                                      asahi: clusters, cores of one */
    const void *chip;              /* what else the driver's answers want; or NULL */
    /* Answers the driver's own ioctl `number`, counted from DRM_COMMAND_BASE; data: [bytes], in and out. 0, or an errno. */
    int (*command)(const struct shim_card *card, unsigned number, void *data, size_t bytes);
} shim_card;

/* From now on the card of this name is there. False: there is none such, or this build has no shims. */
#ifdef PM_OFFLINE_SHIMS
bool shim_choose(const char *name);
#else
static inline bool shim_choose(const char *name)
{
    (void)name;
    return false;
}
#endif

/* Each driver's cards, a list that ends with one without a name. */
extern const shim_card shim_i915[], shim_xe[], shim_nouveau[], shim_asahi[];

/* For command(): buffers are granules of the node's file, in a row; none is ever used again. */
#define SHIM_GRANULE UINT64_C(0x10000)

/* Returns the buffer's handle, which times SHIM_GRANULE is its place in the file. */
uint32_t shim_buffer(uint64_t bytes);

/* A name of something that is no buffer. */
uint32_t shim_name(void);

/* The node, opened. */
int shim_node(void);

#endif /* PM_TEST_OFFLINE_SHIM_H */
