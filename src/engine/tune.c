/* engine/tune.c - pm_tune(): the shapes of a model, measured, and the winners on disk. */
#include "measure/tune.h"

#include "base/env.h"
#include "model/model_file.h"
#include "model/weights.h"
#include "op/choice_file.h"

#include <stdio.h>

#define CONTEXT_MAX 4096u          /* tokens, as an engine's default */

static bool is_same(const pm_tune_weight *a, const pm_weight *b)
{
    return a->type == b->type && a->n == b->n && a->k == b->k;
}

/* At most PM_TUNE_WEIGHTS_MAX kinds: the first ones are enough. */
static void add_linear(const pm_linear *linear, pm_tune_model *out)
{
    for (uint32_t p = 0; p < linear->part_count; p++) {
        const pm_weight *w = &linear->part[p];
        uint32_t i = 0;
        while (i < out->weight_count && !is_same(&out->weights[i], w))
            i++;
        if (i == PM_TUNE_WEIGHTS_MAX)
            continue;
        if (i == out->weight_count)
            out->weights[out->weight_count++] = (pm_tune_weight){.type = w->type, .n = w->n, .k = w->k};
        out->weights[i].count++;
    }
}

static pm_result read_model(const pm_model_file *file, pm_kv_type kv_type, pm_tune_model *out)
{
    pm_hparams h;
    pm_weights shapes;
    PM_TRY(pm_hparams_read(pm_model_file_gguf(file), &h));
    *out = (pm_tune_model){.layout = {.type = kv_type, .kv_heads = h.kv_heads, .head_dim = h.head_dim,
                                      .page_tokens = 16},
                           .heads = h.heads, .dim = h.dim, .hidden = h.hidden, .layers = h.layers,
                           .context = h.context < CONTEXT_MAX ? h.context : CONTEXT_MAX};
    PM_TRY(pm_kv_layout_check(&out->layout));
    PM_TRY(pm_weights_describe(pm_model_file_gguf(file), &h, out->context, &shapes));
    for (uint32_t layer = 0; layer < h.layers; layer++) {
        const pm_layer_weights *w = &shapes.layers[layer];
        add_linear(&w->gate_up, out);
        add_linear(&w->down, out);
        add_linear(&w->qkv, out);
        add_linear(&w->attention_out, out);
    }
    add_linear(&shapes.output, out);
    pm_weights_finish(&shapes);
    return PM_OK;
}

static pm_result describe(const pm_tune_params *params, const pm_vk_caps *caps, pm_tune_model *out)
{
    if (params->model_path == NULL) {
        pm_tune_common(caps, params->kv_type, out);
        return PM_OK;
    }
    pm_model_file *file = NULL;
    PM_TRY(pm_model_file_open(params->model_path, &file));
    const pm_result result = read_model(file, params->kv_type, out);
    pm_model_file_close(file);
    return result;
}

/* What is found is for the device as it is. */
static pm_result check_switches(const pm_vk_device *device)
{
    static const pm_env switches[] = {PM_ENV_VARIANT, PM_ENV_SUBGROUP};
    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
        if (pm_env_get(switches[i]) != NULL)
            return pm_fail(PM_ERR_STATE, "%s is set: tuning is for kernels that nothing forces",
                           pm_env_name(switches[i]));
    if (pm_vk_device_caps(device)->masked != 0)
        return pm_fail(PM_ERR_STATE, "%s masks capabilities: tuning is for all that the device has",
                       pm_env_name(PM_ENV_CAPS));
    return PM_OK;
}

/* What was found before for other shapes stays. */
static pm_result tune(pm_vk_device *device, const pm_tune_params *params, pm_tune_sink *sink, void *context,
                      pm_choices *choices, pm_tune_summary *summary)
{
    pm_tune_model model;
    snprintf(summary->device, sizeof(summary->device), "%s", pm_vk_device_info(device)->name);
    snprintf(summary->driver, sizeof(summary->driver), "%s", pm_vk_device_info(device)->driver);
    PM_TRY(check_switches(device));
    PM_TRY(describe(params, pm_vk_device_caps(device), &model));
    PM_TRY(pm_vk_device_cache_path(device, "tuned", "txt", summary->path, sizeof(summary->path))); /* before the work */
    PM_TRY(pm_choices_read(device, choices));
    PM_TRY(pm_tune_measure(device, &model, params, sink, context, choices, summary));
    return pm_choices_save(device, choices, summary->path, sizeof(summary->path));
}

pm_result pm_tune(const pm_tune_params *params, pm_tune_sink *sink, void *context, pm_tune_summary *out)
{
    pm_vk_device *device = NULL;
    pm_choices choices = {0};
    pm_tune_summary summary = {0};
    if (!(params->seconds >= 0.0f && params->seconds <= PM_TUNE_SECONDS))
        return pm_fail(PM_ERR_ARG, "%g seconds, expected at most %d", (double)params->seconds, PM_TUNE_SECONDS);
    if (pm_kv_type_name(params->kv_type) == NULL)
        return pm_fail(PM_ERR_ARG, "kv_type is %d, expected a pm_kv_type", (int)params->kv_type);
    PM_TRY(pm_vk_device_open(params->device, true, &device));
    const pm_result result = tune(device, params, sink, context, &choices, &summary);
    pm_vk_device_close(device);
    pm_choices_finish(&choices);
    if (result == PM_OK)
        *out = summary;
    return result;
}
