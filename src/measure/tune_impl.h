/* measure/tune_impl.h - what the files of tuning share. Floor 4, inside measure/ only. */
#ifndef PM_MEASURE_TUNE_IMPL_H
#define PM_MEASURE_TUNE_IMPL_H

#include "measure/race.h"
#include "measure/tune.h"
#include "verify/check_impl.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PM_TUNE_SAMPLES_MAX 3u
#define PM_TUNE_ITEMS_MAX 640u

/* One choice: what it is for, and the shapes that are measured for it. */
typedef struct pm_tune_item {
    pm_choice key;                 /* without variant and cut */
    pm_check sample[PM_TUNE_SAMPLES_MAX];  /* the real shapes; without variant */
    uint32_t sample_count;
} pm_tune_item;

typedef struct pm_tuner {
    pm_vk_device *device;
    const pm_vk_caps *caps;
    const pm_tune_model *model;
    const pm_tune_params *params;
    pm_tune_sink *sink;
    void *context;
    pm_choices *choices;
    pm_tune_summary *summary;
    pm_vk_buffer *scrub;
    uint64_t start_ns, end_ns;
    bool stopped;
    uint32_t count;
    pm_tune_item items[PM_TUNE_ITEMS_MAX];
} pm_tuner;

/* Ways to run an op that race each other. */
typedef struct pm_tune_ways {
    pm_check list[PM_RACE_WAYS_MAX];
    uint32_t count;
} pm_tune_ways;

/* measure/tune_items.c: all choices, in the order of their use; the check of a matrix with so many rows of x. */
void pm_tune_add_items(pm_tuner *t);
pm_check pm_tune_matmul_check(const pm_tune_weight *w, uint32_t rows);

/* measure/tune_ways.c: what an engine would take for the shape without choices, cut as it would cut it (false:
 * nothing serves); that first, then all others (false: likewise); one more, if it is new and the device has it. */
bool pm_tune_usual(const pm_tuner *t, const pm_check *sample, pm_check *out);
bool pm_tune_list_ways(const pm_tuner *t, const pm_check *sample, pm_tune_ways *w);
void pm_tune_add_way(const pm_tuner *t, pm_tune_ways *w, const pm_check *check);

/* measure/tune.c: as many outputs of a matmul as the time allows; a row for the sink. */
PM_MUST_USE pm_result pm_tune_sample_n(pm_tuner *t, const pm_check *c, uint32_t *n);
void pm_tune_tell(pm_tuner *t, const pm_tune_row *row, bool chosen);

/* measure/tune_step.c: the rows of a step, with the variants that were chosen. */
PM_MUST_USE pm_result pm_tune_run_steps(pm_tuner *t);

#endif /* PM_MEASURE_TUNE_IMPL_H */
