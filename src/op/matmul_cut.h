/* op/matmul_cut.h - how the cooperative-matrix shaders of matmul are cut. Floor 2, inside op/ only. */
#ifndef PM_OP_MATMUL_CUT_H
#define PM_OP_MATMUL_CUT_H

#include "op/matmul.h"
#include "vk/pipeline.h"

typedef struct pm_matmul_cut {
    uint32_t rows, outputs;        /* of one workgroup */
    pm_vk_pipeline_key key;        /* without its module */
} pm_matmul_cut;

/* matmul_coopmat.comp with a tile of `rows` rows: the device's largest matrix f16 x f16 -> f32
 * that divides it, and as many subgroups as leave enough workgroups for a wide device.
 * NULL, or what the device lacks, in words. */
const char *pm_matmul_cut_coopmat(const pm_vk_caps *caps, const pm_matmul *m, uint32_t rows, pm_matmul_cut *out);

/* matmul_coopmat2.comp: matrices of a subgroup, with a tile of `rows` rows, or 8 where the device's have no more. Likewise. */
const char *pm_matmul_cut_coopmat2(const pm_vk_caps *caps, uint32_t rows, pm_matmul_cut *out);

/* The same with matrices of a workgroup, the largest up to 256 that the device lists, with a tile of `rows` rows. Likewise. */
const char *pm_matmul_cut_coopmat2_wg(const pm_vk_caps *caps, uint32_t rows, pm_matmul_cut *out);

#endif /* PM_OP_MATMUL_CUT_H */
