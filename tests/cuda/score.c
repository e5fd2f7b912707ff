/* score.c - Pumice's logits of a text. */
#include "cuda/score.h"

#include "cuda/control.h"
#include "op/attention.h"
#include "op/harness.h"
#include "op/matmul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t score_vocab(const char *path)
{
    pm_model_file *file = NULL;
    pm_tokenizer *tokenizer = NULL;
    ok(pm_model_file_open(path, &file));
    ok(pm_tokenizer_create(file, &tokenizer));
    const uint32_t vocab = pm_tokenizer_size(tokenizer);
    pm_tokenizer_destroy(tokenizer);
    pm_model_file_close(file);
    return vocab;
}

typedef struct sink {
    float *logits;
    uint32_t vocab;
} sink;

static bool keep(void *context, uint32_t position, const float *logits)
{
    const sink *s = context;
    memcpy(s->logits + (uint64_t)position * s->vocab, logits, s->vocab * sizeof(*logits));
    return true;
}

float *score(const char *path, const int32_t *tokens, uint32_t sequences, uint32_t count, uint32_t chunk, const char *variants,
             pm_kv_type kv_type)
{
    const pm_engine_params params = {.model_path = path, .max_seqs = 1, .max_context_tokens = count, .max_batch_tokens = chunk,
                                     .kv_type = kv_type, .warm_up = PM_WARM_UP_NOTHING};
    pm_engine *engine = NULL;
    const uint32_t vocab = score_vocab(path);
    float *logits = calloc((uint64_t)sequences * count * vocab, sizeof(*logits));
    assert_non_null(logits);
    if (variants != NULL)
        setenv("PUMICE_VARIANT", variants, 1);
    else
        unsetenv("PUMICE_VARIANT");
    ok(pm_engine_create(&params, &engine));
    for (uint32_t s = 0; s < sequences; s++) {
        sink into = {logits + (uint64_t)s * count * vocab, vocab};
        ok(pm_engine_score(engine, tokens + (uint64_t)s * count, count, 0, keep, &into));
    }
    pm_engine_destroy(engine);
    unsetenv("PUMICE_VARIANT");
    return logits;
}

/* A matmul of the models: all of their shapes lead to rows of the same numerics. */
static pm_matmul shape_of(uint32_t rows)
{
    return (pm_matmul){.weight = {.type = PM_DTYPE_Q8_0, .n = 4096, .k = 4096}, .rows_max = rows, .x_q8 = {.bytes = UINT64_MAX},
                       .x_stride = 4096, .y_stride = 4096};
}

const char *score_first_variants(void)
{
    static char names[128];
    snprintf(names, sizeof(names), "matmul:%s,attention:%s", pm_matmul_variant(0), pm_attention_variant(0));
    return names;
}

const char *score_base_variants(void)
{
    static char names[128];
    pm_vk_caps floor = *pm_vk_device_caps(harness_device());
    const pm_matmul m = shape_of(1);
    uint32_t base = 0;
    floor.bits = 0;
    for (uint32_t v = 1; pm_matmul_variant(v) != NULL; v++)
        if (pm_matmul_variant_numerics(v) == PM_MATMUL_F32 && pm_matmul_variant_fits(v, &floor, &m) &&
            pm_matmul_variant_rows(v) > pm_matmul_variant_rows(base))
            base = v;
    snprintf(names, sizeof(names), "matmul:%s,attention:%s", pm_matmul_variant(base), pm_attention_variant(0));
    return names;
}

static uint32_t control_of(pm_matmul_numerics numerics)
{
    return numerics == PM_MATMUL_F32 ? CONTROL_F16_KV : numerics == PM_MATMUL_MATRIX ? CONTROL_F16 : CONTROL_INT8;
}

uint32_t score_control(uint32_t chunk)
{
    const pm_vk_caps *caps = pm_vk_device_caps(harness_device());
    pm_matmul_numerics least = PM_MATMUL_F32;
    for (uint32_t i = 0, variant; i < 2; i++) {
        const pm_matmul m = shape_of(i == 0 ? 1 : chunk);
        ok(pm_matmul_pick(caps, &m, &variant));
        if (pm_matmul_variant_numerics(variant) > least)
            least = pm_matmul_variant_numerics(variant);
    }
    /* attention of prompts may take f16 matrices where matmul does not */
    if (least == PM_MATMUL_F32 && (caps->bits & PM_CAP_BIT(COOPMAT)) && !caps->is_cpu)
        least = PM_MATMUL_MATRIX;
    return control_of(least);
}

bool score_forced(uint32_t control, uint32_t chunk, char *forced, size_t capacity, const char **lacks)
{
    const pm_matmul m = shape_of(chunk);
    *lacks = "a row";
    for (uint32_t v = 0; pm_matmul_variant(v) != NULL; v++)
        if (control_of(pm_matmul_variant_numerics(v)) == control && pm_matmul_variant_rows(v) >= chunk) {
            *lacks = pm_matmul_variant_lacks(v, pm_vk_device_caps(harness_device()), &m);
            snprintf(forced, capacity, "matmul:%s", pm_matmul_variant(v));
            if (*lacks == NULL)
                return true;
        }
    return false;
}
