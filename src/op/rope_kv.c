/* op/rope_kv.c - rotate Q and K by position, store K and V in their pages. */
#include "op/rope_kv.h"

#include "push_rope_kv.h"

#include <stdio.h>

pm_result pm_rope_kv_record(pm_vk_recorder *recorder, const pm_rope_kv *r)
{
    const pm_kv_layout *layout = &r->layout;
    pm_assert(layout->head_dim % 8 == 0 && layout->head_dim <= 256);
    pm_assert(r->rotary_dim % 2 == 0 && r->rotary_dim <= layout->head_dim);
    pm_assert(r->qkv_stride >= (r->heads + 2 * layout->kv_heads) * layout->head_dim);
    pm_assert(!pm_kv_type_has_scales(layout->type) || layout->head_dim % PM_KV_BLOCK == 0);
    char module[32];
    snprintf(module, sizeof(module), "rope_kv_%s", pm_kv_type_name(layout->type));
    pm_vk_device *device = pm_vk_recorder_device(recorder);
    /* On a CPU driver one subgroup: each more is a coroutine that every barrier leaves and enters. */
    const uint32_t lanes = pm_vk_device_caps(device)->is_cpu ? 8 : 32;
    const pm_vk_pipeline_key key = {
        .module = module,
        .spec_count = 2,
        .spec = {{PM_SPEC_LOCAL_X, lanes}, {PM_SPEC_ROPE_NEOX, r->neox}},
        .push_bytes = sizeof(pm_push_rope_kv),
    };
    const pm_push_rope_kv push = {
        .qkv = pm_slice_address(r->qkv),
        .table = pm_slice_address(r->table),
        .positions = pm_slice_address(r->positions),
        .slots = pm_slice_address(r->slots),
        .kv = pm_slice_address(r->kv),
        .rows = pm_slice_address(r->rows),
        .qkv_stride = r->qkv_stride,
        .heads = r->heads,
        .kv_heads = layout->kv_heads,
        .head_dim = layout->head_dim,
        .rotary_dim = r->rotary_dim,
        .page_tokens = layout->page_tokens,
        .page_bytes = (uint32_t)pm_kv_page_bytes(layout),
    };
    pm_vk_dispatch dispatch = {
        .op = "rope_kv",
        .push = &push,
        .groups = {r->heads + layout->kv_heads, r->rows_max, 1},
        .access_count = 7,
        .access = {{r->qkv, false}, {r->qkv, true}, {r->table, false}, {r->positions, false}, {r->slots, false},
                   {r->kv, true}, {r->rows, false}},
        .bytes = (uint64_t)r->rows_max * layout->head_dim * 2 * (r->heads + layout->kv_heads) * 4 +
                 r->rows_max * pm_kv_page_bytes(layout) / layout->page_tokens,
        .flops = (uint64_t)r->rows_max * (r->heads + layout->kv_heads) * r->rotary_dim * 3,
    };
    PM_TRY(pm_vk_pipeline_get(device, &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
