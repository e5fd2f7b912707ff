/* ref/kv.h - KV pages in plain C: what the formats' reference quantisers write, where
 * op/kv_layout.h says it lies, and the values that it stands for. */
#ifndef PM_TEST_REF_KV_H
#define PM_TEST_REF_KV_H

#include "base/half.h"
#include "op/kv_layout.h"

#include <math.h>
#include <string.h>

/* q8_0: d = max |x| / 127. Returns the scale as it is stored. */
static inline uint16_t ref_quantise_q8_0(const float *x, int8_t *q)
{
    float most = 0.0f;
    for (uint32_t i = 0; i < 32; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    const float d = most / 127.0f;
    const uint16_t scale = pm_f16_from_f32(d);
    const float inverse = (scale & 0x7fff) != 0 ? 1.0f / d : 0.0f;
    for (uint32_t i = 0; i < 32; i++)
        q[i] = (int8_t)roundf(x[i] * inverse);
    return inverse != 0.0f ? scale : 0;
}

/* q4_0: d = the first x of largest magnitude, / -8; integers 0 .. 15 stand for -8 .. 7. */
static inline uint16_t ref_quantise_q4_0(const float *x, int8_t *q)
{
    float most = 0.0f;
    for (uint32_t i = 0; i < 32; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    const float d = most / -8.0f;
    const uint16_t scale = pm_f16_from_f32(d);
    const float inverse = (scale & 0x7fff) != 0 ? 1.0f / d : 0.0f;
    for (uint32_t i = 0; i < 32; i++) {
        const volatile float product = x[i] * inverse; /* never contracted with the sum */
        const int8_t rounded = (int8_t)(product + 8.5f);
        q[i] = rounded < 15 ? rounded : 15;
    }
    return inverse != 0.0f ? scale : 0;
}

/* Byte offsets in a page. */
static inline uint64_t ref_kv_half(const pm_kv_layout *l)
{
    const uint64_t scales = pm_kv_type_has_scales(l->type) ? (uint64_t)l->kv_heads * l->head_dim / 32 * l->page_tokens * 4 : 0;
    return (pm_kv_page_bytes(l) - scales) / 2;
}

/* Where element d of token t is, and for q4_0 whether in the high half of its byte. */
static inline uint64_t ref_kv_at(const pm_kv_layout *l, bool is_v, uint32_t kv_head, uint32_t t, uint32_t d, bool *high)
{
    const uint32_t piece = l->type == PM_KV_F32 ? 4 : l->type == PM_KV_F16 ? 8 : l->type == PM_KV_Q8_0 ? 16 : 32;
    uint64_t at = (is_v ? ref_kv_half(l) : 0) + (uint64_t)kv_head * l->head_dim / piece * l->page_tokens * 16;
    at += is_v ? (uint64_t)t * l->head_dim / piece * 16 : ((uint64_t)d / piece * l->page_tokens + t) * 16;
    const uint32_t e = is_v ? d : d % piece; /* elements further on */
    *high = l->type == PM_KV_Q4_0 && e % 8 >= 4;
    if (l->type == PM_KV_Q4_0)
        return at + e / 8 * 4 + e % 4;
    return at + (uint64_t)e * 16 / piece;
}

static inline uint64_t ref_kv_scale_at(const pm_kv_layout *l, bool is_v, uint32_t kv_head, uint32_t t, uint32_t block)
{
    return 2 * ref_kv_half(l) + (((uint64_t)kv_head * l->head_dim / 32 + block) * l->page_tokens + t) * 4 + (is_v ? 2 : 0);
}

/* Writes one head of one token, x[head_dim], into the page. */
static inline void ref_kv_put(const pm_kv_layout *l, uint8_t *page, bool is_v, uint32_t kv_head, uint32_t t, const float *x)
{
    for (uint32_t d = 0; d < l->head_dim; d += pm_kv_type_has_scales(l->type) ? 32 : 1) {
        bool high;
        int8_t q[32];
        if (pm_kv_type_has_scales(l->type)) {
            const uint16_t scale = l->type == PM_KV_Q8_0 ? ref_quantise_q8_0(x + d, q) : ref_quantise_q4_0(x + d, q);
            memcpy(page + ref_kv_scale_at(l, is_v, kv_head, t, d / 32), &scale, 2);
            for (uint32_t i = 0; i < 32; i++) {
                uint8_t *byte = page + ref_kv_at(l, is_v, kv_head, t, d + i, &high);
                if (l->type == PM_KV_Q8_0)
                    *byte = (uint8_t)q[i];
                else
                    *byte = (uint8_t)(high ? (*byte & 0x0f) | q[i] << 4 : (*byte & 0xf0) | q[i]);
            }
        } else if (l->type == PM_KV_F16) {
            const uint16_t half = pm_f16_from_f32(x[d]);
            memcpy(page + ref_kv_at(l, is_v, kv_head, t, d, &high), &half, 2);
        } else {
            memcpy(page + ref_kv_at(l, is_v, kv_head, t, d, &high), &x[d], 4);
        }
    }
}

/* The values that the page holds. */
static inline void ref_kv_get(const pm_kv_layout *l, const uint8_t *page, bool is_v, uint32_t kv_head, uint32_t t, float *x)
{
    for (uint32_t d = 0; d < l->head_dim; d++) {
        bool high;
        const uint8_t *at = page + ref_kv_at(l, is_v, kv_head, t, d, &high);
        uint16_t half;
        if (l->type == PM_KV_F32) {
            memcpy(&x[d], at, 4);
            continue;
        }
        memcpy(&half, l->type == PM_KV_F16 ? at : page + ref_kv_scale_at(l, is_v, kv_head, t, d / 32), 2);
        x[d] = pm_f16_to_f32(half);
        if (l->type == PM_KV_Q8_0)
            x[d] *= (float)(int8_t)*at;
        if (l->type == PM_KV_Q4_0)
            x[d] *= (float)((high ? *at >> 4 : *at & 15) - 8);
    }
}

#endif /* PM_TEST_REF_KV_H */
