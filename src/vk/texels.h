/* vk/texels.h - slices that shaders read as buffer textures. Floor 1.
 *
 * Where PM_CAP_TEXELS is: a load of 16 bytes from an address is a loop over lanes and words in
 * Mesa's llvmpipe (22.3), a texel is one load of a vector for each lane.
 */
#ifndef PM_VK_TEXELS_H
#define PM_VK_TEXELS_H

#include "vk/buffer.h"
#include "vk/caps.h"

#define PM_VK_TEXELS_MAX 4         /* of one pipeline */

typedef enum pm_vk_texel_format { PM_VK_TEXEL_U32, PM_VK_TEXEL_U32X4, PM_VK_TEXEL_F32X4 } pm_vk_texel_format;

/* At most pm_vk_caps.texels_max texels, the last one whole, from a multiple of PM_VK_ALIGNMENT on. */
typedef struct pm_vk_texels {
    pm_slice slice;
    pm_vk_texel_format format;
} pm_vk_texels;

/* Whether the slice can be read so on this device. One without bytes, of a shape alone, does. */
bool pm_vk_texels_fit(const pm_vk_caps *caps, pm_vk_texels texels);

#endif /* PM_VK_TEXELS_H */
