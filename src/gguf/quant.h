/* gguf/quant.h - values to blocks, in plain C. Floor 1.
 *
 * Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 without importance are the reference rounding of the
 * format, bit for bit: the scale from the extreme value, quants from the unrounded scale.
 * Everything else is fitted (gguf/fit.h): with importance, or where the format leaves the
 * choice, the scales that make sum importance * (x - y)^2 small. That is the expected square
 * of the error that a row adds to its output, when importance is the mean square of the
 * activation it meets; without importance all activations count the same.
 *
 * A block depends on its own values and importance only.
 */
#ifndef PM_GGUF_QUANT_H
#define PM_GGUF_QUANT_H

#include "gguf/dtype.h"

/* The greatest magnitude that pm_quant_row() takes for a type whose scale is an f16. */
#define PM_QUANT_VALUE_MAX 65504.0f

/* True when pm_quant_row() knows the type. */
bool pm_dtype_can_quant(pm_dtype type);

/* count values, a multiple of the type's block, into its file layout; blocks may lie at any
 * byte. importance: [count], finite and not negative, in any unit, or NULL. Asserts
 * pm_dtype_can_quant(). The values must pass pm_quant_bad_value(). */
void pm_quant_row(pm_dtype type, const float *values, const float *importance, void *blocks, uint64_t count);

/* The first of count values that the type cannot hold: not finite, or too great. count when
 * there is none. */
uint64_t pm_quant_bad_value(pm_dtype type, const float *values, uint64_t count);

/* One block each, for the table in quant.c; weights: [block], sum about the block's size, or
 * NULL for the types that take none. */
typedef void pm_quant_block(const float *values, const float *weights, void *block);
pm_quant_block pm_quant_q4_0, pm_quant_q4_1, pm_quant_q5_0, pm_quant_q5_1, pm_quant_q8_0, pm_quant_mxfp4;
pm_quant_block pm_quant_q2_k, pm_quant_q3_k, pm_quant_q4_k, pm_quant_q5_k, pm_quant_q6_k;
pm_quant_block pm_quant_iq4_nl, pm_quant_iq4_xs;

#endif /* PM_GGUF_QUANT_H */
