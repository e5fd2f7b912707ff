/* verify/vectors.h - recorded results of the references in double. Floor 3.
 *
 * For each shape the expected values of a few elements, with the sums of |terms| that made
 * them, and one sum over all elements with signs by place, so that no element goes unseen.
 * Inputs are made by seed (verify/input.h), the same on every machine. vectors.c is written
 * by pumice-make-vectors; the test unit.vectors holds it to the references of today.
 */
#ifndef PM_VERIFY_VECTORS_H
#define PM_VERIFY_VECTORS_H

#include "verify/check.h"

#define PM_VECTOR_SAMPLES 12u

typedef struct pm_vector {
    const char *name;              /* "matmul q4_k 5x70x512" */
    double sum, sum_size;          /* of sign * element, and of the elements' sizes */
    double value[PM_VECTOR_SAMPLES], size[PM_VECTOR_SAMPLES];
} pm_vector;

extern const pm_vector pm_vectors[];
extern const uint32_t pm_vector_count;

/* NULL when none is recorded for the check's op, type and shape, or it has a seed. */
const pm_vector *pm_vector_find(const pm_check *check);

void pm_vector_name(const pm_check *check, char *text, size_t capacity);

/* Which of `count` elements sample j is, and the sign of element i in the sum. */
uint64_t pm_vector_place(uint32_t j, uint64_t count);
double pm_vector_sign(uint64_t i);

#endif /* PM_VERIFY_VECTORS_H */
