/* op/embedding.h - y[r,:] = W[token[r],:]. Floor 2. */
#ifndef PM_OP_EMBEDDING_H
#define PM_OP_EMBEDDING_H

#include "op/weight.h"

typedef struct pm_embedding {
    pm_weight weight;              /* [vocab, dim] packed, so that a tied output shares it */
    pm_slice tokens;               /* [rows_max] u32, each < vocab (the host checked) */
    pm_slice y;                    /* [rows_max, y_stride] f32; pads up to the stride get zeros */
    pm_slice rows;                 /* u32 rows present */
    uint32_t rows_max, y_stride;
} pm_embedding;

PM_MUST_USE pm_result pm_embedding_record(pm_vk_recorder *recorder, const pm_embedding *e);

#endif /* PM_OP_EMBEDDING_H */
