/* gguf/quant_iq4.c - IQ4_NL and IQ4_XS: four bits that name one of sixteen uneven values. */
#include "gguf/quant.h"

#include "base/half.h"
#include "gguf/blocks.h"
#include "gguf/fit.h"

#include <string.h>

static const pm_fit_grid grid = {0, 0};

static void put_nibbles(const uint8_t *index, uint8_t *out)
{
    for (int i = 0; i < 16; i++)
        out[i] = (uint8_t)(index[i] | index[16 + i] << 4);
}

void pm_quant_iq4_nl(const float *x, const float *w, void *block)
{
    pm_block_iq4_nl b;
    uint8_t index[32];
    b.d = pm_fit_f16(pm_fit_scale(&grid, x, w, 32));
    pm_fit_nearest(&grid, x, 32, pm_f16_to_f32(b.d), index);
    put_nibbles(index, b.q);
    memcpy(block, &b, sizeof(b));
}

void pm_quant_iq4_xs(const float *x, const float *w, void *block)
{
    pm_block_iq4_xs b = {0};
    int codes[8];
    b.d = pm_fit_scales(&grid, x, w, 8, 32, -32, 31, codes);
    for (int j = 0; j < 8; j++) {
        uint8_t index[32];
        const int code = codes[j] + 32;
        b.scales_low[j / 2] |= (uint8_t)((code & 15) << (4 * (j % 2)));
        b.scales_high |= (uint16_t)((code >> 4) << (2 * j));
        pm_fit_nearest(&grid, x + 32 * j, 32, pm_f16_to_f32(b.d) * (float)codes[j], index);
        put_nibbles(index, b.q + 16 * j);
    }
    memcpy(block, &b, sizeof(b));
}
