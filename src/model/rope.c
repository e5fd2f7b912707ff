/* model/rope.c - the table of rotations. */
#include "model/rope.h"

#include "base/alloc.h"
#include "vk/upload.h"

#include <math.h>

#define CHUNK_POSITIONS 4096u      /* made and uploaded at a time */

uint64_t pm_rope_table_bytes(const pm_hparams *hparams, uint32_t context)
{
    return (uint64_t)context * hparams->rotary_dim * sizeof(float);
}

/* frequencies: [rotary_dim / 2] */
static pm_result make_frequencies(const pm_gguf *gguf, const pm_hparams *h, double *frequencies)
{
    const uint32_t count = h->rotary_dim / 2;
    float factors[128];            /* head_dim <= 256 */
    const pm_gguf_tensor *tensor = pm_gguf_tensor_find(gguf, "rope_freqs.weight");
    if (tensor != NULL) {
        if (tensor->type != PM_DTYPE_F32 || tensor->shape[0] != count || tensor->shape[1] != 1)
            return pm_fail(PM_ERR_FORMAT, "%s: rope_freqs.weight is %s [%llu,%llu], expected F32 [%u]",
                           pm_gguf_path(gguf), pm_dtype_get(tensor->type)->name,
                           (unsigned long long)tensor->shape[0], (unsigned long long)tensor->shape[1], count);
        pm_dequant_row(PM_DTYPE_F32, tensor->data, factors, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        const double factor = tensor != NULL ? (double)factors[i] : 1.0;
        if (!(factor > 0.0) || !isfinite(factor))
            return pm_fail(PM_ERR_FORMAT, "%s: rope_freqs.weight[%u] is %g, expected a positive number",
                           pm_gguf_path(gguf), i, factor);
        frequencies[i] = pow((double)h->rope_theta, -2.0 * i / h->rotary_dim) / factor / (double)h->rope_factor;
    }
    return PM_OK;
}

pm_result pm_rope_table_upload(pm_vk_device *device, const pm_gguf *gguf, const pm_hparams *h, uint32_t context,
                               pm_slice table)
{
    double frequencies[128];
    PM_TRY(make_frequencies(gguf, h, frequencies));
    const uint32_t chunk = context < CHUNK_POSITIONS ? context : CHUNK_POSITIONS;
    const uint64_t row_bytes = h->rotary_dim * sizeof(float);
    float *values = pm_alloc(chunk, row_bytes, "rope table");
    if (values == NULL)
        return PM_ERR_NOMEM;
    pm_result result = PM_OK;
    for (uint32_t first = 0; first < context && result == PM_OK; first += chunk) {
        const uint32_t count = context - first < chunk ? context - first : chunk;
        for (uint32_t p = 0; p < count; p++)
            for (uint32_t i = 0; i < h->rotary_dim / 2; i++) {
                const double angle = (first + p) * frequencies[i];
                values[p * h->rotary_dim + 2 * i] = (float)cos(angle);
                values[p * h->rotary_dim + 2 * i + 1] = (float)sin(angle);
            }
        result = pm_vk_upload(device, pm_slice_part(table, first * row_bytes, count * row_bytes), values,
                              count * row_bytes);
    }
    pm_free(values);
    return result;
}
