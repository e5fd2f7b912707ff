/* verify/check_attention.c - rope_kv, and attention over pages that rope_kv filled. */
#include "verify/check_impl.h"

#include "base/alloc.h"
#include "op/rope_kv.h"
#include "verify/input.h"
#include "verify/ref_attention.h"

#include <math.h>
#include <string.h>

#define ROPE_BOUND 5e-7            /* two products and their sum, each rounded once */

/* f32 sums of up to 256 terms, whose error the softmax multiplies, and exp(), which may err
 * by 3 + 2 |x| ulp (tests/ref/attention.h); keys and values are exact in every type. */
#define ATTENTION_BOUND 3e-5
#define WEIGHTS_ERR 0.05           /* added to the terms' sum: weights err even where values cancel */

#define SEQS 2u                    /* one that decodes, one that reads its prompt */
#define SPLITS_MAX 32u
#define OUT_PAD 32u
#define Q_SCALE 0.3f

static uint64_t seed_of(const pm_check *c)
{
    return pm_mix64(c->seed + 77 + c->head_dim) + c->heads;
}

static pm_kv_layout layout_of(const pm_check *c)
{
    return (pm_kv_layout){.type = (pm_kv_type)c->type, .kv_heads = c->kv_heads, .head_dim = c->head_dim,
                          .page_tokens = c->page_tokens};
}

static uint32_t width_of(const pm_check *c)
{
    return (c->heads + 2 * c->kv_heads) * c->head_dim;
}

/* ------------------------------------------------------------------ rope */

static bool pairs_are_halves(const pm_check *c)
{
    return c->pairs == PM_CHECK_PAIRS_ANY ? c->heads % 2 == 0 : c->pairs == PM_CHECK_PAIRS_HALVES;
}

static void rope_reference(pm_check_run *run, const pm_rope_kv *r, const float *qkv, const float *table)
{
    const pm_check *c = run->check;
    const uint32_t pairs = r->rotary_dim / 2;
    for (uint32_t row = 0; row < c->rows; row++)
        for (uint32_t h = 0; h < c->heads; h++) {
            const uint64_t to = ((uint64_t)row * c->heads + h) * c->head_dim;
            const float *in = qkv + (uint64_t)row * r->qkv_stride + h * c->head_dim;
            for (uint32_t d = 0; d < c->head_dim; d++) {
                run->want[to + d] = (double)in[d];
                run->size[to + d] = fabs((double)in[d]);
            }
            for (uint32_t i = 0; i < pairs; i++) {
                const uint32_t a = r->neox ? i : 2 * i, b = r->neox ? i + pairs : 2 * i + 1;
                const double cs = (double)table[(row * pairs + i) * 2], sn = (double)table[(row * pairs + i) * 2 + 1];
                const double x = (double)in[a], y = (double)in[b];
                run->want[to + a] = x * cs - y * sn;
                run->want[to + b] = x * sn + y * cs;
                run->size[to + a] = fabs(x * cs) + fabs(y * sn);
                run->size[to + b] = fabs(x * sn) + fabs(y * cs);
            }
        }
}

pm_result pm_check_rope(pm_check_run *run)
{
    const pm_check *c = run->check;
    const pm_kv_layout layout = layout_of(c);
    const uint32_t rotary_dim = c->head_dim / 4 * 2, pages = c->rows / c->page_tokens + 1;
    pm_rope_kv r = {.layout = layout, .rows_max = c->rows, .qkv_stride = width_of(c), .heads = c->heads,
                    .rotary_dim = rotary_dim, .neox = pairs_are_halves(c)};
    float *qkv = pm_check_take(run, (uint64_t)c->rows * r.qkv_stride * 4, &r.qkv);
    float *table = pm_check_take(run, (uint64_t)c->rows * rotary_dim * 4, &r.table);
    uint32_t *positions = pm_check_take(run, (uint64_t)c->rows * 4, &r.positions);
    uint32_t *slots = pm_check_take(run, (uint64_t)c->rows * 4, &r.slots);
    uint32_t *count = pm_check_take(run, 4, &r.rows);
    (void)pm_check_take(run, pages * pm_kv_page_bytes(&layout), &r.kv);
    pm_check_output(run, r.qkv, c->rows, c->heads * c->head_dim, r.qkv_stride, false);
    pm_check_passing(run, r.kv);
    run->bound = ROPE_BOUND;
    if (run->host != NULL) {
        *count = c->rows;
        for (uint64_t i = 0; i < (uint64_t)c->rows * r.qkv_stride; i++)
            qkv[i] = pm_input_normal(seed_of(c), i);
        for (uint64_t i = 0; i < (uint64_t)c->rows * rotary_dim; i++) /* any pairs will do: no libm */
            table[i] = pm_input_normal(seed_of(c) + 1, i) * 0.5f;
        for (uint32_t i = 0; i < c->rows; i++)
            positions[i] = slots[i] = i;
    }
    if (run->recorder != NULL)
        PM_TRY(pm_rope_kv_record(run->recorder, &r));
    if (run->want != NULL)
        rope_reference(run, &r, qkv, table);
    return PM_OK;
}

/* ------------------------------------------------------------- attention */

/* Sequence 0 has `past` keys and decodes one row; sequence 1 half as many, and the rest of
 * the rows are its prompt. */
typedef struct plan {
    uint32_t past[SEQS], fresh[SEQS], seqs;
    uint32_t table_stride, pages;
} plan;

static plan plan_of(const pm_check *c)
{
    plan p = {.past = {c->past, c->past / 2}, .fresh = {1, c->rows - 1}, .seqs = c->rows > 1 ? 2 : 1};
    p.table_stride = (c->past + c->rows + c->page_tokens - 1) / c->page_tokens + 1;
    p.pages = SEQS * p.table_stride * 2 + 3;
    return p;
}

/* Pages lie apart, in falling order, the sequences' interleaved. */
static uint32_t page_of(const plan *p, uint32_t seq, uint32_t index)
{
    return p->pages - 1 - 2 * (SEQS * index + seq) - 1;
}

/* Element `at` of token t of a sequence: K heads, then V heads. In pages of q4_0 -8 .. 7 quarters,
 * else -127 .. 127 of 32 parts, the first of every 32 the lowest: pages of any type hold them exactly. */
static float kv_value(const pm_check *c, uint32_t seq, uint32_t token, uint32_t at)
{
    const uint64_t i = ((uint64_t)seq << 40) + (uint64_t)token * 2 * c->kv_heads * c->head_dim + at;
    if (c->type == PM_KV_Q4_0)
        return (at % 32 == 0 ? -8.0f : (float)((int32_t)pm_input_index(seed_of(c) + 2, i, 16) - 8)) / 4.0f;
    return (at % 32 == 0 ? -127.0f : (float)((int32_t)pm_input_index(seed_of(c) + 2, i, 255) - 127)) / 32.0f;
}

static float q_value(const pm_check *c, uint32_t row, uint32_t at)
{
    return Q_SCALE * pm_input_normal(seed_of(c) + 3, (uint64_t)row * c->heads * c->head_dim + at);
}

pm_attention pm_check_attention_shape(const pm_check *c)
{
    const plan p = plan_of(c);
    return (pm_attention){
        .layout = layout_of(c),
        .rows_max = c->rows,
        .seqs_max = SEQS,
        .rows_per_seq_max = c->rows > 1 ? c->rows : 1,
        .kv_len_max = c->past + c->rows,
        .heads = c->heads,
        .q_stride = width_of(c),
        .out_stride = c->heads * c->head_dim + OUT_PAD,
        .table_stride = p.table_stride,
        .scale = (float)(1.0 / sqrt((double)c->head_dim)),
        .window = c->window,
        .splits = c->splits,
        .deterministic = c->deterministic,
    };
}

/* The rows of one rope_kv: tokens first[s] .. first[s] + count[s] - 1 of each sequence, not
 * rotated (cos 1, sin 0), so that what the pages hold is known to the bit. */
static pm_result store(pm_check_run *run, const plan *p, const uint32_t first[SEQS], const uint32_t counts[SEQS],
                       pm_slice kv, pm_slice *qkv_slice)
{
    const pm_check *c = run->check;
    const uint32_t rows = counts[0] + (p->seqs > 1 ? counts[1] : 0), width = width_of(c), q_width = c->heads * c->head_dim;
    pm_rope_kv r = {.kv = kv, .layout = layout_of(c), .rows_max = rows, .qkv_stride = width, .heads = c->heads,
                    .rotary_dim = c->head_dim};
    float *qkv = pm_check_take(run, (uint64_t)rows * width * 4, &r.qkv);
    float *table = pm_check_take(run, (uint64_t)c->head_dim * 4, &r.table);
    uint32_t *positions = pm_check_take(run, (uint64_t)rows * 4, &r.positions);
    uint32_t *slots = pm_check_take(run, (uint64_t)rows * 4, &r.slots);
    uint32_t *count = pm_check_take(run, 4, &r.rows);
    *qkv_slice = r.qkv;
    for (uint32_t s = 0, row = 0; run->host != NULL && s < p->seqs; s++)
        for (uint32_t i = 0; i < counts[s]; i++, row++) {
            const uint32_t token = first[s] + i;
            for (uint32_t at = 0; at < width; at++)
                qkv[(uint64_t)row * width + at] = at < q_width ? q_value(c, row, at) : kv_value(c, s, token, at - q_width);
            positions[row] = 0;
            slots[row] = page_of(p, s, token / c->page_tokens) * c->page_tokens + token % c->page_tokens;
        }
    if (run->host != NULL) {
        *count = rows;
        for (uint32_t i = 0; i < c->head_dim; i++)
            table[i] = i % 2 == 0 ? 1.0f : 0.0f;
    }
    return run->recorder != NULL && !run->again ? pm_rope_kv_record(run->recorder, &r) : PM_OK;
}

static pm_result attention_reference(pm_check_run *run, const plan *p)
{
    const pm_check *c = run->check;
    const uint32_t dim = c->head_dim, tokens = c->past + c->rows, out_columns = c->heads * dim + OUT_PAD;
    float *k = pm_alloc(3 * (uint64_t)tokens * dim, sizeof(*k), "references"), *q = k;
    if (k == NULL)
        return PM_ERR_NOMEM;
    float *v = k + (uint64_t)tokens * dim;
    q = v + (uint64_t)tokens * dim;
    memset(run->want, 0, run->count * sizeof(*run->want));
    memset(run->size, 0, run->count * sizeof(*run->size));
    for (uint32_t s = 0, row = 0; s < p->seqs; s++)
        for (uint32_t i = 0; i < p->fresh[s]; i++, row++)
            for (uint32_t h = 0; h < c->heads; h++) {
                const uint32_t end = p->past[s] + i + 1, kv_head = h / (c->heads / c->kv_heads);
                const uint32_t begin = c->window > 0 && end > c->window ? end - c->window : 0;
                const uint64_t to = (uint64_t)row * out_columns + h * dim;
                for (uint32_t t = begin; t < end; t++)
                    for (uint32_t d = 0; d < dim; d++) {
                        k[t * dim + d] = kv_value(c, s, t, kv_head * dim + d);
                        v[t * dim + d] = kv_value(c, s, t, (c->kv_heads + kv_head) * dim + d);
                    }
                for (uint32_t d = 0; d < dim; d++)
                    q[d] = q_value(c, row, h * dim + d);
                ref_attention(q, k, v, begin, end, dim, dim, 1.0 / sqrt((double)dim), run->want + to, run->size + to);
                for (uint32_t d = 0; d < dim; d++)
                    run->size[to + d] += WEIGHTS_ERR;
            }
    pm_free(k);
    return PM_OK;
}

static void attention_tables(const pm_check *c, const plan *p, uint32_t *tables, uint32_t *row_seq, uint32_t *row_start,
                             uint32_t *kv_len, uint32_t *rows)
{
    for (uint32_t s = 0, row = 0; s < SEQS; s++) {
        row_start[s] = row;
        kv_len[s] = p->past[s] + p->fresh[s];
        for (uint32_t i = 0; i < p->table_stride; i++)
            tables[s * p->table_stride + i] = i * c->page_tokens < kv_len[s] ? page_of(p, s, i) : 0;
        for (uint32_t i = 0; i < p->fresh[s]; i++)
            row_seq[row++] = s;
        row_start[s + 1] = row;
    }
    *rows = c->rows;
}

/* CPU drivers compile a kernel when it is first run. This one takes them longest: they begin with it, and what fills
 * the pages another device has compiled meanwhile. */
static pm_result record_no_rows(pm_check_run *run, pm_attention a)
{
    uint32_t *rows = pm_check_take(run, 4, &a.rows);
    a.q = a.out;                   /* as good as another */
    if (run->host != NULL)
        *rows = 0;
    return run->recorder != NULL && !run->again ? pm_attention_record_variant(run->recorder, &a, run->check->variant) : PM_OK;
}

pm_result pm_check_attention(pm_check_run *run)
{
    const pm_check *c = run->check;
    const plan p = plan_of(c);
    pm_attention a = pm_check_attention_shape(c);
    pm_slice past_qkv;
    (void)pm_check_take(run, p.pages * pm_kv_page_bytes(&a.layout), &a.kv);
    pm_check_passing(run, a.kv);
    uint32_t *tables = pm_check_take(run, (uint64_t)SEQS * p.table_stride * 4, &a.block_tables);
    uint32_t *row_seq = pm_check_take(run, (uint64_t)c->rows * 4, &a.row_seq);
    uint32_t *row_start = pm_check_take(run, (SEQS + 1) * 4, &a.row_start);
    uint32_t *kv_len = pm_check_take(run, SEQS * 4, &a.kv_len);
    uint32_t *rows = pm_check_take(run, 4, &a.rows);
    (void)pm_check_take(run, (uint64_t)c->rows * c->heads * SPLITS_MAX * (c->head_dim + 2) * 4, &a.scratch);
    (void)pm_check_take(run, (uint64_t)c->rows * a.out_stride * 4, &a.out);
    pm_check_output(run, a.out, c->rows, a.out_stride, a.out_stride, false);
    pm_check_passing(run, a.scratch);
    run->bound = ATTENTION_BOUND;
    if (run->host != NULL)
        attention_tables(c, &p, tables, row_seq, row_start, kv_len, rows);
    PM_TRY(record_no_rows(run, a));
    if (c->past > 0)
        PM_TRY(store(run, &p, (const uint32_t[SEQS]){0, 0}, p.past, a.kv, &past_qkv));
    PM_TRY(store(run, &p, p.past, p.fresh, a.kv, &a.q));
    if (run->recorder != NULL)
        PM_TRY(pm_attention_record_variant(run->recorder, &a, c->variant));
    return run->want != NULL ? attention_reference(run, &p) : PM_OK;
}
