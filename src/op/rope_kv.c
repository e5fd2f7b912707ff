/* op/rope_kv.c - rotate Q and K by position, store K and V in their pages. */
#include "op/rope_kv.h"

#include "op/texels.h"
#include "push_rope_kv.h"

#include <stdio.h>

/* The pipeline of a device and shape, and the textures that it reads. module: room for its name. */
static pm_vk_pipeline_key key_of(const pm_vk_caps *caps, const pm_rope_kv *r, char module[32], pm_vk_texels *texels)
{
    const pm_slice read[] = {r->qkv, r->table};
    if (r->layout.type == PM_KV_F16 && r->rotary_dim % 8 == 0 && r->qkv_stride % 4 == 0 && pm_op_texels(caps, read, 2, texels))
        return (pm_vk_pipeline_key){.module = "rope_kv_texels_f16", .spec_count = 2,
                                    .spec = {{PM_SPEC_LOCAL_X, pm_texels_lanes(caps)}, {PM_SPEC_ROPE_NEOX, r->neox}},
                                    .push_bytes = sizeof(pm_push_rope_kv), .texels = 2};
    snprintf(module, 32, "rope_kv_%s", pm_kv_type_name(r->layout.type));
    /* On a CPU driver one subgroup: each more is a coroutine that every barrier leaves and enters. */
    return (pm_vk_pipeline_key){.module = module, .spec_count = 2,
                                .spec = {{PM_SPEC_LOCAL_X, caps->is_cpu ? 8 : 32}, {PM_SPEC_ROPE_NEOX, r->neox}},
                                .push_bytes = sizeof(pm_push_rope_kv)};
}

pm_result pm_rope_kv_record(pm_vk_recorder *recorder, const pm_rope_kv *r)
{
    const pm_kv_layout *layout = &r->layout;
    pm_assert(layout->head_dim % 8 == 0 && layout->head_dim <= 256);
    pm_assert(r->rotary_dim % 2 == 0 && r->rotary_dim <= layout->head_dim);
    pm_assert(r->qkv_stride >= (r->heads + 2 * layout->kv_heads) * layout->head_dim);
    pm_assert(!pm_kv_type_has_scales(layout->type) || layout->head_dim % PM_KV_BLOCK == 0);
    pm_vk_device *device = pm_vk_recorder_device(recorder);
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
    char module[32];
    const pm_vk_pipeline_key key = key_of(pm_vk_device_caps(device), r, module, dispatch.texels);
    PM_TRY(pm_vk_pipeline_get(device, &key, &dispatch.pipeline));
    return pm_vk_record(recorder, &dispatch);
}
