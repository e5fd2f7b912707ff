/* engine/report.c - what an engine tells about itself. */
#include "engine/engine_impl.h"

#include "base/env.h"
#include "op/attention.h"
#include "op/matmul.h"
#include "vk/bandwidth.h"

#include <stdio.h>

const char *pm_version(void)
{
    return PUMICE_VERSION;
}

bool pm_env_describe(size_t index, const char **variable, const char **text)
{
    if (index >= PM_ENVS)
        return false;
    *variable = pm_env_name((pm_env)index);
    *text = pm_env_text((pm_env)index);
    return true;
}

bool pm_variant_describe(size_t index, const char **op, const char **name, const char **text, const char **needs)
{
    uint32_t i = 0;
    for (; pm_matmul_variant(i) != NULL; i++)
        if (i == index) {
            *op = "matmul";
            *name = pm_matmul_variant(i);
            *text = pm_matmul_variant_text(i);
            *needs = pm_matmul_variant_needs(i);
            return true;
        }
    *op = "attention";
    *name = pm_attention_variant((uint32_t)(index - i));
    *text = pm_attention_variant_text((uint32_t)(index - i));
    *needs = pm_attention_variant_needs((uint32_t)(index - i));
    return *name != NULL;
}

const pm_tokenizer *pm_engine_tokenizer(const pm_engine *engine)
{
    return engine->tokenizer;
}

void pm_engine_describe(const pm_engine *engine, pm_engine_info *out)
{
    *out = engine->info;
}

void pm_engine_fill_info(pm_engine *e)
{
    e->info = (pm_engine_info){
        .vocab = e->model.hparams.vocab,
        .context_tokens = e->context,
        .model_context_tokens = e->model.hparams.context,
        .max_seqs = e->max_seqs,
        .max_batch_tokens = e->max_batch_tokens,
        .max_queue = e->max_queue,
        .page_tokens = e->model.layout.page_tokens,
        .pages = e->pages,
        .swap_pages = e->slots,
        .page_bytes = pm_kv_page_bytes(&e->model.layout) * e->model.hparams.layers,
        .weight_bytes = e->model.weights.bytes,
        .weight_step_bytes = e->model.weights.step_bytes,
    };
    snprintf(e->info.device, sizeof(e->info.device), "%s", pm_vk_device_info(e->device)->name);
    snprintf(e->info.architecture, sizeof(e->info.architecture), "%s", e->model.hparams.arch->name);
}

pm_result pm_engine_profile(pm_engine *e, pm_profile_row *rows, size_t capacity, size_t *count)
{
    if (!e->params.profile)
        return pm_fail(PM_ERR_STATE, "the engine was created without profile");
    return pm_vk_profile(e->device, rows, capacity, count);
}

pm_result pm_engine_bandwidth(pm_engine *e, double *bytes_per_second)
{
    return pm_vk_bandwidth(e->device, bytes_per_second);
}

const char *pm_finish_name(pm_finish finish)
{
    switch (finish) {
    case PM_FINISH_NONE: return "none";
    case PM_FINISH_STOP: return "stop";
    case PM_FINISH_LENGTH: return "length";
    case PM_FINISH_CONTEXT: return "context";
    case PM_FINISH_CANCELLED: return "cancelled";
    case PM_FINISH_ERROR: return "error";
    case PM_FINISH_DEADLINE: return "deadline";
    }
    return "unknown";
}
