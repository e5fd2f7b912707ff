/* plan/kv_store.c - the memory that page ids index. */
#include "plan/kv_store.h"

#include "base/alloc.h"

static pm_result create_layer(pm_kv_store *store, pm_vk_device *device, uint32_t layer)
{
    const uint64_t page_bytes = pm_kv_page_bytes(&store->layout);
    PM_TRY(pm_vk_buffer_create(device, store->pages * page_bytes, PM_VK_DEVICE, "KV pages", &store->buffers[layer]));
    if (store->slots == 0)
        return PM_OK;
    return pm_vk_buffer_create(device, store->slots * page_bytes, PM_VK_READBACK, "KV pages in host memory",
                               &store->host[layer]);
}

pm_result pm_kv_store_init(pm_kv_store *store, pm_vk_device *device, const pm_kv_layout *layout, uint32_t layers,
                           uint32_t pages, uint32_t slots)
{
    PM_TRY(pm_kv_layout_check(layout));
    *store = (pm_kv_store){.layout = *layout, .pages = pages, .slots = slots, .layers = layers};
    store->buffers = pm_alloc(layers, sizeof(*store->buffers), "KV store");
    store->host = pm_alloc(layers, sizeof(*store->host), "KV store");
    pm_result result = store->buffers == NULL || store->host == NULL ? PM_ERR_NOMEM : PM_OK;
    for (uint32_t layer = 0; layer < layers && result == PM_OK; layer++)
        result = create_layer(store, device, layer);
    if (result != PM_OK)
        pm_kv_store_finish(store);
    return result;
}

void pm_kv_store_finish(pm_kv_store *store)
{
    for (uint32_t i = 0; i < store->layers && store->buffers != NULL; i++)
        pm_vk_buffer_destroy(store->buffers[i]);
    for (uint32_t i = 0; i < store->layers && store->host != NULL; i++)
        pm_vk_buffer_destroy(store->host[i]);
    pm_free(store->buffers);
    pm_free(store->host);
    *store = (pm_kv_store){0};
}

pm_slice pm_kv_store_layer(const pm_kv_store *store, uint32_t layer)
{
    pm_assert(layer < store->layers);
    return pm_vk_buffer_all(store->buffers[layer]);
}

pm_slice pm_kv_store_host_layer(const pm_kv_store *store, uint32_t layer)
{
    pm_assert(layer < store->layers && store->slots > 0);
    return pm_vk_buffer_all(store->host[layer]);
}
