/* op/attention_cut.h - how a variant of attention is cut. Floor 2, inside op/ only. */
#ifndef PM_OP_ATTENTION_CUT_H
#define PM_OP_ATTENTION_CUT_H

#include "op/attention.h"
#include "vk/pipeline.h"

typedef struct pm_attention_cut {
    uint32_t rows, heads;          /* of one workgroup */
    uint32_t splits;               /* of a row's context; 1 = none */
    pm_vk_pipeline_key key;        /* whole but for push_bytes */
} pm_attention_cut;

/* attention_coopmat.comp with the device's largest matrix f16 x f16 -> f32, and the most queries that shared memory holds.
 * NULL, or what device, build or shape lacks, in words. */
const char *pm_attention_cut_coopmat(const pm_vk_caps *caps, const pm_attention *a, pm_attention_cut *out);

#endif /* PM_OP_ATTENTION_CUT_H */
