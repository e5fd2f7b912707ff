/* op/texels.h - which ops of single rows read buffer textures. Floor 2.
 *
 * Where lanes are those of a vector (Mesa's llvmpipe), a load or store by address is a loop over lanes and words: on
 * such a CPU driver rmsnorm, swiglu, rope_kv and argmax have shaders <op>_texels.comp of one subgroup, which read
 * textures and store words of 64 bits. Shapes that they do not take are left to the others. */
#ifndef PM_OP_TEXELS_H
#define PM_OP_TEXELS_H

#include "vk/texels.h"

/* Lanes of a workgroup of the shaders that read textures, 0 where there are none, as on every GPU. All of a subgroup: a
 * loop of llvmpipe goes on for what lanes of a vector belong to no invocation, too, whose bounds are anything. */
static inline uint32_t pm_texels_lanes(const pm_vk_caps *caps)
{
    const uint32_t lanes = caps->subgroup_min;
    return caps->is_cpu && (lanes == 4 || lanes == 8 || lanes == 16) ? lanes : 0;
}

/* Whether all[0 .. count - 1], each of f32 by four, can be read so; copies them to out where they can. */
static inline bool pm_op_texels(const pm_vk_caps *caps, const pm_slice *all, uint32_t count, pm_vk_texels *out)
{
    const uint32_t wanted = PM_CAP_BIT(TEXELS) | PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(INT64);
    if (pm_texels_lanes(caps) == 0 || (caps->bits & wanted) != wanted)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        out[i] = (pm_vk_texels){pm_slice_part(all[i], 0, all[i].bytes / 16 * 16), PM_VK_TEXEL_F32X4};
        if (out[i].slice.bytes == 0 || !pm_vk_texels_fit(caps, out[i]))
            return false;
    }
    return true;
}

#endif /* PM_OP_TEXELS_H */
