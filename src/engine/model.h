/* engine/model.h - a model and what of it is on the device. Floor 5. */
#ifndef PM_ENGINE_MODEL_H
#define PM_ENGINE_MODEL_H

#include "plan/plan.h"

typedef struct pm_model {
    /* read once, from its file */
    pm_hparams hparams;
    pm_kv_layout layout;

    /* on the device: engine/machine.c makes them, again when the device is lost */
    pm_weights weights;
    pm_kv_store kv;
    pm_plans *plans;
} pm_model;

#endif /* PM_ENGINE_MODEL_H */
