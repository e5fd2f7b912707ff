/* model.c - a whole forward pass out of the reference kernels.
 *
 *   x = embedding(tokens)
 *   for each layer:
 *     n = rmsnorm(x);   q, k, v = W n + b;   rotate q and k;   store k and v
 *     x += W attention(q)
 *     n = rmsnorm(x);   x += W (silu(W n) * (W n))
 *   logits = W rmsnorm(x)
 */
#include "cuda/model.h"

#include "gguf/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_TOKENS 16u

typedef struct matrix {
    void *w, *bias;                /* bias: f32, or NULL */
    uint32_t type, n, k;
} matrix;

typedef struct layer {
    matrix q, k, v, out, gate, up, down;
    float *attention_norm, *ffn_norm;
} layer;

struct cuda_model {
    const cuda_kernels *kernels;
    pm_gguf *gguf;
    uint32_t layers, dim, hidden, heads, kv_heads, head_dim, rotary_dim, vocab, window;
    float epsilon;
    bool neox;
    layer *layer;
    matrix embedding, output;
    float *output_norm;
    double *frequencies;           /* on the device */
    bool failed;
};

static bool fail_with(char *why, size_t capacity, const char *what)
{
    snprintf(why, capacity, "reference model: %s", what);
    return false;
}

static void *put(cuda_model *m, const void *data, uint64_t bytes)
{
    void *memory = m->kernels->alloc(bytes);
    m->failed |= memory == NULL || !m->kernels->put(memory, data, bytes);
    return memory;
}

/* A tensor's data on the device; NULL when the file has none of that name. */
static void *tensor_of(cuda_model *m, const char *name, matrix *shape)
{
    const pm_gguf_tensor *t = pm_gguf_tensor_find(m->gguf, name);
    if (t == NULL)
        return NULL;
    if (shape != NULL) {
        shape->type = t->type;
        shape->k = (uint32_t)t->shape[0];
        shape->n = (uint32_t)t->shape[1];
        m->failed |= !cuda_type_supported(t->type);
    }
    return put(m, t->data, t->bytes);
}

static matrix matrix_of(cuda_model *m, const char *stem, uint32_t n, uint32_t k)
{
    matrix x = {0};
    char name[80];
    snprintf(name, sizeof(name), "%s.weight", stem);
    x.w = tensor_of(m, name, &x);
    snprintf(name, sizeof(name), "%s.bias", stem);
    x.bias = tensor_of(m, name, NULL);
    m->failed |= x.w == NULL || x.n != n || x.k != k;
    return x;
}

static void read_layer(cuda_model *m, uint32_t index)
{
    layer *l = &m->layer[index];
    const uint32_t q = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    const struct { matrix *matrix; const char *stem; uint32_t n, k; } list[] = {
        {&l->q, "attn_q", q, m->dim},           {&l->k, "attn_k", kv, m->dim},      {&l->v, "attn_v", kv, m->dim},
        {&l->out, "attn_output", m->dim, q},    {&l->gate, "ffn_gate", m->hidden, m->dim},
        {&l->up, "ffn_up", m->hidden, m->dim},  {&l->down, "ffn_down", m->dim, m->hidden},
    };
    char name[64];
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        snprintf(name, sizeof(name), "blk.%u.%s", index, list[i].stem);
        *list[i].matrix = matrix_of(m, name, list[i].n, list[i].k);
    }
    snprintf(name, sizeof(name), "blk.%u.attn_norm.weight", index);
    l->attention_norm = tensor_of(m, name, NULL);
    snprintf(name, sizeof(name), "blk.%u.ffn_norm.weight", index);
    l->ffn_norm = tensor_of(m, name, NULL);
    m->failed |= l->attention_norm == NULL || l->ffn_norm == NULL;
}

/* A number of the metadata, or `otherwise`. */
static double number(const cuda_model *m, const char *arch, const char *key, double otherwise)
{
    char name[128];
    snprintf(name, sizeof(name), "%s.%s", arch, key);
    const pm_gguf_value *value = pm_gguf_find(m->gguf, name);
    return value != NULL && value->type != PM_GGUF_STRING && value->type != PM_GGUF_ARRAY ? pm_gguf_number(value, 0) : otherwise;
}

static bool read_model(cuda_model *m, const char *path, char *why, size_t capacity)
{
    pm_gguf_string name = {0};
    char arch[32];
    if (pm_gguf_open(path, &m->gguf) != PM_OK || pm_gguf_get_string(m->gguf, "general.architecture", &name) != PM_OK)
        return fail_with(why, capacity, pm_error_message());
    snprintf(arch, sizeof(arch), "%.*s", (int)(name.len < 31 ? name.len : 31), name.data);
    if (strcmp(arch, "llama") != 0 && strcmp(arch, "qwen2") != 0)
        return fail_with(why, capacity, "neither llama nor qwen2");
    m->neox = strcmp(arch, "qwen2") == 0;
    m->layers = (uint32_t)number(m, arch, "block_count", 0);
    m->dim = (uint32_t)number(m, arch, "embedding_length", 0);
    m->hidden = (uint32_t)number(m, arch, "feed_forward_length", 0);
    m->heads = (uint32_t)number(m, arch, "attention.head_count", 0);
    m->kv_heads = (uint32_t)number(m, arch, "attention.head_count_kv", m->heads);
    m->epsilon = (float)number(m, arch, "attention.layer_norm_rms_epsilon", 0);
    m->window = arch[0] == 'l' ? (uint32_t)number(m, arch, "attention.sliding_window", 0) : 0;
    if (m->layers == 0 || m->dim == 0 || m->hidden == 0 || m->heads == 0 || m->kv_heads == 0)
        return fail_with(why, capacity, "a size is missing");
    m->head_dim = (uint32_t)number(m, arch, "attention.key_length", m->dim / m->heads);
    m->rotary_dim = (uint32_t)number(m, arch, "rope.dimension_count", m->head_dim);
    if (m->head_dim == 0 || m->head_dim > 256 || m->rotary_dim > m->head_dim || m->heads % m->kv_heads != 0)
        return fail_with(why, capacity, "heads of a size that attention.cu does not take");
    const double theta = number(m, arch, "rope.freq_base", 10000.0), factor = number(m, arch, "rope.scaling.factor", 1.0);
    const pm_gguf_tensor *factors = pm_gguf_tensor_find(m->gguf, "rope_freqs.weight");
    double frequencies[128];
    for (uint32_t i = 0; i < m->rotary_dim / 2; i++) {
        float by = 1.0f;
        if (factors != NULL)
            memcpy(&by, (const uint8_t *)factors->data + 4 * i, 4);
        frequencies[i] = pow(theta, -2.0 * i / m->rotary_dim) / factor / (double)by;
    }
    m->frequencies = put(m, frequencies, sizeof(frequencies));
    m->layer = calloc(m->layers, sizeof(*m->layer));
    if (m->layer == NULL)
        return fail_with(why, capacity, "out of memory");
    for (uint32_t i = 0; i < m->layers; i++)
        read_layer(m, i);
    m->embedding.w = tensor_of(m, "token_embd.weight", &m->embedding);
    m->vocab = m->embedding.n;
    m->output.w = tensor_of(m, "output.weight", &m->output);
    if (m->output.w == NULL) /* tied */
        m->output = m->embedding;
    m->output_norm = tensor_of(m, "output_norm.weight", NULL);
    m->failed |= m->embedding.w == NULL || m->output_norm == NULL || m->embedding.k != m->dim || m->output.k != m->dim;
    return !m->failed || fail_with(why, capacity, "a tensor is missing, of another shape or type, or has no room");
}

cuda_model *cuda_model_open(const cuda_kernels *kernels, const char *path, char *why, size_t capacity)
{
    cuda_model *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        fail_with(why, capacity, "out of memory");
        return NULL;
    }
    m->kernels = kernels;
    if (read_model(m, path, why, capacity))
        return m;
    cuda_model_close(m);
    return NULL;
}

static void drop(cuda_model *m, const matrix *x)
{
    m->kernels->release(x->w);
    m->kernels->release(x->bias);
}

void cuda_model_close(cuda_model *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; i < m->layers && m->layer != NULL; i++) {
        const layer *l = &m->layer[i];
        const matrix *all[] = {&l->q, &l->k, &l->v, &l->out, &l->gate, &l->up, &l->down};
        for (size_t j = 0; j < sizeof(all) / sizeof(all[0]); j++)
            drop(m, all[j]);
        m->kernels->release(l->attention_norm);
        m->kernels->release(l->ffn_norm);
    }
    if (m->output.w != m->embedding.w)
        drop(m, &m->output);
    drop(m, &m->embedding);
    m->kernels->release(m->output_norm);
    m->kernels->release(m->frequencies);
    free(m->layer);
    pm_gguf_close(m->gguf);
    free(m);
}

uint32_t cuda_model_vocab(const cuda_model *m)
{
    return m->vocab;
}

/* ------------------------------------------------------------------ pass */

/* Device memory of one score. */
typedef struct state {
    const cuda_model_pass *pass;
    void *rounded;                 /* [chunk, the widest k] of a matmul's x */
    void *x, *last, *normed, *q, *k, *v, *mix, *gate_up, *act, *logits; /* f32 */
    void *tokens, *positions, *slots, *row_seq, *row_start, *table;     /* u32 */
    void *pages;                   /* [layers, K then V] */
    uint64_t kv_bytes;             /* of K, or of V, of one layer */
    uint32_t page_count;
} state;

static bool linear(cuda_model *m, state *s, const matrix *w, const float *x, float *y, uint32_t y_stride, uint32_t rows)
{
    const bool rounds = s->pass->precision == CUDA_HALF || s->pass->precision == CUDA_BYTES;
    const cuda_round r = {.x = x, .y = s->rounded, .rows = rows, .k = w->k, .precision = s->pass->precision};
    const cuda_matmul a = {.w = w->w, .type = w->type, .bias = w->bias, .x = rounds ? s->rounded : x, .y = y, .rows = rows,
                           .n = w->n, .k = w->k, .x_stride = w->k, .y_stride = y_stride, .precision = s->pass->precision,
                           .block = s->pass->block};
    return (!rounds || m->kernels->round_rows(&r)) && m->kernels->matmul(&a);
}

static bool norm(cuda_model *m, state *s, const float *w, const float *add, uint32_t rows)
{
    const cuda_rmsnorm a = {.x = s->x, .add = add, .w = w, .y = s->normed, .rows = rows, .dim = m->dim, .epsilon = m->epsilon};
    return m->kernels->rmsnorm(&a);
}

static bool rotate(cuda_model *m, state *s, float *x, uint32_t heads, uint32_t rows)
{
    const cuda_rope a = {.x = x, .positions = s->positions, .frequencies = m->frequencies, .rows = rows,
                         .stride = heads * m->head_dim, .heads = heads, .head_dim = m->head_dim, .rotary_dim = m->rotary_dim,
                         .neox = m->neox};
    return m->kernels->rope(&a);
}

static bool attend(cuda_model *m, state *s, uint32_t index, uint32_t rows)
{
    uint8_t *pages = (uint8_t *)s->pages + (uint64_t)index * 2 * s->kv_bytes;
    const cuda_kv kv = {.k = pages, .v = pages + s->kv_bytes, .type = s->pass->kv_f16 ? CUDA_KV_F16 : CUDA_KV_F32, .page_tokens = PAGE_TOKENS,
                        .kv_heads = m->kv_heads, .head_dim = m->head_dim};
    const cuda_kv_store store = {.kv = kv, .k = s->k, .v = s->v, .slots = s->slots, .rows = rows,
                                 .stride = m->kv_heads * m->head_dim};
    const cuda_attention a = {.kv = kv, .q = s->q, .out = s->mix, .block_tables = s->table, .row_seq = s->row_seq,
                              .positions = s->positions, .row_start = s->row_start, .rows = rows, .rows_per_seq_max = rows,
                              .seqs = 1, .heads = m->heads, .q_stride = m->heads * m->head_dim, .table_stride = s->page_count,
                              .window = m->window,
                              .scale = (s->pass->scale > 0.0f ? s->pass->scale : 1.0f) / sqrtf((float)m->head_dim)};
    return m->kernels->kv_store(&store) && (rows == 1 ? m->kernels->attention_decode : m->kernels->attention_prefill)(&a);
}

static bool run_layer(cuda_model *m, state *s, uint32_t index, uint32_t rows)
{
    const layer *l = &m->layer[index];
    const cuda_swiglu swiglu = {.gate_up = s->gate_up, .y = s->act, .rows = rows, .hidden = m->hidden};
    return norm(m, s, l->attention_norm, index > 0 ? s->last : NULL, rows) &&
           linear(m, s, &l->q, s->normed, s->q, m->heads * m->head_dim, rows) &&
           linear(m, s, &l->k, s->normed, s->k, m->kv_heads * m->head_dim, rows) &&
           linear(m, s, &l->v, s->normed, s->v, m->kv_heads * m->head_dim, rows) && rotate(m, s, s->q, m->heads, rows) &&
           rotate(m, s, s->k, m->kv_heads, rows) && attend(m, s, index, rows) &&
           linear(m, s, &l->out, s->mix, s->last, m->dim, rows) && norm(m, s, l->ffn_norm, s->last, rows) &&
           linear(m, s, &l->gate, s->normed, s->gate_up, 2 * m->hidden, rows) &&
           linear(m, s, &l->up, s->normed, (float *)s->gate_up + m->hidden, 2 * m->hidden, rows) && m->kernels->swiglu(&swiglu) &&
           linear(m, s, &l->down, s->act, s->last, m->dim, rows);
}

/* Rows first .. first + rows - 1. */
static bool run_chunk(cuda_model *m, state *s, const int32_t *tokens, uint32_t first, uint32_t rows, float *logits)
{
    uint32_t *host = calloc(4 * (uint64_t)rows + 2, sizeof(*host));
    if (host == NULL)
        return false;
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t position = first + r;
        host[r] = (uint32_t)tokens[position];
        host[rows + r] = position;
        host[2 * rows + r] = (s->page_count - 1 - position / PAGE_TOKENS) * PAGE_TOKENS + position % PAGE_TOKENS;
    }
    host[4 * rows + 1] = rows;
    const uint64_t bytes = rows * sizeof(*host);
    bool ran = m->kernels->put(s->tokens, host, bytes) && m->kernels->put(s->positions, host + rows, bytes) &&
               m->kernels->put(s->slots, host + 2 * rows, bytes) && m->kernels->put(s->row_seq, host + 3 * rows, bytes) &&
               m->kernels->put(s->row_start, host + 4 * rows, 2 * sizeof(*host));
    free(host);
    const cuda_embedding embedding = {.w = m->embedding.w, .type = m->embedding.type, .tokens = s->tokens, .y = s->x,
                                      .rows = rows, .dim = m->dim};
    ran = ran && m->kernels->embedding(&embedding);
    for (uint32_t i = 0; i < m->layers && ran; i++)
        ran = run_layer(m, s, i, rows);
    return ran && norm(m, s, m->output_norm, s->last, rows) && linear(m, s, &m->output, s->normed, s->logits, m->vocab, rows) &&
           m->kernels->get(logits + (uint64_t)first * m->vocab, s->logits, (uint64_t)rows * m->vocab * sizeof(float));
}

bool cuda_model_score(cuda_model *m, const int32_t *tokens, uint32_t count, const cuda_model_pass *pass, float *logits)
{
    const uint32_t chunk = pass->chunk;
    state s = {.pass = pass, .page_count = (count + PAGE_TOKENS - 1) / PAGE_TOKENS};
    const uint64_t kv_width = (uint64_t)m->kv_heads * m->head_dim, q_width = (uint64_t)m->heads * m->head_dim;
    s.kv_bytes = s.page_count * PAGE_TOKENS * kv_width * (pass->kv_f16 ? 2 : 4);
    uint64_t widest = m->hidden > m->dim ? m->hidden : m->dim;
    widest = q_width > widest ? q_width : widest;
    const struct { void **memory; uint64_t bytes; } rooms[] = {
        {&s.rounded, chunk * widest * 4},
        {&s.x, chunk * m->dim * 4ull},          {&s.last, chunk * m->dim * 4ull},
        {&s.normed, chunk * m->dim * 4ull},     {&s.q, chunk * q_width * 4},
        {&s.k, chunk * kv_width * 4},           {&s.v, chunk * kv_width * 4},
        {&s.mix, chunk * q_width * 4},          {&s.gate_up, chunk * m->hidden * 8ull},
        {&s.act, chunk * m->hidden * 4ull},     {&s.logits, chunk * m->vocab * 4ull},
        {&s.tokens, chunk * 4ull},              {&s.positions, chunk * 4ull},
        {&s.slots, chunk * 4ull},               {&s.row_seq, chunk * 4ull},
        {&s.row_start, 8},                      {&s.table, s.page_count * 4ull},
        {&s.pages, s.kv_bytes * 2 * m->layers},
    };
    bool ran = true;
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
        ran = (*rooms[i].memory = m->kernels->alloc(rooms[i].bytes)) != NULL && ran;
    for (uint32_t i = 0; i < s.page_count && ran; i++) {
        const uint32_t page = s.page_count - 1 - i;
        ran = m->kernels->put((uint32_t *)s.table + i, &page, sizeof(page));
    }
    for (uint32_t first = 0; first < count && ran; first += chunk)
        ran = run_chunk(m, &s, tokens, first, count - first < chunk ? count - first : chunk, logits);
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
        m->kernels->release(*rooms[i].memory);
    return ran;
}
