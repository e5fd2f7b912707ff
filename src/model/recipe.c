/* model/recipe.c - which tensor of a model becomes which type. */
#include "model/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q8_0 = 7, Q5_0 = 8, Q5_1 = 9, Q2_K = 10, Q3_K_S = 11, Q3_K_M = 12,
    Q3_K_L = 13, Q4_K_S = 14, Q4_K_M = 15, Q5_K_S = 16, Q5_K_M = 17, Q6_K = 18, Q2_K_S = 21, IQ4_NL = 25,
    IQ4_XS = 30, BF16 = 32, MXFP4 = 38,
};

static const pm_recipe recipes[] = {
    {"F32", "every matrix in F32", PM_DTYPE_F32, F32},
    {"BF16", "every matrix in BF16", PM_DTYPE_BF16, BF16},
    {"F16", "every matrix in F16", PM_DTYPE_F16, F16},
    {"Q8_0", "8.5 bits, the output too", PM_DTYPE_Q8_0, Q8_0},
    {"Q6_K", "6.6 bits", PM_DTYPE_Q6_K, Q6_K},
    {"Q5_K_M", "5.5 bits, Q6_K for half of attn_v and ffn_down", PM_DTYPE_Q5_K, Q5_K_M},
    {"Q5_K_S", "5.5 bits", PM_DTYPE_Q5_K, Q5_K_S},
    {"Q5_1", "6 bits, scale and minimum per 32", PM_DTYPE_Q5_1, Q5_1},
    {"Q5_0", "5.5 bits, scale per 32", PM_DTYPE_Q5_0, Q5_0},
    {"Q4_K_M", "4.5 bits, Q6_K for half of attn_v and ffn_down", PM_DTYPE_Q4_K, Q4_K_M},
    {"Q4_K_S", "4.5 bits, Q5_K for the first layers' attn_v and ffn_down", PM_DTYPE_Q4_K, Q4_K_S},
    {"Q4_1", "5 bits, scale and minimum per 32", PM_DTYPE_Q4_1, Q4_1},
    {"Q4_0", "4.5 bits, scale per 32", PM_DTYPE_Q4_0, Q4_0},
    {"IQ4_NL", "4.5 bits, uneven steps, scale per 32", PM_DTYPE_IQ4_NL, IQ4_NL},
    {"IQ4_XS", "4.3 bits, uneven steps", PM_DTYPE_IQ4_XS, IQ4_XS},
    {"MXFP4", "4.3 bits, floating point, a power of two as scale", PM_DTYPE_MXFP4, MXFP4},
    {"Q3_K_L", "3.4 bits, Q5_K for attn_v, attn_output and ffn_down", PM_DTYPE_Q3_K, Q3_K_L},
    {"Q3_K_M", "3.4 bits, Q4_K (first layers Q5_K) for attn_v, attn_output and ffn_down", PM_DTYPE_Q3_K, Q3_K_M},
    {"Q3_K_S", "3.4 bits", PM_DTYPE_Q3_K, Q3_K_S},
    {"Q2_K", "2.6 bits, Q3_K for attn_v, attn_output and ffn_down", PM_DTYPE_Q2_K, Q2_K},
    {"Q2_K_S", "2.6 bits, Q4_K for the first layers' ffn_down", PM_DTYPE_Q2_K, Q2_K_S},
};

#define RECIPES (sizeof(recipes) / sizeof(recipes[0]))

const pm_recipe *pm_recipe_at(size_t index)
{
    return index < RECIPES ? &recipes[index] : NULL;
}

const pm_recipe *pm_recipe_find(const char *name)
{
    static const char *const short_names[][2] = {{"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}};
    for (size_t i = 0; i < sizeof(short_names) / sizeof(short_names[0]); i++)
        if (strcasecmp(name, short_names[i][0]) == 0)
            name = short_names[i][1];
    for (size_t i = 0; i < RECIPES; i++)
        if (strcasecmp(name, recipes[i].name) == 0)
            return &recipes[i];
    return NULL;
}

/* ----------------------------------------------------------------- model */

static pm_result read_count(const pm_gguf *g, const char *architecture, const char *what, uint32_t *out)
{
    char key[128];
    snprintf(key, sizeof(key), "%s.%s", architecture, what);
    const pm_gguf_value *v = pm_gguf_find(g, key);
    if (v != NULL && v->type == PM_GGUF_ARRAY) { /* per layer: the first */
        const double first = v->count > 0 && v->item_type != PM_GGUF_STRING && v->item_type != PM_GGUF_ARRAY
                                 ? pm_gguf_number(v, 0) : -1.0;
        if (!(first >= 0.0 && first <= 65536.0))
            return pm_fail(PM_ERR_FORMAT, "%s: key %s begins with %g, expected 0 to 65536", pm_gguf_path(g), key, first);
        *out = (uint32_t)first;
        return PM_OK;
    }
    return pm_gguf_get_u32(g, key, 0, 65536, out);
}

pm_result pm_recipe_model_read(const pm_gguf *g, bool has_importance, pm_recipe_model *out)
{
    pm_gguf_string s = {0};
    char architecture[64];
    uint32_t heads = 1, kv_heads = 0;
    pm_recipe_model m = {.has_importance = has_importance};
    PM_TRY(pm_gguf_get_string(g, "general.architecture", &s));
    snprintf(architecture, sizeof(architecture), "%.*s", (int)(s.len < 63 ? s.len : 63), s.data != NULL ? s.data : "");
    PM_TRY(read_count(g, architecture, "block_count", &m.layers));
    PM_TRY(read_count(g, architecture, "expert_count", &m.experts));
    PM_TRY(read_count(g, architecture, "attention.head_count", &heads));
    PM_TRY(read_count(g, architecture, "attention.head_count_kv", &kv_heads));
    m.group = kv_heads > 0 ? heads / kv_heads : 1;
    m.is_falcon = strcmp(architecture, "falcon") == 0;
    m.has_output = pm_gguf_tensor_find(g, "output.weight") != NULL;
    *out = m;
    return PM_OK;
}

/* --------------------------------------------------------------- tensors */

static bool ends_with(const char *name, const char *tail)
{
    const size_t n = strlen(name), t = strlen(tail);
    return n >= t && strcmp(name + n - t, tail) == 0;
}

bool pm_recipe_applies(const pm_gguf_tensor *t)
{
    static const char *const kept[] = {
        "_norm.weight", "ffn_gate_inp.weight", "position_embd.weight", "token_types.weight", "attn_rel_b.weight",
        "ssm_conv1d.weight", "shortconv.conv.weight",
    };
    if (!ends_with(t->name, ".weight") || t->bytes == 0 || t->shape[1] * t->shape[2] * t->shape[3] == 1)
        return false;
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (ends_with(t->name, kept[i]))
            return false;
    return strstr(t->name, "time_mix_") == NULL; /* RWKV's small ones; its matrices have other names */
}

/* The layer in "blk.12.attn_v.weight"; 0 elsewhere. */
static uint32_t layer_of(const char *name)
{
    const unsigned long layer = strncmp(name, "blk.", 4) == 0 ? strtoul(name + 4, NULL, 10) : 0;
    return layer < 65536 ? (uint32_t)layer : 65535;
}

/* The first and the last eighth, and every third layer between. */
static bool is_delicate(uint32_t layer, uint32_t layers)
{
    return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

static pm_dtype pick_output(const pm_recipe *r, const pm_recipe_model *m)
{
    if (r->file_type == MXFP4 || m->is_falcon)
        return PM_DTYPE_Q8_0;
    return r->type != PM_DTYPE_Q8_0 ? PM_DTYPE_Q6_K : PM_DTYPE_Q8_0;
}

static pm_dtype pick_attn_v(const pm_recipe *r, const pm_recipe_model *m, uint32_t layer)
{
    pm_dtype type = r->type;
    switch (r->file_type) {
    case Q2_K: type = m->group >= 4 ? PM_DTYPE_Q4_K : PM_DTYPE_Q3_K; break;
    case Q2_K_S: type = m->group >= 4 ? PM_DTYPE_Q4_K : type; break;
    case Q3_K_M: type = layer < 2 ? PM_DTYPE_Q5_K : PM_DTYPE_Q4_K; break;
    case Q3_K_L: type = PM_DTYPE_Q5_K; break;
    case Q4_K_S: type = layer < 4 ? PM_DTYPE_Q5_K : type; break;
    case Q4_K_M: case Q5_K_M: type = is_delicate(layer, m->layers) ? PM_DTYPE_Q6_K : type; break;
    case IQ4_NL: case IQ4_XS: type = m->group >= 4 ? PM_DTYPE_Q5_K : type; break;
    default: break;
    }
    /* 70B-class models: few KV heads, shared by many, cost little. */
    if (m->layers == 80 && m->group > 1 && (type == PM_DTYPE_Q3_K || type == PM_DTYPE_Q4_K))
        type = PM_DTYPE_Q5_K;
    return m->experts == 8 ? PM_DTYPE_Q8_0 : type;
}

static pm_dtype pick_ffn_down(const pm_recipe *r, const pm_recipe_model *m, uint32_t layer)
{
    const uint32_t n = m->layers;
    switch (r->file_type) {
    case Q2_K: return PM_DTYPE_Q3_K;
    case Q2_K_S: return layer < n / 8 ? PM_DTYPE_Q4_K : r->type;
    case Q3_K_M:
        if (layer < n / 16)
            return PM_DTYPE_Q5_K;
        return !m->is_falcon || is_delicate(layer, n) ? PM_DTYPE_Q4_K : r->type;
    case Q3_K_L: return m->is_falcon ? PM_DTYPE_Q4_K : PM_DTYPE_Q5_K;
    case Q4_K_M:
        if (m->is_falcon)
            return layer < n / 16 ? PM_DTYPE_Q6_K : is_delicate(layer, n) ? PM_DTYPE_Q5_K : r->type;
        return is_delicate(layer, n) ? PM_DTYPE_Q6_K : r->type;
    case Q4_K_S: return !m->is_falcon && layer < n / 8 ? PM_DTYPE_Q5_K : r->type;
    case Q5_K_M: return is_delicate(layer, n) ? PM_DTYPE_Q6_K : r->type;
    case IQ4_NL: case IQ4_XS: return layer < n / 8 && !m->has_importance ? PM_DTYPE_Q5_K : r->type;
    case Q4_0: return layer < n / 8 && m->has_importance ? PM_DTYPE_Q4_1 : r->type;
    case Q5_0: return layer < n / 8 && m->has_importance ? PM_DTYPE_Q5_1 : r->type;
    default: return r->type;
    }
}

static pm_dtype pick_attn_output(const pm_recipe *r, const pm_recipe_model *m)
{
    if (m->is_falcon)
        return r->file_type == Q3_K_L ? PM_DTYPE_Q4_K : r->type;
    switch (r->file_type) {
    case Q2_K: return m->experts == 8 ? PM_DTYPE_Q5_K : PM_DTYPE_Q3_K;
    case Q3_K_M: return m->experts == 8 ? PM_DTYPE_Q5_K : PM_DTYPE_Q4_K;
    case Q3_K_L: return m->experts == 8 ? r->type : PM_DTYPE_Q5_K;
    case Q3_K_S: case Q4_K_S: case Q4_K_M: case IQ4_NL: case IQ4_XS:
        return m->experts == 8 ? PM_DTYPE_Q5_K : r->type;
    default: return r->type;
    }
}

static pm_dtype pick_attn_qkv(const pm_recipe *r)
{
    switch (r->file_type) {
    case Q3_K_M: case Q3_K_L: return PM_DTYPE_Q4_K;
    case Q4_K_M: return PM_DTYPE_Q5_K;
    case Q5_K_M: return PM_DTYPE_Q6_K;
    default: return r->type;
    }
}

pm_dtype pm_recipe_pick(const pm_recipe *r, const pm_recipe_model *m, const char *name, bool pure)
{
    if (pure || pm_dtype_get(r->type)->block == 1)
        return r->type;
    if (strcmp(name, "output.weight") == 0 || (!m->has_output && strcmp(name, "token_embd.weight") == 0))
        return pick_output(r, m);
    if (strstr(name, "attn_v.weight") != NULL)
        return pick_attn_v(r, m, layer_of(name));
    if (strstr(name, "attn_k.weight") != NULL)
        return m->experts == 8 ? PM_DTYPE_Q8_0 : r->type;
    if (strstr(name, "ffn_down") != NULL)
        return pick_ffn_down(r, m, layer_of(name));
    if (strstr(name, "attn_output.weight") != NULL)
        return pick_attn_output(r, m);
    if (strstr(name, "attn_qkv.weight") != NULL)
        return pick_attn_qkv(r);
    return r->type;
}

pm_dtype pm_recipe_fit(pm_dtype type, uint64_t k)
{
    if (pm_dtype_get(type)->block == 256 && k % 256 != 0)
        switch (type) {
        case PM_DTYPE_Q4_K: type = PM_DTYPE_Q5_0; break;
        case PM_DTYPE_Q5_K: type = PM_DTYPE_Q5_1; break;
        case PM_DTYPE_Q6_K: type = PM_DTYPE_Q8_0; break;
        case PM_DTYPE_IQ4_XS: type = PM_DTYPE_IQ4_NL; break;
        default: type = PM_DTYPE_Q4_0; break;
        }
    return k % pm_dtype_get(type)->block == 0 ? type : PM_DTYPE_F16;
}
