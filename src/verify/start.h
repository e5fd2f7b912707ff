/* verify/start.h - the self-test when an engine starts. Floor 3.
 *
 * Before anything is recorded, each kernel that the engine is about to use is run once on
 * seeded inputs and held to plain C in double (verify/check.h). A variant that fails is
 * switched off on this device, for that type, with a warning that names driver and variant;
 * what is picked in its place is then tested in turn. The results are kept in a file beside
 * the pipeline cache, for this device, driver and set of shaders: the next start reads them.
 * PUMICE_VERIFY=0 leaves the test out.
 */
#ifndef PM_VERIFY_START_H
#define PM_VERIFY_START_H

#include "op/kv_layout.h"
#include "op/weight.h"

typedef struct pm_start {
    const pm_weight *weights;      /* [weight_count] shapes of the matmuls; no memory is needed */
    uint32_t weight_count;
    pm_dtype embedding;
    uint32_t dim, hidden, vocab;
    uint32_t rows_max;             /* rows of one step */
    uint32_t heads, window;
    pm_kv_layout layout;
    bool deterministic;            /* see pm_engine_params */
} pm_start;

/* Errors: PM_ERR_UNSUP (no variant is left for an op, or an op that has but one way is wrong;
 * names it and the driver), and those of devices and memory. */
PM_MUST_USE pm_result pm_start_verify(pm_vk_device *device, const pm_start *start);

#endif /* PM_VERIFY_START_H */
