/* model/weights.h - a model's weights on the device, packed. Floor 3.
 *
 * Q, K and V are one linear map, gate and up another, so that one dispatch reads the
 * activations once; where their types differ (mixed files) the map has several parts
 * that write neighbouring columns.
 */
#ifndef PM_MODEL_WEIGHTS_H
#define PM_MODEL_WEIGHTS_H

#include "model/hparams.h"
#include "op/weight.h"

#define PM_LINEAR_PARTS 3

/* y = W x + b, W [n, k] made of parts stacked by rows. */
typedef struct pm_linear {
    pm_weight part[PM_LINEAR_PARTS];
    uint32_t part_count;
    uint32_t n, k;
    pm_slice bias;                 /* [n] f32, or no slice */
} pm_linear;

typedef struct pm_layer_weights {
    pm_slice attention_norm, ffn_norm; /* [dim] f32 */
    pm_linear qkv;                 /* [(heads + 2 kv_heads) * head_dim, dim] */
    pm_linear attention_out;       /* [dim, heads * head_dim] */
    pm_linear gate_up;             /* [2 * hidden, dim] */
    pm_linear down;                /* [dim, hidden] */
} pm_layer_weights;

typedef struct pm_weights {
    pm_weight embedding;           /* [vocab, dim] */
    pm_linear output;              /* [vocab, dim]; shares the embedding's memory when tied */
    pm_slice output_norm;          /* [dim] f32 */
    pm_slice rope_table;           /* [context, rotary_dim / 2, 2] f32: cos, sin */
    pm_layer_weights *layers;      /* [hparams.layers] */
    uint64_t bytes;                /* device memory held */
    uint64_t step_bytes;           /* read by one decode step: all but the embedding table */
    pm_vk_buffer **buffers;        /* owned */
    uint32_t buffer_count;
} pm_weights;

/* Types and shapes alone, before anything is loaded: slices are empty. *out: pm_weights_finish().
 * Errors: PM_ERR_FORMAT (a tensor is missing, or has another shape than expected), PM_ERR_UNSUP
 * (its type), PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_weights_describe(const pm_gguf *gguf, const pm_hparams *hparams, uint32_t context,
                                          pm_weights *out);

/* Uploads and repacks every tensor. context: positions of the rope table. give_way: threads that repack let others go
 * first, for something that takes longer is under way.
 * Errors: PM_ERR_FORMAT (a tensor is missing, or has another shape than expected),
 * PM_ERR_UNSUP (its type), PM_ERR_DEVMEM, PM_ERR_NOMEM, PM_ERR_DEVICE, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_weights_load(pm_vk_device *device, const pm_gguf *gguf, const pm_hparams *hparams,
                                      uint32_t context, pm_progress *progress, void *progress_context,
                                      bool give_way, pm_weights *out);
void pm_weights_finish(pm_weights *weights);

#endif /* PM_MODEL_WEIGHTS_H */
