/* engine/recover.c - life after VK_ERROR_DEVICE_LOST.
 *
 * Drivers end submissions that take too long, and everything on the device goes with them.
 * What a sequence is, its tokens, is on the host: on the device opened again it computes
 * them anew, as after a preemption, and its text goes on where it was. */
#include "engine/engine_impl.h"

#include "base/log.h"

/* The files are read again: weights are not kept on the host. */
static pm_result reopen(pm_engine *e)
{
    pm_model_file *file = NULL, *draft = NULL;
    pm_engine_close_device(e);
    pm_result result = pm_model_file_open(e->params.model_path, &file);
    if (result == PM_OK && e->params.draft_path != NULL)
        result = pm_model_file_open(e->params.draft_path, &draft);
    if (result == PM_OK)
        result = pm_engine_open_device(e, pm_model_file_gguf(file), draft != NULL ? pm_model_file_gguf(draft) : NULL);
    pm_model_file_close(draft);
    pm_model_file_close(file);
    return result;
}

/* tell: those that are known; what has been submitted since goes on, and events have room for no more. Else all. */
static void end_all(pm_engine *e, bool tell)
{
    if (!tell)
        pm_engine_admit(e);
    while (e->requests != NULL) {
        if (tell)
            pm_engine_finish(e, e->requests, PM_FINISH_ERROR, PM_ERR_LOST);
        else
            pm_engine_end(e, e->requests);
    }
}

pm_result pm_engine_recover(pm_engine *e, pm_result failure)
{
    pm_result result = failure;
    e->flight = (pm_flight){0};
    pm_sched_reset(e->sched);
    pm_draft_reset(&e->draft, e->requests);
    if (failure == PM_ERR_LOST) {
        pm_warn("%s: the device is lost (%s), opening it again", e->info.device, pm_error_message());
        result = reopen(e);
        pm_pace_reopen(&e->pace);
    }
    if (result != PM_OK) {
        atomic_store(&e->lost, true);
        end_all(e, false);
        if (failure == PM_ERR_LOST)
            pm_error_prefix("the device was lost and could not be opened again");
        return failure;
    }
    e->counts.device_losses++;
    if (e->params.fail_on_loss)
        end_all(e, true);
    return PM_OK;
}
