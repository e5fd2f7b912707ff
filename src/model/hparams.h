/* model/hparams.h - a model's sizes and constants, read from GGUF and checked. Floor 3. */
#ifndef PM_MODEL_HPARAMS_H
#define PM_MODEL_HPARAMS_H

#include "gguf/gguf.h"
#include "model/arch.h"

typedef struct pm_hparams {
    const pm_arch *arch;
    uint32_t layers;               /* 1..1024 */
    uint32_t dim;                  /* embedding length, 8..65536 */
    uint32_t hidden;               /* feed-forward length */
    uint32_t heads, kv_heads;      /* heads is a multiple of kv_heads */
    uint32_t head_dim;             /* a multiple of 8, 16..256 */
    uint32_t rotary_dim;           /* even, <= head_dim */
    uint32_t vocab;                /* rows of token_embd.weight */
    uint32_t context;              /* tokens it was trained for */
    uint32_t window;               /* sliding window in tokens; 0 = none */
    float rms_epsilon;
    float rope_theta;
    float rope_factor;             /* linear scaling: positions are divided by it; 1 = none */
} pm_hparams;

/* Errors: PM_ERR_UNSUP (architecture, experts, rope scaling of another kind),
 * PM_ERR_FORMAT (a key is missing or out of range; names it). */
PM_MUST_USE pm_result pm_hparams_read(const pm_gguf *gguf, pm_hparams *out);

/* Columns of the fused Q, K, V projection. */
static inline uint32_t pm_hparams_qkv(const pm_hparams *h)
{
    return (h->heads + 2 * h->kv_heads) * h->head_dim;
}

#endif /* PM_MODEL_HPARAMS_H */
