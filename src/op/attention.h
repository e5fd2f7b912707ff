/* op/attention.h - causal attention over paged KV. Floor 2.
 *
 * One call serves a mixed batch: sequences that are decoding have one query row,
 * sequences that are reading their prompt have many. The variant (decode, split
 * decode, prefill) is chosen from the shapes and the caps; see attention_variants[]
 * in attention.c; what was found best on this device goes before (op/choice.h). Block
 * tables, row counts and lengths are read on the device, so that a recorded call is
 * replayed for every step of its bucket.
 */
#ifndef PM_OP_ATTENTION_H
#define PM_OP_ATTENTION_H

#include "op/kv_layout.h"
#include "vk/record.h"

typedef struct pm_attention {
    pm_slice q;            /* [rows_max, q_stride] f32, RoPE applied; head h at h * head_dim */
    pm_slice out;          /* [rows_max, out_stride] f32; must not overlap q; floats
                              heads * head_dim .. out_stride - 1 get zeros */
    pm_slice kv;           /* this layer's pages, see op/kv_layout.h */
    pm_slice block_tables; /* [seqs_max, table_stride] u32 page ids */
    pm_slice row_seq;      /* [rows_max] u32: the row's sequence */
    pm_slice row_start;    /* [seqs_max + 1] u32; sequence s owns the query rows
                              row_start[s] .. row_start[s + 1] - 1 */
    pm_slice kv_len;       /* [seqs_max] u32 tokens in KV, this step's included */
    pm_slice rows;         /* u32 rows present = row_start[seqs] */
    pm_slice scratch;      /* pm_attention_scratch_bytes(), dead afterwards */

    pm_kv_layout layout;   /* head_dim a multiple of 8, 16..256; see pm_kv_layout_check() */
    uint32_t rows_max;     /* the plan's bucket */
    uint32_t seqs_max;
    uint32_t rows_per_seq_max; /* 1 = all decoding */
    uint32_t kv_len_max;   /* tokens: the longest context the plan must serve */
    uint32_t heads;        /* a multiple of kv_heads */
    uint32_t q_stride, out_stride, table_stride; /* floats, floats, u32s */
    float scale;           /* on q.k, usually 1 / sqrt(head_dim) */
    uint32_t window;       /* keys a row may look back over, itself included; 0 = all */
    uint32_t splits;       /* of a row's context, where it is split, 1 to 32; 0 = by shape and device */
    bool deterministic;    /* a row's bits depend on its own q, keys and kv_len_max alone */
} pm_attention;

/* Records out = softmax(mask(scale * q k^T)) v, per row and head. With
 * n = row_start[s+1] - row_start[s], row i of sequence s sees the keys
 *     max(0, e - window) .. e - 1,   e = kv_len[s] - n + i + 1.
 * Cost follows the tokens a sequence has (and its window), never the pool or
 * kv_len_max.
 *
 * Numerics: q.k and the running softmax in f32, one pass (online softmax); V is
 * summed in f32; with cooperative matrices q and the weights are f16. A split over
 * pages changes the order of that sum, so a split and an unsplit row differ in the
 * last bits: tests/op/attention_check.h bounds it. When deterministic, the sum is cut
 * into runs of a length that follows from kv_len_max, and every variant that takes it
 * (prefill_coopmat does not) merges the same runs in the same order: to the bit the
 * same in any batch, chunk and variant on one device. texels, which serves all batches where
 * it is chosen, has an order of its own with the same promise.
 * Errors: PM_ERR_UNSUP (no variant for this shape on this device; the message
 * lists the variants and what each lacked). Nothing is recorded on error.
 *
 * Source: T. Dao, "FlashAttention-2", 2023, arXiv:2307.08691, algorithm 1;
 * M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018,
 * arXiv:1805.02867; W. Kwon et al., SOSP 2023, arXiv:2309.06180 (pages). */
PM_MUST_USE pm_result pm_attention_record(pm_vk_recorder *recorder, const pm_attention *a);

/* 0 when the chosen variant needs none. Pure: shapes and caps only. */
uint64_t pm_attention_scratch_bytes(const pm_vk_caps *caps, const pm_attention *a);

/* As in op/matmul.h. */
const char *pm_attention_variant(uint32_t index);
const char *pm_attention_variant_text(uint32_t index);
const char *pm_attention_variant_needs(uint32_t index);
const char *pm_attention_variant_lacks(uint32_t index, const pm_vk_caps *caps, const pm_attention *a);
uint64_t pm_attention_variant_scratch_bytes(const pm_vk_caps *caps, const pm_attention *a, uint32_t index);
uint32_t pm_attention_variant_rows(uint32_t index, const pm_vk_caps *caps, const pm_attention *a); /* of a workgroup */
uint32_t pm_attention_variant_splits(uint32_t index, const pm_vk_caps *caps, const pm_attention *a); /* 1 = none */
bool pm_attention_variant_fits(uint32_t index, const pm_vk_caps *caps, const pm_attention *a);
PM_MUST_USE pm_result pm_attention_pick(const pm_vk_caps *caps, const pm_attention *a, uint32_t *variant);
PM_MUST_USE pm_result pm_attention_record_variant(pm_vk_recorder *recorder, const pm_attention *a, uint32_t index);

#endif /* PM_OP_ATTENTION_H */
