/* measure/tune_items.c - what there is to choose for a model, the most frequent first. */
#include "measure/tune_impl.h"

#include <string.h>

#define PAST_DECODE 1024u          /* keys before the row that decodes */

/* Rows that are measured, each for the row counts above the one before; in the order of their use. */
static const uint32_t matmul_rows[] = {1, 2, 4, 8, 16, 32, 64, 128, 512};
static const uint32_t matmul_order[] = {1, 16, 512, 4, 64, 8, 2, 32, 128};
#define PROMPTS_AFTER 2u           /* of them: then those of attention */
static const uint32_t prompt_rows[] = {16, 64, 256};

static void add_item(pm_tuner *t, const pm_tune_item *i)
{
    if (t->count < PM_TUNE_ITEMS_MAX)
        t->items[t->count++] = *i;
}

static uint32_t first_of(uint32_t rows)
{
    uint32_t first = 1;
    for (size_t i = 0; i < COUNT(matmul_rows); i++)
        first = matmul_rows[i] < rows ? matmul_rows[i] + 1 : first;
    return first;
}

static uint32_t last_of(uint32_t rows)
{
    const bool last = rows == matmul_rows[COUNT(matmul_rows) - 1] || rows == prompt_rows[COUNT(prompt_rows) - 1];
    return last ? PM_CHOICE_ROWS_MAX : rows;
}

pm_check pm_tune_matmul_check(const pm_tune_weight *w, uint32_t rows)
{
    return (pm_check){.op = PM_CHECK_MATMUL, .type = w->type, .rows = rows, .n = w->n, .k = w->k, .seed = 1};
}

/* Each shape is an item, or each type with its shapes as samples. */
static void add_matmuls(pm_tuner *t, uint32_t rows)
{
    const pm_tune_model *m = t->model;
    for (uint32_t w = 0; w < m->weight_count; w++) {
        const pm_tune_weight *weight = &m->weights[w];
        pm_tune_item i = {.key = {.op = PM_CHOICE_MATMUL, .type = weight->type, .rows_first = first_of(rows),
                          .rows_last = last_of(rows)}};
        bool done = false;
        for (uint32_t before = 0; m->every && before < w; before++)
            done |= m->weights[before].type == weight->type;
        if (done)
            continue;
        if (!m->every) {
            i.key.shape[0] = weight->n;
            i.key.shape[1] = weight->k;
        }
        for (uint32_t other = w; other < (m->every ? m->weight_count : w + 1); other++)
            if (m->weights[other].type == weight->type && i.sample_count < PM_TUNE_SAMPLES_MAX)
                i.sample[i.sample_count++] = pm_tune_matmul_check(&m->weights[other], rows);
        add_item(t, &i);
    }
}

static void add_attention(pm_tuner *t, uint32_t rows, uint32_t rows_first)
{
    const pm_tune_model *m = t->model;
    const pm_kv_layout *l = &m->layout;
    const uint32_t most = m->context > rows ? m->context - rows : 0;
    pm_tune_item i = {.key = {.op = PM_CHOICE_ATTENTION, .type = l->type, .decode = rows == 1, .rows_first = rows_first,
                      .rows_last = last_of(rows)},
              .sample = {{.op = PM_CHECK_ATTENTION, .type = l->type, .rows = rows, .heads = m->heads,
                          .kv_heads = l->kv_heads, .head_dim = l->head_dim, .page_tokens = l->page_tokens, .seed = 1}},
              .sample_count = 1};
    i.sample[0].past = rows > 1 ? 0 : most < PAST_DECODE ? most : PAST_DECODE;
    if (!m->every)
        memcpy(i.key.shape, (const uint32_t[3]){m->heads, l->kv_heads, l->head_dim}, sizeof(i.key.shape));
    add_item(t, &i);
}

/* What is most of the time first: a row that decodes, some, a chunk of a prompt; then what lies between. */
void pm_tune_add_items(pm_tuner *t)
{
    for (size_t r = 0; r < COUNT(matmul_order); r++) {
        add_matmuls(t, matmul_order[r]);
        if (r == 0)
            add_attention(t, 1, 1);
        for (size_t p = 0; p < COUNT(prompt_rows) && r == PROMPTS_AFTER; p++)
            add_attention(t, prompt_rows[p], p > 0 ? prompt_rows[p - 1] + 1 : 2);
    }
}

void pm_tune_common(const pm_vk_caps *caps, pm_kv_type kv_type, pm_tune_model *out)
{
    static const pm_dtype types[] = {PM_DTYPE_Q4_K, PM_DTYPE_Q8_0, PM_DTYPE_Q4_0, PM_DTYPE_F16, PM_DTYPE_Q6_K};
    const uint32_t dim = caps->is_cpu ? 2048 : 4096, hidden = caps->is_cpu ? 5632 : 14336;
    *out = (pm_tune_model){.layout = {.type = kv_type, .kv_heads = caps->is_cpu ? 4 : 8,
                                      .head_dim = caps->is_cpu ? 64 : 128, .page_tokens = 16},
                           .heads = 32, .dim = dim, .hidden = hidden, .layers = 1, .context = 4096, .every = true};
    for (size_t i = 0; i < COUNT(types); i++) {
        const pm_tune_weight shapes[] = {{types[i], dim, dim, 1}, {types[i], 2 * hidden, dim, 1},
                                         {types[i], dim, hidden, 1}};
        memcpy(out->weights + out->weight_count, shapes, sizeof(shapes));
        out->weight_count += COUNT(shapes);
    }
}
