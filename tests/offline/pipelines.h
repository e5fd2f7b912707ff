/* offline/pipelines.h - every pipeline that a device's capabilities let Pumice ask for.
 *
 * The choice is the engine's own: forward passes of real model shapes are drawn for many
 * buckets and all tensor types (what it would choose), then every row of the ops' variant
 * tables that fits is drawn too (what can be forced). Nothing is submitted: the slices point
 * into memory that is not there, so that a device without hardware will do.
 */
#ifndef PM_TEST_OFFLINE_PIPELINES_H
#define PM_TEST_OFFLINE_PIPELINES_H

#include "vk/pipeline.h"

/* Asks the device for all of them, builds none. *chosen: so many, the first ones, are what
 * the engine would choose; the rest has to be forced. few: just what it would choose of the types that most files have. */
PM_MUST_USE pm_result pipelines_draw(pm_vk_device *device, bool few, uint32_t *chosen);

#endif /* PM_TEST_OFFLINE_PIPELINES_H */
