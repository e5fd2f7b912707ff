/* measure/tune.h - which of an op's free choices are best on a device, by time. Floor 4.
 *
 * The rows of the ops' variant tables that serve a shape, with the lanes, slices and splits that they can have,
 * race the one that an engine would take (measure/race.h); what wins is held to plain C in double
 * (verify/check.h) before it is believed. The most frequent comes first: one row that decodes, then 16 rows and a
 * prompt's, then what lies between; what the time does not reach stays as it is. Choices that are left alone:
 * the tiles of cooperative matrices, which follow from the device's own list, and decoding of several sequences
 * in attention, where no check makes such a batch. */
#ifndef PM_MEASURE_TUNE_H
#define PM_MEASURE_TUNE_H

#include "op/choice.h"
#include "op/kv_layout.h"
#include "op/weight.h"

#define PM_TUNE_WEIGHTS_MAX 64u

typedef struct pm_tune_weight {
    pm_dtype type;
    uint32_t n, k;
    uint32_t count;                /* that one pass reads */
} pm_tune_weight;

typedef struct pm_tune_model {
    pm_tune_weight weights[PM_TUNE_WEIGHTS_MAX];
    uint32_t weight_count;
    pm_kv_layout layout;
    uint32_t heads, dim, hidden, layers;
    uint32_t context;              /* tokens */
    bool every;                    /* shapes are samples of all: a choice must win on each of a type */
} pm_tune_model;

/* Shapes and types that are in most files, by the kind of device. */
void pm_tune_common(const pm_vk_caps *caps, pm_kv_type kv_type, pm_tune_model *out);

/* Measures; puts winners into `choices` in place of what was there for the same, and takes out what no longer
 * wins. The device must be opened to profile, and have no choices of its own (pm_vk_device_choose()).
 * params: seconds and progress. sink: may stop it. *summary: its counts and seconds are set.
 * Errors: those of the device and of memory, PM_ERR_FULL. */
PM_MUST_USE pm_result pm_tune_measure(pm_vk_device *device, const pm_tune_model *model, const pm_tune_params *params,
                                      pm_tune_sink *sink, void *context, pm_choices *choices,
                                      pm_tune_summary *summary);

#endif /* PM_MEASURE_TUNE_H */
