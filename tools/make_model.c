/* make_model.c - pumice-make-model: seeded random models as GGUF, for tests and benches.
 *
 *   pumice-make-model OUT.gguf [--arch llama|qwen2] [--dim N] [--hidden N] [--layers N] [--heads N]
 *     [--kv-heads N] [--head-dim N] [--vocab N] [--ctx N] [--type T] [--tied] [--biases]
 *     [--rope-theta X] [--rope-freqs] [--window N] [--seed S] [--repeat]
 *
 * T: any type that pumice reads, or a recipe: Q2_K_S, Q3_K_S Q3_K_M Q3_K_L, Q4_K_S Q4_K_M, Q5_K_S
 * Q5_K_M, the mixtures that files of these names hold (see recipe()). Quantised blocks are drawn as
 * blocks: random quants under scales such that weights have a mean near 0 and deviation
 * 1 / sqrt(k) (1 in an embedding that is not tied), so that logits are spread and finite. A row
 * whose length is no multiple of a type's block falls back to Q8_0, then F16, and says so.
 * --repeat: matrices of one shape and type in the layers after the first are the first's, which makes
 * a model of many GB as fast as the disk is. Speed does not ask for their values.
 * Everything is a function of the seed: the same command gives the same bytes. */
#include "base/half.h"
#include "base/hash.h"
#include "gguf/dtype.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 32u
#define TENSORS_MAX 16384u

typedef struct options {
    const char *path, *arch, *type;
    uint32_t dim, hidden, layers, heads, kv_heads, head_dim, vocab, ctx, window, seed;
    float rope_theta;
    bool tied, biases, rope_freqs, repeat;
} options;

typedef enum tensor_kind { KIND_MATRIX, KIND_ONES, KIND_BIAS, KIND_FREQS } tensor_kind;

typedef struct tensor {
    char name[64];
    tensor_kind kind;
    pm_dtype type;
    uint64_t k, n, offset, bytes;
    float deviation;               /* of the weights */
    uint8_t *values;               /* [bytes] kept for those that repeat it; NULL */
} tensor;

static tensor tensors[TENSORS_MAX];
static uint32_t tensor_count;

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "pumice-make-model: %s\n", what);
    exit(1);
}

/* --------------------------------------------------------------- random */

static uint64_t rng_state;

static uint64_t rng(void)
{
    rng_state += UINT64_C(0x9e3779b97f4a7c15);
    return pm_mix64(rng_state);
}

/* Sum of four uniforms: near enough to normal, mean 0, deviation 1. */
static float rng_normal(void)
{
    const uint64_t x = rng();
    const float sum = (float)(x & 0xffff) + (float)(x >> 16 & 0xffff) + (float)(x >> 32 & 0xffff) + (float)(x >> 48);
    return (sum / 65536.0f - 2.0f) * 1.7320508f;
}

/* --------------------------------------------------------------- blocks */

static void put_half(uint8_t *at, float value)
{
    const uint16_t bits = pm_f16_from_f32(value);
    memcpy(at, &bits, 2);
}

static void random_bytes(uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        const uint64_t x = rng();
        memcpy(at + i, &x, bytes - i < 8 ? bytes - i : 8);
    }
}

/* Sub-block scales 32 .. 63 and minima equal to them, in Q4_K's 12 bytes. */
static void put_k_scales(uint8_t *at)
{
    uint8_t s[8];
    for (int j = 0; j < 8; j++)
        s[j] = (uint8_t)(32 + rng() % 32);
    for (int j = 0; j < 4; j++) {
        at[j] = (uint8_t)(s[j] | (s[j + 4] >> 4) << 6);
        at[j + 4] = (uint8_t)(s[j] | (s[j + 4] >> 4) << 6);
        at[j + 8] = (uint8_t)((s[j + 4] & 15) | (s[j + 4] & 15) << 4);
    }
}

/* A block of random quants under the scale d, so that weights have a mean near 0. */
static void put_quants(pm_dtype type, uint8_t *at, float d)
{
    const float either = rng() & 1 ? d : -d; /* where quants are not symmetric, scales are */
    random_bytes(at, pm_dtype_get(type)->bytes);
    switch (type) {
    case PM_DTYPE_Q8_0:
        for (int i = 2; i < 34; i++)
            at[i] = at[i] == 0x80 ? 0 : at[i];
        put_half(at, d);
        return;
    case PM_DTYPE_Q4_1: put_half(at, d); put_half(at + 2, -7.5f * d); return;
    case PM_DTYPE_Q5_1: put_half(at, d); put_half(at + 2, -15.5f * d); return;
    case PM_DTYPE_Q2_K:
        for (int j = 0; j < 16; j++)
            at[j] = (uint8_t)((8 + at[j] % 8) * 17);
        put_half(at + 80, d);
        put_half(at + 82, 1.5f * d);
        return;
    case PM_DTYPE_Q3_K: put_half(at + 108, either); return;
    case PM_DTYPE_Q4_K: put_k_scales(at + 4); put_half(at, d); put_half(at + 2, 7.5f * d); return;
    case PM_DTYPE_Q5_K: put_k_scales(at + 4); put_half(at, d); put_half(at + 2, 15.5f * d); return;
    case PM_DTYPE_Q6_K:
        for (int j = 0; j < 16; j++)
            at[192 + j] = (uint8_t)(int8_t)((int)(32 + rng() % 32) * (rng() & 1 ? 1 : -1));
        put_half(at + 208, d);
        return;
    case PM_DTYPE_MXFP4: at[0] = (uint8_t)lrintf(127.0f + log2f(d)); return;
    case PM_DTYPE_IQ1_M: {
        const uint16_t bits = pm_f16_from_f32(either);
        for (int i = 0; i < 4; i++) /* the top bits of four halves */
            at[49 + 2 * i] = (uint8_t)((at[49 + 2 * i] & 15) | (bits >> (4 * i) & 15) << 4);
        return;
    }
    default: put_half(at, either); return; /* Q4_0, Q5_0, IQ4 and the other codebook types */
    }
}

/* Deviation of the weights of put_quants() under a scale of 1. */
static float quants_deviation(pm_dtype type)
{
    static float known[PM_DTYPE_LIMIT];
    if (known[type] == 0.0f) {
        const uint64_t state = rng_state; /* what is drawn here changes no file */
        const pm_dtype_info *info = pm_dtype_get(type);
        double squares = 0.0;
        for (int b = 0; b < 256; b++) {
            uint8_t block[512];
            float values[256];
            put_quants(type, block, 1.0f);
            pm_dequant_row(type, block, values, info->block);
            for (uint32_t i = 0; i < info->block; i++)
                squares += (double)values[i] * (double)values[i];
        }
        known[type] = (float)sqrt(squares / (256.0 * info->block));
        rng_state = state;
    }
    return known[type];
}

/* One block of weights with this deviation. */
static void put_block(pm_dtype type, uint8_t *at, float deviation)
{
    const float value = rng_normal() * deviation;
    const uint16_t brain = pm_bf16_from_f32(value);
    switch (type) {
    case PM_DTYPE_F32: memcpy(at, &value, 4); return;
    case PM_DTYPE_F16: put_half(at, value); return;
    case PM_DTYPE_BF16: memcpy(at, &brain, 2); return;
    default: put_quants(type, at, deviation / quants_deviation(type)); return;
    }
}

static void write_bytes(FILE *file, const void *bytes, uint64_t count)
{
    if (fwrite(bytes, 1, count, file) != count)
        die("cannot write");
}

/* An earlier one that t may be a copy of. */
static const tensor *repeated(const tensor *t)
{
    for (const tensor *other = tensors; other < t && t->kind == KIND_MATRIX; other++)
        if (other->values != NULL && other->type == t->type && other->k == t->k && other->n == t->n &&
            other->deviation == t->deviation)
            return other;
    return NULL;
}

static void write_tensor(FILE *file, tensor *t, bool repeat)
{
    const pm_dtype_info *info = pm_dtype_get(t->type);
    const uint64_t row_bytes = pm_dtype_row_bytes(t->type, t->k);
    const tensor *like = repeat ? repeated(t) : NULL;
    uint8_t *row = malloc(row_bytes);
    if (like == NULL && repeat && t->kind == KIND_MATRIX)
        t->values = malloc(t->bytes);
    if (row == NULL || (like == NULL && repeat && t->kind == KIND_MATRIX && t->values == NULL))
        die("out of memory");
    if (like != NULL)
        write_bytes(file, like->values, t->bytes);
    for (uint64_t r = 0; r < t->n && like == NULL; r++) {
        for (uint64_t b = 0; b < row_bytes / info->bytes; b++) {
            uint8_t *at = row + b * info->bytes;
            const float one = 1.0f, factor = 1.0f + (float)b / 8.0f;
            if (t->kind == KIND_ONES)
                memcpy(at, &one, 4);
            else if (t->kind == KIND_FREQS)
                memcpy(at, &factor, 4);
            else
                put_block(t->type, at, t->deviation);
        }
        write_bytes(file, row, row_bytes);
        if (t->values != NULL)
            memcpy(t->values + r * row_bytes, row, row_bytes);
    }
    free(row);
    static const uint8_t zeros[ALIGNMENT];
    const uint64_t pad = (ALIGNMENT - t->bytes % ALIGNMENT) % ALIGNMENT;
    write_bytes(file, zeros, pad);
}

/* -------------------------------------------------------------- tensors */

typedef enum layers_of { NO_LAYER, FIRST_2, FIRST_4, FIRST_8TH, FIRST_16TH, MORE_BITS } layers_of;

/* Which layers' tensors a recipe gives more bits. */
static bool has_more(layers_of which, uint32_t layer, uint32_t layers)
{
    switch (which) {
    case FIRST_2: return layer < 2;
    case FIRST_4: return layer < 4;
    case FIRST_8TH: return layer < layers / 8;
    case FIRST_16TH: return layer < layers / 16;
    case MORE_BITS: return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
    default: return false;
    }
}

/* The recipes of GGUF files: a type for all matrices, two for attn_v and ffn_down (in some
 * layers and in the rest), one for attn_output. The output is Q6_K. */
static const struct recipe {
    const char *name;
    pm_dtype base;
    struct { layers_of which; pm_dtype some, rest; } value, down;
    pm_dtype attention_out;
} recipes[] = {
#define K(bits) PM_DTYPE_Q##bits##_K
    {"Q2_K_S", K(2), {NO_LAYER, K(4), K(4)}, {FIRST_8TH, K(4), K(2)}, K(2)},
    {"Q3_K_S", K(3), {NO_LAYER, K(3), K(3)}, {NO_LAYER, K(3), K(3)}, K(3)},
    {"Q3_K_M", K(3), {FIRST_2, K(5), K(4)}, {FIRST_16TH, K(5), K(4)}, K(4)},
    {"Q3_K_L", K(3), {NO_LAYER, K(5), K(5)}, {NO_LAYER, K(5), K(5)}, K(5)},
    {"Q4_K_S", K(4), {FIRST_4, K(5), K(4)}, {FIRST_8TH, K(5), K(4)}, K(4)},
    {"Q4_K_M", K(4), {MORE_BITS, K(6), K(4)}, {MORE_BITS, K(6), K(4)}, K(4)},
    {"Q5_K_S", K(5), {NO_LAYER, K(5), K(5)}, {NO_LAYER, K(5), K(5)}, K(5)},
    {"Q5_K_M", K(5), {MORE_BITS, K(6), K(5)}, {MORE_BITS, K(6), K(5)}, K(5)},
#undef K
};

static pm_dtype recipe_type(const struct recipe *r, const char *name, uint32_t layers)
{
    unsigned layer = 0;
    if (strcmp(name, "output.weight") == 0)
        return PM_DTYPE_Q6_K;
    if (sscanf(name, "blk.%u.", &layer) != 1)
        return r->base;
    if (strstr(name, "attn_v"))
        return has_more(r->value.which, layer, layers) ? r->value.some : r->value.rest;
    if (strstr(name, "ffn_down"))
        return has_more(r->down.which, layer, layers) ? r->down.some : r->down.rest;
    return strstr(name, "attn_output") ? r->attention_out : r->base;
}

static pm_dtype wanted_type(const options *o, const char *name)
{
    for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++)
        if (strcmp(recipes[i].name, o->type) == 0)
            return recipe_type(&recipes[i], name, o->layers);
    for (uint32_t type = 0; type < PM_DTYPE_LIMIT; type++)
        if (pm_dtype_can_dequant((pm_dtype)type) && strcmp(pm_dtype_get(type)->name, o->type) == 0)
            return (pm_dtype)type;
    die("--type: expected the name of a tensor type (F16, Q5_1, IQ3_XXS ...), Q2_K_S, Q3_K_S, Q3_K_M, Q3_K_L, Q4_K_S, "
        "Q4_K_M, Q5_K_S or Q5_K_M");
}

static pm_dtype type_of(const options *o, const char *name, uint64_t k)
{
    const pm_dtype wanted = wanted_type(o, name);
    pm_dtype type = wanted;
    if (k % pm_dtype_get(type)->block != 0)
        type = k % 32 == 0 ? PM_DTYPE_Q8_0 : PM_DTYPE_F16;
    if (type != wanted)
        fprintf(stderr, "%s: rows of %llu are no multiple of %s's block: %s\n", name, (unsigned long long)k,
                pm_dtype_get(wanted)->name, pm_dtype_get(type)->name);
    return type;
}

static void add(const options *o, tensor_kind kind, uint64_t k, uint64_t n, const char *name)
{
    if (tensor_count == TENSORS_MAX)
        die("too many layers");
    tensor *t = &tensors[tensor_count++];
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->kind = kind;
    t->k = k;
    t->n = n;
    t->type = kind == KIND_MATRIX ? type_of(o, name, k) : PM_DTYPE_F32;
    t->bytes = pm_dtype_row_bytes(t->type, k) * n;
    t->deviation = kind == KIND_BIAS ? 0.1f : 1.0f / sqrtf((float)k);
    if (!o->tied && strcmp(name, "token_embd.weight") == 0)
        t->deviation = 1.0f; /* a residual stream of the size of what the layers add */
}

static void add_layer(const options *o, uint32_t layer)
{
    char name[64];
    const uint32_t q = o->heads * o->head_dim, kv = o->kv_heads * o->head_dim;
    const struct { const char *stem; tensor_kind kind; uint64_t k, n; } list[] = {
        {"attn_norm.weight", KIND_ONES, o->dim, 1},      {"attn_q.weight", KIND_MATRIX, o->dim, q},
        {"attn_k.weight", KIND_MATRIX, o->dim, kv},      {"attn_v.weight", KIND_MATRIX, o->dim, kv},
        {"attn_output.weight", KIND_MATRIX, q, o->dim},  {"ffn_norm.weight", KIND_ONES, o->dim, 1},
        {"ffn_gate.weight", KIND_MATRIX, o->dim, o->hidden}, {"ffn_up.weight", KIND_MATRIX, o->dim, o->hidden},
        {"ffn_down.weight", KIND_MATRIX, o->hidden, o->dim}, {"attn_q.bias", KIND_BIAS, q, 1},
        {"attn_k.bias", KIND_BIAS, kv, 1},               {"attn_v.bias", KIND_BIAS, kv, 1},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (list[i].kind == KIND_BIAS && !o->biases)
            continue;
        snprintf(name, sizeof(name), "blk.%u.%s", layer, list[i].stem);
        add(o, list[i].kind, list[i].k, list[i].n, name);
    }
}

static void add_all(const options *o)
{
    add(o, KIND_MATRIX, o->dim, o->vocab, "token_embd.weight");
    for (uint32_t i = 0; i < o->layers; i++)
        add_layer(o, i);
    add(o, KIND_ONES, o->dim, 1, "output_norm.weight");
    if (!o->tied)
        add(o, KIND_MATRIX, o->dim, o->vocab, "output.weight");
    if (o->rope_freqs)
        add(o, KIND_FREQS, o->head_dim / 2, 1, "rope_freqs.weight");
    uint64_t offset = 0;
    for (uint32_t i = 0; i < tensor_count; i++) {
        tensors[i].offset = offset;
        offset += (tensors[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
}

/* ------------------------------------------------------------- metadata */

static uint8_t *head;
static size_t head_len, head_capacity;
static uint64_t value_count;

static void put(const void *data, size_t len)
{
    if (head_len + len > head_capacity) {
        head_capacity = (head_len + len) * 2;
        head = realloc(head, head_capacity);
        if (head == NULL)
            die("out of memory");
    }
    memcpy(head + head_len, data, len);
    head_len += len;
}

static void put_u32(uint32_t x) { put(&x, 4); }
static void put_u64(uint64_t x) { put(&x, 8); }

static void put_string(const char *text)
{
    put_u64(strlen(text));
    put(text, strlen(text));
}

/* A key, with "%" for the architecture's name. */
static void put_key(const options *o, const char *key, uint32_t type)
{
    char full[128];
    if (key[0] == '%')
        snprintf(full, sizeof(full), "%s%s", o->arch, key + 1);
    else
        snprintf(full, sizeof(full), "%s", key);
    put_string(full);
    put_u32(type);
    value_count++;
}

static void value_u32(const options *o, const char *key, uint32_t x) { put_key(o, key, 4); put_u32(x); }
static void value_f32(const options *o, const char *key, float x) { put_key(o, key, 6); put(&x, 4); }
static void value_text(const options *o, const char *key, const char *x) { put_key(o, key, 8); put_string(x); }

/* 3 control tokens, 256 bytes, then words; scores fall with the id. */
static void token_text(uint32_t id, char text[32])
{
    static const char *const control[] = {"<unk>", "<s>", "</s>"};
    if (id < 3)
        snprintf(text, 32, "%s", control[id]);
    else if (id < 259)
        snprintf(text, 32, "<0x%02X>", id - 3);
    else
        snprintf(text, 32, "\xe2\x96\x81w%u", id);
}

static void put_vocabulary(const options *o)
{
    value_text(o, "tokenizer.ggml.model", "llama");
    put_key(o, "tokenizer.ggml.tokens", 9);
    put_u32(8);
    put_u64(o->vocab);
    for (uint32_t i = 0; i < o->vocab; i++) {
        char text[32];
        token_text(i, text);
        put_string(text);
    }
    put_key(o, "tokenizer.ggml.scores", 9);
    put_u32(6);
    put_u64(o->vocab);
    for (uint32_t i = 0; i < o->vocab; i++) {
        const float score = -(float)i;
        put(&score, 4);
    }
    put_key(o, "tokenizer.ggml.token_type", 9);
    put_u32(5);
    put_u64(o->vocab);
    for (uint32_t i = 0; i < o->vocab; i++)
        put_u32(i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
    value_u32(o, "tokenizer.ggml.bos_token_id", 1);
    value_u32(o, "tokenizer.ggml.eos_token_id", 2);
    value_u32(o, "tokenizer.ggml.unknown_token_id", 0);
}

static void put_values(const options *o)
{
    value_text(o, "general.architecture", o->arch);
    value_text(o, "general.name", "random");
    value_u32(o, "%.block_count", o->layers);
    value_u32(o, "%.context_length", o->ctx);
    value_u32(o, "%.embedding_length", o->dim);
    value_u32(o, "%.feed_forward_length", o->hidden);
    value_u32(o, "%.attention.head_count", o->heads);
    value_u32(o, "%.attention.head_count_kv", o->kv_heads);
    value_u32(o, "%.attention.key_length", o->head_dim);
    value_u32(o, "%.attention.value_length", o->head_dim);
    value_u32(o, "%.rope.dimension_count", o->head_dim);
    value_u32(o, "%.vocab_size", o->vocab);
    value_f32(o, "%.attention.layer_norm_rms_epsilon", 1e-5f);
    value_f32(o, "%.rope.freq_base", o->rope_theta);
    if (o->window > 0)
        value_u32(o, "%.attention.sliding_window", o->window);
    put_vocabulary(o);
}

static void write_file(const options *o)
{
    FILE *file = fopen(o->path, "wb");
    if (file == NULL)
        die("cannot create the output file");
    put_values(o);
    uint8_t *values = head;
    const size_t values_len = head_len;
    head = NULL;
    head_len = head_capacity = 0;
    put("GGUF", 4);
    put_u32(3);
    put_u64(tensor_count);
    put_u64(value_count);
    put(values, values_len);
    for (uint32_t i = 0; i < tensor_count; i++) {
        const tensor *t = &tensors[i];
        put_string(t->name);
        put_u32(t->kind == KIND_MATRIX ? 2 : 1);
        put_u64(t->k);
        if (t->kind == KIND_MATRIX)
            put_u64(t->n);
        put_u32(t->type);
        put_u64(t->offset);
    }
    while (head_len % ALIGNMENT != 0)
        put("", 1);
    write_bytes(file, head, head_len);
    for (uint32_t i = 0; i < tensor_count; i++)
        write_tensor(file, &tensors[i], o->repeat);
    for (uint32_t i = 0; i < tensor_count; i++)
        free(tensors[i].values);
    if (fclose(file) != 0)
        die("cannot write");
    free(values);
    free(head);
}

/* ------------------------------------------------------------- main */

static uint32_t number(const char *text)
{
    char *end;
    const unsigned long x = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || x > UINT32_MAX)
        die("an option's value is not a number");
    return (uint32_t)x;
}

static void parse(options *o, int argc, char **argv)
{
    const struct { const char *name; uint32_t *target; } numbers[] = {
        {"--dim", &o->dim}, {"--hidden", &o->hidden}, {"--layers", &o->layers}, {"--heads", &o->heads},
        {"--kv-heads", &o->kv_heads}, {"--head-dim", &o->head_dim}, {"--vocab", &o->vocab}, {"--ctx", &o->ctx},
        {"--window", &o->window}, {"--seed", &o->seed},
    };
    const struct { const char *name; bool *target; } flags[] = {
        {"--tied", &o->tied}, {"--biases", &o->biases}, {"--rope-freqs", &o->rope_freqs},
        {"--repeat", &o->repeat},
    };
    for (int i = 1; i < argc; i++) {
        bool known = false;
        for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++)
            if (strcmp(argv[i], flags[f].name) == 0)
                known = *flags[f].target = true;
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]) && i + 1 < argc && !known; n++)
            if (strcmp(argv[i], numbers[n].name) == 0) {
                *numbers[n].target = number(argv[++i]);
                known = true;
            }
        if (!known && i + 1 < argc && strcmp(argv[i], "--arch") == 0)
            o->arch = argv[++i], known = true;
        else if (!known && i + 1 < argc && strcmp(argv[i], "--type") == 0)
            o->type = argv[++i], known = true;
        else if (!known && i + 1 < argc && strcmp(argv[i], "--rope-theta") == 0)
            o->rope_theta = (float)atof(argv[++i]), known = true;
        else if (!known && argv[i][0] != '-' && o->path == NULL)
            o->path = argv[i], known = true;
        if (!known)
            die("usage: pumice-make-model OUT.gguf [--arch A --dim N --hidden N --layers N --heads N --kv-heads N "
                "--head-dim N --vocab N --ctx N --type T --tied --biases --rope-theta X --rope-freqs --window N --seed S --repeat]");
    }
}

int main(int argc, char **argv)
{
    options o = {.arch = "llama", .type = "Q8_0", .dim = 256, .hidden = 768, .layers = 2, .heads = 8, .kv_heads = 4,
                 .vocab = 1024, .ctx = 2048, .seed = 1, .rope_theta = 10000.0f};
    parse(&o, argc, argv);
    if (o.path == NULL)
        die("the output file is missing");
    if (o.head_dim == 0)
        o.head_dim = o.heads > 0 ? o.dim / o.heads : 0;
    if (o.heads == 0 || o.kv_heads == 0 || o.heads % o.kv_heads != 0 || o.head_dim < 2 || o.vocab < 300 || o.layers == 0)
        die("heads must be a multiple of KV heads, the vocabulary at least 300, layers at least 1");
    rng_state = o.seed;
    add_all(&o);
    write_file(&o);
    return 0;
}
