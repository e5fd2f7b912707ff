/* op/quantise.h - activations to 8-bit blocks, for the matmul variants that read them. Floor 2.
 *
 * Blocks of 32: int8 q, d in f32 and the sums of q, with x = d q to d / 2. Layout and
 * numerics: shaders/quantise.comp. All matmuls of one x share one quantisation. */
#ifndef PM_OP_QUANTISE_H
#define PM_OP_QUANTISE_H

#include "vk/record.h"

typedef struct pm_quantise {
    pm_slice x;                    /* [rows_max, x_stride] f32; floats k .. round_up(k, 32) - 1
                                      of each row are zero */
    pm_slice y;                    /* pm_quantise_bytes(); rows past the count are not written */
    pm_slice rows;                 /* u32: rows present, <= rows_max; read on the device */
    uint32_t rows_max;             /* >= 1 */
    uint32_t k;
    uint32_t x_stride;             /* floats; a multiple of PM_ROW_ALIGN */
} pm_quantise;

/* Bytes of [rows_max, k]; rows are rounded up to whole chunks. */
uint64_t pm_quantise_bytes(uint32_t rows_max, uint32_t k);

/* Errors: PM_ERR_UNSUP (grid too large), PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_quantise_record(pm_vk_recorder *recorder, const pm_quantise *q);

#endif /* PM_OP_QUANTISE_H */
