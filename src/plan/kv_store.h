/* plan/kv_store.h - the memory that page ids index: one buffer a layer, and, for pages of
 * sequences that had to give way, slots in host memory. Floor 4. */
#ifndef PM_PLAN_KV_STORE_H
#define PM_PLAN_KV_STORE_H

#include "op/kv_layout.h"
#include "vk/buffer.h"

typedef struct pm_kv_store {
    pm_kv_layout layout;
    uint32_t pages, slots, layers;
    pm_vk_buffer **buffers;        /* [layers] owned; pages * pm_kv_page_bytes() each */
    pm_vk_buffer **host;           /* [layers] owned; slots * pm_kv_page_bytes() each, PM_VK_READBACK */
} pm_kv_store;

/* slots: 0 = none. Errors: PM_ERR_UNSUP (pm_kv_layout_check(); *store is untouched),
 * PM_ERR_DEVMEM, PM_ERR_NOMEM, PM_ERR_DEVICE. */
PM_MUST_USE pm_result pm_kv_store_init(pm_kv_store *store, pm_vk_device *device, const pm_kv_layout *layout,
                                       uint32_t layers, uint32_t pages, uint32_t slots);
void pm_kv_store_finish(pm_kv_store *store);

/* Layer's pages, see op/kv_layout.h. */
pm_slice pm_kv_store_layer(const pm_kv_store *store, uint32_t layer);

/* Its slots, laid out alike. slots > 0. */
pm_slice pm_kv_store_host_layer(const pm_kv_store *store, uint32_t layer);

#endif /* PM_PLAN_KV_STORE_H */
