/* model/hparams.c - a model's sizes and constants. */
#include "model/hparams.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define KEY_MAX 128

static const char *key_of(const pm_arch *arch, const char *suffix, char key[KEY_MAX])
{
    snprintf(key, KEY_MAX, "%s.%s", arch->name, suffix);
    return key;
}

/* A number that must be there. */
static pm_result need_u32(const pm_gguf *gguf, const pm_arch *arch, const char *suffix, uint32_t min, uint32_t max,
                          uint32_t *out)
{
    char key[KEY_MAX];
    key_of(arch, suffix, key);
    if (pm_gguf_find(gguf, key) == NULL)
        return pm_fail(PM_ERR_FORMAT, "%s: key %s is missing", pm_gguf_path(gguf), key);
    return pm_gguf_get_u32(gguf, key, min, max, out);
}

static pm_result get_u32(const pm_gguf *gguf, const pm_arch *arch, const char *suffix, uint32_t min, uint32_t max,
                         uint32_t *out)
{
    char key[KEY_MAX];
    return pm_gguf_get_u32(gguf, key_of(arch, suffix, key), min, max, out);
}

static pm_result get_f32(const pm_gguf *gguf, const pm_arch *arch, const char *suffix, float min, float max, float *out)
{
    char key[KEY_MAX];
    return pm_gguf_get_f32(gguf, key_of(arch, suffix, key), min, max, out);
}

static pm_result read_arch(const pm_gguf *gguf, const pm_arch **out)
{
    pm_gguf_string name = {0};
    PM_TRY(pm_gguf_get_string(gguf, "general.architecture", &name));
    if (name.len == 0)
        return pm_fail(PM_ERR_FORMAT, "%s: key general.architecture is missing", pm_gguf_path(gguf));
    *out = pm_arch_find(name.data, name.len);
    if (*out == NULL)
        return pm_fail(PM_ERR_UNSUP, "%s: architecture '%.*s', expected one of %s", pm_gguf_path(gguf),
                       (int)(name.len < 64 ? name.len : 64), name.data, pm_arch_names());
    return PM_OK;
}

static pm_result read_rope(const pm_gguf *gguf, pm_hparams *h)
{
    char key[KEY_MAX];
    h->rotary_dim = h->head_dim;
    h->rope_theta = 10000.0f;
    h->rope_factor = 1.0f;
    PM_TRY(get_u32(gguf, h->arch, "rope.dimension_count", 2, h->head_dim, &h->rotary_dim));
    PM_TRY(get_f32(gguf, h->arch, "rope.freq_base", 1.0f, 1e12f, &h->rope_theta));
    pm_gguf_string scaling = {0};
    PM_TRY(pm_gguf_get_string(gguf, key_of(h->arch, "rope.scaling.type", key), &scaling));
    const bool linear = scaling.len == 6 && memcmp(scaling.data, "linear", 6) == 0;
    const bool none = scaling.len == 0 || (scaling.len == 4 && memcmp(scaling.data, "none", 4) == 0);
    if (!linear && !none)
        return pm_fail(PM_ERR_UNSUP, "%s: %s is '%.*s', expected none or linear", pm_gguf_path(gguf), key,
                       (int)(scaling.len < 64 ? scaling.len : 64), scaling.data);
    PM_TRY(get_f32(gguf, h->arch, "rope.scale_linear", 1e-3f, 1e6f, &h->rope_factor));
    if (linear)
        PM_TRY(get_f32(gguf, h->arch, "rope.scaling.factor", 1e-3f, 1e6f, &h->rope_factor));
    if (h->rotary_dim % 2 != 0)
        return pm_fail(PM_ERR_FORMAT, "%s: %s.rope.dimension_count is %u, expected an even number", pm_gguf_path(gguf),
                       h->arch->name, h->rotary_dim);
    return PM_OK;
}

pm_result pm_hparams_read(const pm_gguf *gguf, pm_hparams *out)
{
    pm_hparams h = {0};
    PM_TRY(read_arch(gguf, &h.arch));
    uint32_t experts = 0;
    PM_TRY(get_u32(gguf, h.arch, "expert_count", 0, UINT32_MAX, &experts));
    if (experts > 0)
        return pm_fail(PM_ERR_UNSUP, "%s: a mixture of %u experts, expected a dense model", pm_gguf_path(gguf), experts);

    PM_TRY(need_u32(gguf, h.arch, "block_count", 1, 1024, &h.layers));
    PM_TRY(need_u32(gguf, h.arch, "embedding_length", 8, 65536, &h.dim));
    PM_TRY(need_u32(gguf, h.arch, "feed_forward_length", 1, 1u << 20, &h.hidden));
    PM_TRY(need_u32(gguf, h.arch, "attention.head_count", 1, 1024, &h.heads));
    h.kv_heads = h.heads;
    PM_TRY(get_u32(gguf, h.arch, "attention.head_count_kv", 1, h.heads, &h.kv_heads));
    if (h.heads % h.kv_heads != 0)
        return pm_fail(PM_ERR_FORMAT, "%s: %u heads are not a multiple of %u KV heads", pm_gguf_path(gguf), h.heads,
                       h.kv_heads);
    h.head_dim = h.dim / h.heads;
    PM_TRY(get_u32(gguf, h.arch, "attention.key_length", 1, 65536, &h.head_dim));
    uint32_t value_dim = h.head_dim;
    PM_TRY(get_u32(gguf, h.arch, "attention.value_length", 1, 65536, &value_dim));
    if (value_dim != h.head_dim)
        return pm_fail(PM_ERR_UNSUP, "%s: keys of %u and values of %u elements a head, expected the same",
                       pm_gguf_path(gguf), h.head_dim, value_dim);
    if (h.head_dim < 8 || h.head_dim > 256 || h.head_dim % 8 != 0)
        return pm_fail(PM_ERR_UNSUP, "%s: head dimension %u, expected a multiple of 8 from 8 to 256",
                       pm_gguf_path(gguf), h.head_dim);
    h.context = 2048;
    PM_TRY(get_u32(gguf, h.arch, "context_length", 1, 1u << 24, &h.context));
    h.rms_epsilon = 1e-5f;
    PM_TRY(get_f32(gguf, h.arch, "attention.layer_norm_rms_epsilon", 0.0f, 1.0f, &h.rms_epsilon));
    if (h.arch->window)
        PM_TRY(get_u32(gguf, h.arch, "attention.sliding_window", 0, 1u << 24, &h.window));
    PM_TRY(read_rope(gguf, &h));

    const pm_gguf_tensor *embedding = pm_gguf_tensor_find(gguf, "token_embd.weight");
    if (embedding == NULL)
        return pm_fail(PM_ERR_FORMAT, "%s: tensor token_embd.weight is missing", pm_gguf_path(gguf));
    if (embedding->dims != 2 || embedding->shape[0] != h.dim || embedding->shape[1] > 1u << 24)
        return pm_fail(PM_ERR_FORMAT, "%s: token_embd.weight has shape [%llu,%llu], expected [%u,vocabulary]",
                       pm_gguf_path(gguf), (unsigned long long)embedding->shape[0],
                       (unsigned long long)embedding->shape[1], h.dim);
    h.vocab = (uint32_t)embedding->shape[1];
    *out = h;
    return PM_OK;
}
