/* op/matmul.h - y = x W^T + bias, for any number of rows. Floor 2. */
#ifndef PM_OP_MATMUL_H
#define PM_OP_MATMUL_H

#include "op/quantise.h"
#include "op/weight.h"

typedef struct pm_matmul {
    pm_weight weight;              /* [n, k] */
    pm_slice bias;                 /* [n] f32, or no slice */
    pm_slice x;                    /* [rows_max, x_stride] f32; floats k .. round_up(k, 32) - 1
                                      of each row are zero */
    pm_slice x_q8;                 /* x quantised by op/quantise.h before, for the variants that
                                      are PM_MATMUL_INT8; without it they do not fit. To ask which
                                      variant would run, its bytes are enough */
    pm_slice y;                    /* [rows_max, y_stride] f32: columns 0 .. n - 1 are written */
    pm_slice rows;                 /* u32: rows present, <= rows_max; read on the device */
    uint32_t rows_max;             /* >= 1: the plan's bucket */
    uint32_t x_stride, y_stride;   /* floats; x_stride a multiple of PM_ROW_ALIGN */
    uint32_t slices;               /* parts of k that are summed side by side, a power of two up to
                                      8; 0 = by shape and device. Only families of which a lane owns an
                                      output look at it */
    uint32_t lanes;                /* of a subgroup, which are the outputs of a workgroup; a power of two from
                                      subgroup_min to subgroup_max; 0 = by device. Likewise */
    bool deterministic;            /* the order of additions must not depend on rows_max */
} pm_matmul;

/* What a variant computes with; sums are f32 in all. Orders of addition and
 * tolerances: the shaders' headers. */
typedef enum pm_matmul_numerics {
    PM_MATMUL_F32,                 /* x and the exact weights in f32 */
    PM_MATMUL_MATRIX,              /* x, scaled by row into f16's range, and weights rounded to f16; f32 sums */
    PM_MATMUL_INT8,                /* exact weights; x rounded to 8 bits in blocks of 32, exact integer sums in a block */
} pm_matmul_numerics;

/* Picks a variant by rows_max, shape and caps (matmul_variants[] in matmul.c; what was
 * found best on this device goes before, see op/choice.h; PUMICE_VARIANT=matmul:<name> forces one)
 * and records it. Rows past the count in `rows` cost next to nothing and are not written.
 * Errors: PM_ERR_UNSUP (no variant for this type on this device, or the forced
 * one does not fit; says what it lacks), PM_ERR_ARG (forced variant unknown). */
PM_MUST_USE pm_result pm_matmul_record(pm_vk_recorder *recorder, const pm_matmul *m);

/* The variant that pm_matmul_record() would take: the forced one, else of those that fit and are
 * not off (op/variant.h) the one for this device and so many rows. Shapes, caps and whether
 * there is x_q8 decide; nothing is read. Errors: as above. */
PM_MUST_USE pm_result pm_matmul_pick(const pm_vk_caps *caps, const pm_matmul *m, uint32_t *index);

/* Bytes of x_q8 for any matmul of at most rows_max rows and k inputs on this device;
 * 0 where no variant that would be chosen reads it. */
uint64_t pm_matmul_x_q8_bytes(const pm_vk_caps *caps, uint32_t rows_max, uint32_t k);

/* Names of the variants, in the table's order; NULL past the last. Tests walk it. */
const char *pm_matmul_variant(uint32_t index);

/* "packed dot products of x in 8-bit blocks", and without what it cannot run. Static storage. */
const char *pm_matmul_variant_text(uint32_t index);
const char *pm_matmul_variant_needs(uint32_t index);
pm_matmul_numerics pm_matmul_variant_numerics(uint32_t index);

/* Rows of x for which variant `index` reads the weights once. */
uint32_t pm_matmul_variant_rows(uint32_t index);

/* Rows of y that variant `index`, recorded for rows_max, computes when so many are present: to its chunk, or
 * its tile. */
uint32_t pm_matmul_variant_computes(uint32_t index, uint32_t rows_max, uint32_t rows);

/* What variant `index` needs and this device or build lacks for m, in words; NULL = nothing. */
const char *pm_matmul_variant_lacks(uint32_t index, const pm_vk_caps *caps, const pm_matmul *m);

/* True when it lacks nothing. */
bool pm_matmul_variant_fits(uint32_t index, const pm_vk_caps *caps, const pm_matmul *m);

/* The lanes and slices that variant `index` would be recorded with for m; 0 where its shader has none to choose. */
void pm_matmul_variant_split(uint32_t index, const pm_vk_caps *caps, const pm_matmul *m, uint32_t *lanes,
                             uint32_t *slices);

/* Records variant `index`. Errors: PM_ERR_UNSUP (it does not fit; says what it lacks). */
PM_MUST_USE pm_result pm_matmul_record_variant(pm_vk_recorder *recorder, const pm_matmul *m, uint32_t index);

#endif /* PM_OP_MATMUL_H */
