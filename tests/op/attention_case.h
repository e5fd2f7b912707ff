/* op/attention_case.h - sequences whose keys and values lie in pages, for tests of attention.
 *
 * Keys and values go into the pages through rope_kv, and what lies there afterwards is compared
 * word by word with plain C: values to the bit, keys to the bit where they are not rotated,
 * everything else untouched. Sequences have shuffled pages with holes between them, may share their
 * first pages, and rows that decode stand beside rows of prompt chunks. */
#ifndef PM_TEST_OP_ATTENTION_CASE_H
#define PM_TEST_OP_ATTENTION_CASE_H

#include "op/suite.h"

#include "op/kv_layout.h"

#define CASE_SEQS 8u
#define CASE_ROWS 1024u

/* One case: sequences with `past` tokens in KV and `fresh` rows in this batch. */
typedef struct attention_case {
    uint32_t heads, kv_heads, head_dim, page_tokens, seqs;
    uint32_t past[CASE_SEQS], fresh[CASE_SEQS];
    uint32_t shared_pages;         /* of sequence 0, which the others begin with */
    uint32_t window, rotary_dim;
    pm_kv_type type;
    bool neox;
    input_kind kind, q_kind;       /* of K and V; of Q */
    float q_scale;                 /* 0 = 1 */
    bool both;                     /* deterministic variants too */
    bool every;                    /* variants that else few cases have, too */
} attention_case;

typedef struct attention_data {
    pm_kv_layout layout;
    uint32_t rows, rows_max, pages, table_stride, tokens; /* tokens: of the longest sequence */
    uint32_t row_seq[CASE_ROWS], row_start[CASE_SEQS + 1], kv_len[CASE_SEQS], positions[CASE_ROWS];
    uint32_t *tables;              /* [seqs, table_stride] */
    float *k, *v;                  /* [seqs, tokens, kv_heads * head_dim] as the pages hold them */
    float *raw_k, *raw_v;          /* and before */
    float *q;                      /* [rows, heads * head_dim] rotated, as the device made it */
    uint8_t *image;                /* what the pages must hold */
    test_buffer kv;
} attention_data;

/* Pages filled and checked, Q rotated. */
void attention_fill(const attention_case *c, attention_data *d);
void attention_finish(attention_data *d);

#endif /* PM_TEST_OP_ATTENTION_CASE_H */
