/* verify/start.h - the self-test when an engine starts. Floor 3.
 *
 * Before anything recorded is believed, each kernel that the engine is about to use is run once on
 * seeded inputs and held to plain C in double (verify/check.h). A variant that fails, or that the
 * driver does not compile, is
 * switched off on this device, for that type, with a warning that names driver and variant;
 * what is picked in its place is then tested in turn. The results are kept in a file beside
 * the pipeline cache, for this device, driver and set of shaders: the next start reads them.
 * On a CPU driver, whose queues compile and compute on threads of their own, the test runs beside the engine's
 * start, on its device, so that a kernel's pipeline is made once; elsewhere it is over when its beginning returns.
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
    const uint32_t *rows;          /* [row_count] those of the passes that are about to be made; NULL = of any step */
    uint32_t row_count;
    uint32_t heads, window;
    bool neox;                     /* rotary pairs (i, i + rotary_dim / 2), else (2i, 2i + 1) */
    pm_kv_layout layout;
    bool deterministic;            /* see pm_engine_params */
} pm_start;

typedef struct pm_start_test pm_start_test;

/* start: copied. *out: for pm_start_test_end(), which must come before anything that was recorded
 * for `device` meanwhile is believed; NULL where PUMICE_VERIFY=0.
 * Errors: PM_ERR_UNSUP (no variant for an op), PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_start_test_begin(pm_vk_device *device, const pm_start *start, pm_start_test **out);

/* Whether it runs on threads of its own. NULL: false. */
bool pm_start_test_is_beside(const pm_start_test *test);

/* Waits for the test, switches off what is wrong, and frees it. NULL is fine.
 * meanwhile: how what went on since the beginning ended; a failure of that is returned, with its message.
 * *changed: something was switched off since pm_start_test_begin() returned: what was recorded is to be
 * recorded again.
 * Errors: PM_ERR_UNSUP (no variant is left for an op, or an op that has but one way is wrong;
 * names it and the driver), and those of devices and memory. */
PM_MUST_USE pm_result pm_start_test_end(pm_start_test *test, pm_result meanwhile, bool *changed);

#endif /* PM_VERIFY_START_H */
