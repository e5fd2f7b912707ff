/* plan/kv_store.c - the device memory that page ids index. */
#include "plan/kv_store.h"

#include "base/alloc.h"

pm_result pm_kv_store_init(pm_kv_store *store, pm_vk_device *device, const pm_kv_layout *layout, uint32_t layers,
                           uint32_t pages)
{
    *store = (pm_kv_store){.layout = *layout, .pages = pages};
    store->buffers = pm_alloc(layers, sizeof(*store->buffers), "KV store");
    if (store->buffers == NULL)
        return PM_ERR_NOMEM;
    for (; store->layers < layers; store->layers++) {
        const pm_result result = pm_vk_buffer_create(device, pages * pm_kv_page_bytes(layout), PM_VK_DEVICE, "KV pages",
                                                     &store->buffers[store->layers]);
        if (result != PM_OK) {
            pm_kv_store_finish(store);
            return result;
        }
    }
    return PM_OK;
}

void pm_kv_store_finish(pm_kv_store *store)
{
    for (uint32_t i = 0; i < store->layers; i++)
        pm_vk_buffer_destroy(store->buffers[i]);
    pm_free(store->buffers);
    *store = (pm_kv_store){0};
}

pm_slice pm_kv_store_layer(const pm_kv_store *store, uint32_t layer)
{
    pm_assert(layer < store->layers);
    return pm_vk_buffer_all(store->buffers[layer]);
}
