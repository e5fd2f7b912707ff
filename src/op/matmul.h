/* op/matmul.h - y = x W^T + bias, for any number of rows. Floor 2. */
#ifndef PM_OP_MATMUL_H
#define PM_OP_MATMUL_H

#include "op/weight.h"

typedef struct pm_matmul {
    pm_weight weight;              /* [n, k] */
    pm_slice bias;                 /* [n] f32, or no slice */
    pm_slice x;                    /* [rows_max, x_stride] f32; floats k .. round_up(k, 32) - 1
                                      of each row are zero */
    pm_slice y;                    /* [rows_max, y_stride] f32: columns 0 .. n - 1 are written */
    pm_slice rows;                 /* u32: rows present, <= rows_max; read on the device */
    uint32_t rows_max;             /* >= 1: the plan's bucket */
    uint32_t x_stride, y_stride;   /* floats; x_stride a multiple of PM_ROW_ALIGN */
} pm_matmul;

/* Picks a variant by rows_max, shape and caps (matmul_variants[] in matmul.c;
 * PUMICE_VARIANT=matmul:<name> forces one) and records it. Rows past the count
 * in `rows` cost next to nothing and are not written.
 * Numerics: f32 products and sums in the order that the shader's header states.
 * Errors: PM_ERR_UNSUP (no variant for this type on this device; lists what each
 * lacked), PM_ERR_ARG (forced variant unknown). */
PM_MUST_USE pm_result pm_matmul_record(pm_vk_recorder *recorder, const pm_matmul *m);

/* Names of the variants, in the table's order; NULL past the last. Tests walk it. */
const char *pm_matmul_variant(uint32_t index);

/* True when variant `index` can run m on this device. */
bool pm_matmul_variant_fits(uint32_t index, const pm_vk_caps *caps, const pm_matmul *m);

/* The variant that pm_matmul_record() takes: the forced one, else of those that fit and are
 * not off (op/variant.h) the one for this device and so many rows. Errors as there. */
PM_MUST_USE pm_result pm_matmul_pick(const pm_vk_caps *caps, const pm_matmul *m, uint32_t *index);

/* Records variant `index`. */
PM_MUST_USE pm_result pm_matmul_record_variant(pm_vk_recorder *recorder, const pm_matmul *m, uint32_t index);

#endif /* PM_OP_MATMUL_H */
