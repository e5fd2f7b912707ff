/* gguf/quant.c - values to blocks: the types, and what goes for all of them. */
#include "gguf/quant.h"

#include "base/half.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void quant_f32(const float *x, const float *w, void *block)
{
    (void)w;
    memcpy(block, x, 4);
}

static void quant_f16(const float *x, const float *w, void *block)
{
    (void)w;
    const uint16_t bits = pm_f16_from_f32(x[0]);
    memcpy(block, &bits, 2);
}

static void quant_bf16(const float *x, const float *w, void *block)
{
    (void)w;
    const uint16_t bits = pm_bf16_from_f32(x[0]);
    memcpy(block, &bits, 2);
}

typedef struct method {
    pm_quant_block *function;
    bool weighs_always;            /* wants weights without importance, too: all 1 */
} method;

static const method methods[PM_DTYPE_LIMIT] = {
    [PM_DTYPE_F32] = {quant_f32, false},          [PM_DTYPE_F16] = {quant_f16, false},
    [PM_DTYPE_BF16] = {quant_bf16, false},        [PM_DTYPE_Q4_0] = {pm_quant_q4_0, false},
    [PM_DTYPE_Q4_1] = {pm_quant_q4_1, false},     [PM_DTYPE_Q5_0] = {pm_quant_q5_0, false},
    [PM_DTYPE_Q5_1] = {pm_quant_q5_1, false},     [PM_DTYPE_Q8_0] = {pm_quant_q8_0, false},
    [PM_DTYPE_MXFP4] = {pm_quant_mxfp4, true},    [PM_DTYPE_Q2_K] = {pm_quant_q2_k, true},
    [PM_DTYPE_Q3_K] = {pm_quant_q3_k, true},      [PM_DTYPE_Q4_K] = {pm_quant_q4_k, true},
    [PM_DTYPE_Q5_K] = {pm_quant_q5_k, true},      [PM_DTYPE_Q6_K] = {pm_quant_q6_k, true},
    [PM_DTYPE_IQ4_NL] = {pm_quant_iq4_nl, true},  [PM_DTYPE_IQ4_XS] = {pm_quant_iq4_xs, true},
};

bool pm_dtype_can_quant(pm_dtype type)
{
    return (unsigned)type < PM_DTYPE_LIMIT && methods[type].function != NULL;
}

/* Importance in units of its mean over the block. A floor keeps columns that were never
 * active from being rounded to anything; a block of them alone counts evenly. */
static void weigh(const float *importance, uint32_t n, float *weights)
{
    const double floor = 1e-6;
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)importance[i];
    for (uint32_t i = 0; i < n; i++)
        weights[i] = sum > 0.0 ? (float)((double)importance[i] * n / sum + floor) : 1.0f;
}

void pm_quant_row(pm_dtype type, const float *values, const float *importance, void *blocks, uint64_t count)
{
    pm_assert(pm_dtype_can_quant(type));
    const pm_dtype_info *info = pm_dtype_get(type);
    const method *m = &methods[type];
    pm_assert(count % info->block == 0);
    float weights[256];
    for (uint32_t i = 0; i < info->block; i++)
        weights[i] = 1.0f;
    uint8_t *block = blocks;
    for (uint64_t i = 0; i < count; i += info->block, block += info->bytes) {
        if (importance != NULL && info->block > 1)
            weigh(importance + i, info->block, weights);
        m->function(values + i, importance != NULL || m->weighs_always ? weights : NULL, block);
    }
}

uint64_t pm_quant_bad_value(pm_dtype type, const float *values, uint64_t count)
{
    float most = PM_QUANT_VALUE_MAX;
    if (type == PM_DTYPE_F32)
        most = FLT_MAX;
    else if (type == PM_DTYPE_BF16)
        most = pm_bf16_to_f32(0x7f7f);
    else if (type == PM_DTYPE_MXFP4)
        most = 1e38f;
    uint64_t i = 0;
    while (i < count && fabsf(values[i]) <= most) /* false for NaN */
        i++;
    return i;
}
