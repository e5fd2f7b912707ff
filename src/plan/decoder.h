/* plan/decoder.h - the forward pass of a decoder, as a list of dispatches. Floor 4.
 *
 * One pass serves every batch: rows of tokens from many sequences, decoding and prompt
 * chunks mixed. Tokens that the batch before is picking are put in where it left them.
 * Per layer, with x the residual stream [rows, dim]:
 *
 *   normed = rmsnorm(x += last)           qkv  = normed Wqkv^T + b
 *   rotate q, k; store k, v in pages      mix  = attention(q, pages)
 *   last   = mix Wo^T + b                 normed = rmsnorm(x += last)
 *   act    = swiglu(normed Wgu^T)         last = act Wd^T
 *
 * and then the head, for the rows whose logits are wanted,
 *   logits = rmsnorm(x += last)[out_rows] Wout^T      token = argmax(logits), or a draw.
 *
 * Body and head are recorded apart, for as many rows each as they have: a prompt of 512
 * rows has logits of one, or of none when it goes on in the next step.
 */
#ifndef PM_PLAN_DECODER_H
#define PM_PLAN_DECODER_H

#include "model/weights.h"
#include "plan/kv_store.h"
#include "plan/step.h"
#include "vk/record.h"

/* Device memory between dispatches, shared by all plans: they run one at a time. Row
 * strides are pm_row_stride() of the width; [rows_max, .] unless said otherwise. */
typedef struct pm_activations {
    pm_vk_buffer *buffer;          /* owned */
    pm_slice x, normed, last;      /* dim */
    pm_slice qkv;                  /* (heads + 2 kv_heads) * head_dim */
    pm_slice mix;                  /* heads * head_dim */
    pm_slice gate_up;              /* 2 * hidden */
    pm_slice act;                  /* hidden */
    pm_slice x_q8;                 /* the x of a matmul in 8-bit blocks, where one reads it */
    pm_slice logits;               /* [outs_max, vocab] */
    pm_slice saved_logits;         /* op/sample.h's */
    pm_slice scratch;              /* attention's */
} pm_activations;

typedef struct pm_decoder {
    const pm_hparams *hparams;
    const pm_weights *weights;
    const pm_kv_store *kv;
    const pm_step *step;
    pm_activations activations;
    pm_slice picked;               /* [outs_max] u32, PM_VK_READBACK */
    pm_slice picked_before;        /* those of the batch before */
    pm_slice pick_flags;           /* [outs_max] u32, PM_VK_READBACK: see op/sample.h */
    pm_slice logprobs;             /* [outs_max] pm_sample_logprobs, PM_VK_READBACK */
    uint32_t context;              /* tokens of the longest sequence */
    bool deterministic;            /* each op's order of additions is the same in every bucket */
} pm_decoder;

/* What one body is recorded for. */
typedef struct pm_bucket {
    uint32_t rows;                 /* most rows */
    uint32_t seqs;                 /* most sequences */
    bool decode;                   /* each sequence has one row */
} pm_bucket;

/* scratch_bytes: what attention needs at most, see pm_decoder_scratch_bytes().
 * Errors: PM_ERR_DEVMEM, PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_activations_init(pm_activations *a, pm_vk_device *device, const pm_hparams *h,
                                          uint32_t rows_max, uint32_t outs_max, uint32_t edits_max,
                                          uint64_t scratch_bytes);
void pm_activations_finish(pm_activations *a);

uint64_t pm_decoder_scratch_bytes(const pm_vk_caps *caps, const pm_decoder *decoder, const pm_bucket *bucket);

/* Records the pass up to the last layer. Errors: PM_ERR_UNSUP, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_decoder_record_body(pm_vk_recorder *recorder, const pm_decoder *decoder,
                                             const pm_bucket *bucket);

/* Records the ways of pages that go before the rows: to host memory, back from it, and within
 * the pool. Errors: as above. */
PM_MUST_USE pm_result pm_decoder_record_moves(pm_vk_recorder *recorder, const pm_decoder *decoder);

/* Records the rest for at most `outs` rows with logits. Errors: as above. */
PM_MUST_USE pm_result pm_decoder_record_head(pm_vk_recorder *recorder, const pm_decoder *decoder, uint32_t outs);

/* The same with tokens picked as step->samples say, and their log-probabilities. */
PM_MUST_USE pm_result pm_decoder_record_sampling_head(pm_vk_recorder *recorder, const pm_decoder *decoder, uint32_t outs);

#endif /* PM_PLAN_DECODER_H */
