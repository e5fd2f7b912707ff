/* op/matmul_numerics.h - what each matmul variant computes with, and how far it may be off.
 *
 * A variant belongs to the longest prefix of its name below; one that no prefix names fails the
 * suite, so that a new row of the op's table brings its bound. Bounds are twice the worst
 * that was measured, or half a unit of the format where that is larger. */
#ifndef PM_TEST_OP_MATMUL_NUMERICS_H
#define PM_TEST_OP_MATMUL_NUMERICS_H

#include "op/harness.h"

#include <string.h>

typedef enum matmul_numerics {
    MATMUL_F32,                    /* x and the exact weights in f32 */
    MATMUL_F16,                    /* x and weights rounded to f16, products and sums in f32 */
    MATMUL_INT8,                   /* x rounded to 8 bits in blocks of 32 */
    MATMUL_NUMERICS
} matmul_numerics;

/* |error| <= rtol * size, size = sum |x_j w_j|; MATMUL_INT8: size = sum over blocks of
 * max |x| sum |w|, of which half a unit of x is 1/254. */
static const struct matmul_bound {
    const char *prefix;
    matmul_numerics numerics;
    double rtol;
} matmul_bounds[] = {
    {"rows", MATMUL_F32, 3e-6},
    {"lanes", MATMUL_F32, 3e-6},
    {"texels", MATMUL_F32, 3e-6},
    {"tile", MATMUL_F32, 3e-6},
    {"tile64_f16", MATMUL_F16, 0x1p-10 + 1.5e-6},
    {"coopmat", MATMUL_F16, 0x1p-10 + 1.5e-6},
    {"dot", MATMUL_INT8, 1.0 / 254 + 1.5e-6},
};

static inline const struct matmul_bound *matmul_bound_of(const char *variant)
{
    const struct matmul_bound *best = NULL;
    for (size_t i = 0; i < sizeof(matmul_bounds) / sizeof(matmul_bounds[0]); i++) {
        const size_t length = strlen(matmul_bounds[i].prefix);
        if (strncmp(variant, matmul_bounds[i].prefix, length) == 0 &&
            (best == NULL || length > strlen(best->prefix)))
            best = &matmul_bounds[i];
    }
    if (best == NULL)
        fail_msg("variant %s: matmul_bounds[] of tests/op/matmul_numerics.h has no bound for it", variant);
    return best;
}

#endif /* PM_TEST_OP_MATMUL_NUMERICS_H */
