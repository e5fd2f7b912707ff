/* measure/list.h - which ops, types, variants and shapes a benchmark runs. Floor 4, inside measure/ only. */
#ifndef PM_MEASURE_LIST_H
#define PM_MEASURE_LIST_H

#include "verify/check.h"

/* Those that the device can run. Errors: PM_ERR_ARG (a name that is none; lists them), PM_ERR_UNSUP
 * (nothing is left), PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_bench_list_make(const pm_bench_params *params, const pm_vk_caps *caps, pm_check_list *out);

/* True when the check's variant is the one that an engine would take. */
bool pm_bench_picked(const pm_check *check, const pm_vk_caps *caps);

#endif /* PM_MEASURE_LIST_H */
