/* measure/tune_list.c - pm_tune_list(): what engines take on a device in place of their usual choices. */
#include "op/choice_file.h"
#include "op/preset.h"

#include <string.h>

static pm_result tell(const pm_vk_device *device, const pm_choices *choices, pm_tune_list_sink *sink, void *context)
{
    const char *family = pm_preset_family(pm_vk_device_info(device), pm_vk_device_caps(device));
    bool more = true;
    for (uint32_t i = 0; i < choices->count && more; i++) {
        const pm_choice *c = &choices->list[i];
        pm_str line = {0};
        const pm_result result = pm_choice_print(c, &line);
        if (result == PM_OK) {
            line.data[strcspn(line.data, "\n")] = '\0';
            more = sink(context, c->is_preset ? family : "tuned", line.data);
        }
        pm_str_finish(&line);
        PM_TRY(result);
    }
    return PM_OK;
}

pm_result pm_tune_list(const char *selector, pm_tune_list_sink *sink, void *context)
{
    pm_vk_device *device = NULL;
    pm_choices choices = {0};
    PM_TRY(pm_vk_device_open(selector, false, &device));
    pm_result result = pm_choices_load(device, &choices);
    if (result == PM_OK)
        result = tell(device, &choices, sink, context);
    pm_choices_finish(&choices);
    pm_vk_device_close(device);
    return result;
}
