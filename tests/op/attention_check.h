/* op/attention_check.h - attention over the pages of a case, held to double.
 *
 * Attention is compared, variant by variant, with double over exactly what the pages hold, and by
 * FlashAttention's rule with a plain float implementation over the same pages: at most twice its error
 * against double over the unrounded keys and values. Variants that round q and the weights to f16 have a
 * bound of their own, and plain f16 to be held to. */
#ifndef PM_TEST_OP_ATTENTION_CHECK_H
#define PM_TEST_OP_ATTENTION_CHECK_H

#include "op/attention_case.h"

#include "op/attention.h"

/* Of the magnitudes that ref_attention_reach() sums, whatever the type of the pages: see
 * shaders/attention.comp. Weights and products below 2^-126 may be flushed. */
#define RTOL 1e-6
#define ATOL 1e-30

/* Inputs of one recorded call, and its output. */
typedef struct attention_call {
    test_buffer q, out, tables, row_seq, row_start, kv_len, rows, scratch;
    pm_attention a;
    uint64_t out_floats;
} attention_call;

/* All rows of the data, or with row < rows that one alone, as a sequence of its own. */
attention_call attention_call_make(const attention_case *c, const attention_data *d, uint32_t variant,
                                   bool deterministic, uint32_t row);
float *attention_call_take(attention_call *call); /* its output, [out_floats]; free() */
float *attention_run(const attention_case *c, const attention_data *d, uint32_t variant, bool deterministic,
                     uint32_t row);   /* free() */

/* A variant that computes in f16. */
bool attention_is_half(uint32_t variant);

/* Variants of one order of additions agree to the bit: 1 is that of texels, 2 of 64 lanes, 0 of all others. */
#define ATTENTION_ORDERS 3
uint32_t attention_order(uint32_t variant);

/* False where the device or the case lacks what the variant needs, which is then refused and counted. */
bool attention_takes(const attention_case *c, const attention_data *d, uint32_t variant, bool deterministic);

/* Fills the case and holds each variant to it; how many took it. */
uint32_t attention_check(const attention_case *c);

/* The worst error of variants in f16, of plain f16's worst in the same case; 0 = none ran. */
double attention_half_share(void);

#endif /* PM_TEST_OP_ATTENTION_CHECK_H */
