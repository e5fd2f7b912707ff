/* gguf/codebook.h - the grids of the codebook types. Floor 1.
 *
 * A codebook type stores runs of 8 weights (IQ1, IQ2) or 4 (IQ3) as the number of a grid
 * point: a run of small codes, of all possible ones those that random weights use most. An
 * entry is one word, the same for plain C and for shaders:
 *
 *   IQ1_S IQ1_M, IQ2_XXS IQ2_XS IQ2_S   codes 0 .. 2: byte j has element j in its low and
 *                                       element 4 + j in its high nibble
 *   IQ3_XXS IQ3_S                       byte j is the magnitude of element j
 *
 * Which points a grid has, and their order, are facts of the format.
 */
#ifndef PM_GGUF_CODEBOOK_H
#define PM_GGUF_CODEBOOK_H

#include "gguf/dtype.h"

/* The entries of a type's grid, 256 to 2048; NULL and 0 for a type without one. They are
 * made at the first call, on any thread, and stay. */
const uint32_t *pm_codebook_get(pm_dtype type, uint32_t *count);

#endif /* PM_GGUF_CODEBOOK_H */
