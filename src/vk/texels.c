/* vk/texels.c - slices that shaders read as buffer textures. */
#include "vk/texels.h"

#include "base/alloc.h"
#include "vk/buffer_impl.h"

static const struct {
    VkFormat format;
    uint32_t bytes;
} formats[] = {
    [PM_VK_TEXEL_U32] = {VK_FORMAT_R32_UINT, 4},
    [PM_VK_TEXEL_U32X4] = {VK_FORMAT_R32G32B32A32_UINT, 16},
    [PM_VK_TEXEL_F32X4] = {VK_FORMAT_R32G32B32A32_SFLOAT, 16},
};

bool pm_vk_texels_fit(const pm_vk_caps *caps, pm_vk_texels texels)
{
    const uint64_t count = texels.slice.bytes / formats[texels.format].bytes;
    return (caps->bits & PM_CAP_BIT(TEXELS)) && texels.slice.offset % PM_VK_ALIGNMENT == 0 &&
           texels.slice.bytes % formats[texels.format].bytes == 0 && count <= caps->texels_max;
}

/* Mesa's llvmpipe (22.3) compiles a kernel anew for each set of textures of which some have sizes in bytes
 * whose bits 8 to 15 are all 0 - it takes them for a count of mip levels - and some have not. So no view has
 * them at 0, where the buffer has room; what a view has more than its slice is never read. */
static uint64_t bytes_of(pm_vk_texels texels)
{
    const pm_slice slice = texels.slice;
    const pm_vk_buffer *b = slice.buffer;
    const uint64_t more = slice.bytes + PM_VK_TEXELS_ROOM;
    const bool room = slice.offset + more <= b->size && more / formats[texels.format].bytes <= b->device->caps.texels_max;
    return (slice.bytes >> 8 & 0xff) == 0 && room ? more : slice.bytes;
}

pm_result pm_vk_texels_view(pm_vk_texels texels, VkBufferView *out)
{
    const pm_slice slice = texels.slice;
    pm_vk_buffer *b = slice.buffer;
    pm_vk_device *d = b->device;
    pm_assert(slice.bytes > 0 && pm_vk_texels_fit(&d->caps, texels));
    for (uint32_t i = 0; i < b->view_count; i++)
        if (b->views[i].offset == slice.offset && b->views[i].bytes == slice.bytes && b->views[i].format == texels.format) {
            *out = b->views[i].handle;
            return PM_OK;
        }
    if (b->view_count == b->view_capacity) {
        const uint32_t capacity = b->view_capacity ? b->view_capacity * 2 : 4;
        pm_vk_view *grown = pm_realloc(b->views, capacity, sizeof(*grown), "buffer views");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        b->views = grown;
        b->view_capacity = capacity;
    }
    const VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                         .buffer = b->handle,
                                         .format = formats[texels.format].format,
                                         .offset = slice.offset,
                                         .range = bytes_of(texels)};
    pm_vk_view *view = &b->views[b->view_count];
    *view = (pm_vk_view){.offset = slice.offset, .bytes = slice.bytes, .format = texels.format};
    PM_TRY(pm_vk_check(d->vk.vkCreateBufferView(d->handle, &info, NULL, &view->handle), "vkCreateBufferView"));
    b->view_count++;
    *out = view->handle;
    return PM_OK;
}
