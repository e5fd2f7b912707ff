/* verify/shapes.h - the shapes that `pumice verify` runs. Floor 3.
 *
 * Those of a quick run come first in each list: results are recorded for them
 * (verify/vectors.h). Type and variant are filled in by who uses them. Rows, outputs and
 * widths are mostly no multiples of what kernels work in.
 */
#ifndef PM_VERIFY_SHAPES_H
#define PM_VERIFY_SHAPES_H

#include "verify/check.h"

extern const pm_check pm_shape_embedding[], pm_shape_matmul[], pm_shape_rows[], pm_shape_rope[], pm_shape_attention[];
extern const uint32_t pm_shape_embedding_count; /* the first is quick */
extern const uint32_t pm_shape_matmul_quick, pm_shape_matmul_count;
extern const uint32_t pm_shape_rows_quick, pm_shape_rows_count;
extern const uint32_t pm_shape_rope_count;      /* all are quick */
extern const uint32_t pm_shape_attention_quick, pm_shape_attention_count;

#endif /* PM_VERIFY_SHAPES_H */
