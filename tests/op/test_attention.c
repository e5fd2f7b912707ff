/* test_attention.c - RoPE, KV pages and attention together and apart, against double.
 *
 * Keys and values go into the pages through rope_kv, and what lies there afterwards is compared
 * word by word with plain C: values to the bit, keys to the bit where they are not rotated,
 * everything else untouched. Attention is then compared, variant by variant, with double over
 * exactly what the pages hold, and by FlashAttention's rule with a plain float implementation
 * over the same pages: at most twice its error against double over the unrounded keys and values.
 * Variants that round q and the weights to f16 have a bound of their own, and plain f16 to be held to.
 * Sequences have shuffled pages with holes between them, may share their first pages, and rows
 * that decode stand beside rows of prompt chunks. */
#include "op/suite.h"

#include "base/half.h"
#include "op/attention.h"
#include "op/rope_kv.h"
#include "ref/attention.h"
#include "ref/kv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the magnitudes that ref_attention_reach() sums, whatever the type of the pages: see
 * shaders/attention.comp. Weights and products below 2^-126 may be flushed. */
#define RTOL 1e-6
#define ATOL 1e-30

/* prefill_coopmat rounds q and the weights to f16, 2^-11 of each, which reaches a result by the same
 * sum of magnitudes; small weights, whose largest is 1 or more, by 2^-25 each. And by FlashAttention's
 * rule it errs at most twice as much as plain f16 in C, from double over the pages, and RTOL. */
#define RTOL_COOPMAT 0x1p-10

#define SEQS_MAX 8u
#define ROWS_MAX 1024u

/* One case: sequences with `past` tokens in KV and `fresh` rows in this batch. */
typedef struct attention_case {
    uint32_t heads, kv_heads, head_dim, page_tokens, seqs;
    uint32_t past[SEQS_MAX], fresh[SEQS_MAX];
    uint32_t shared_pages;         /* of sequence 0, which the others begin with */
    uint32_t window, rotary_dim;
    pm_kv_type type;
    bool neox;
    input_kind kind;               /* of K and V */
    float q_scale;                 /* 0 = 1 */
    bool both;                     /* deterministic variants too */
} attention_case;

typedef struct attention_data {
    pm_kv_layout layout;
    uint32_t rows, rows_max, pages, table_stride, tokens; /* tokens: of the longest sequence */
    uint32_t row_seq[ROWS_MAX], row_start[SEQS_MAX + 1], kv_len[SEQS_MAX], positions[ROWS_MAX];
    uint32_t *tables;              /* [seqs, table_stride] */
    float *k, *v;                  /* [seqs, tokens, kv_heads * head_dim] as the pages hold them */
    float *raw_k, *raw_v;          /* and before */
    float *q;                      /* [rows, heads * head_dim] rotated, as the device made it */
    uint8_t *image;                /* what the pages must hold */
    test_buffer kv;
} attention_data;

static void rotate(const attention_case *c, const float *in, uint32_t position, double *out)
{
    const uint32_t half = c->rotary_dim / 2;
    for (uint32_t d = 0; d < c->head_dim; d++)
        out[d] = (double)in[d];
    for (uint32_t i = 0; i < half; i++) {
        const double angle = position * pow(10000.0, -2.0 * i / c->rotary_dim);
        const double cs = (double)(float)cos(angle), sn = (double)(float)sin(angle);
        const uint32_t a = c->neox ? i : 2 * i, b = c->neox ? i + half : 2 * i + 1;
        out[a] = (double)in[a] * cs - (double)in[b] * sn;
        out[b] = (double)in[a] * sn + (double)in[b] * cs;
    }
}

/* Page ids in a shuffled order with holes: page i of all is id (i * 7 + 3) mod a prime. */
static uint32_t page_of(uint32_t i, uint32_t pages)
{
    return (uint32_t)(((uint64_t)i * 7 + 3) % pages);
}

static bool is_prime(uint32_t n)
{
    for (uint32_t i = 2; i * i <= n; i++)
        if (n % i == 0)
            return false;
    return true;
}

/* ------------------------------------------------------------- the pages */

static bool is_shared(const attention_case *c, uint32_t s, uint32_t token)
{
    return s > 0 && token < c->shared_pages * c->page_tokens;
}

static void lay_out(const attention_case *c, attention_data *d)
{
    uint32_t used = 0;
    memset(d, 0, sizeof(*d));
    d->layout = (pm_kv_layout){c->type, c->kv_heads, c->head_dim, c->page_tokens};
    for (uint32_t s = 0; s < c->seqs; s++) {
        const uint32_t len = c->past[s] + c->fresh[s];
        d->tokens = len > d->tokens ? len : d->tokens;
    }
    d->table_stride = (d->tokens + c->page_tokens - 1) / c->page_tokens + 1;
    d->tables = calloc(c->seqs * d->table_stride, sizeof(*d->tables));
    assert_non_null(d->tables);
    d->pages = c->seqs * d->table_stride + 5;
    while (!is_prime(d->pages) || d->pages == 7)
        d->pages++;
    for (uint32_t s = 0; s < c->seqs; s++) {
        const uint32_t len = c->past[s] + c->fresh[s];
        for (uint32_t i = 0; i * c->page_tokens < len; i++)
            d->tables[s * d->table_stride + i] = s > 0 && i < c->shared_pages ? d->tables[i] : page_of(used++, d->pages);
        d->row_start[s] = d->rows;
        d->kv_len[s] = len;
        for (uint32_t i = 0; i < c->fresh[s]; i++, d->rows++) {
            assert_true(d->rows < ROWS_MAX);
            d->row_seq[d->rows] = s;
            d->positions[d->rows] = c->past[s] + i;
        }
    }
    d->row_start[c->seqs] = d->rows;
    d->rows_max = d->rows + 2;
    const uint64_t floats = (uint64_t)c->seqs * d->tokens * c->kv_heads * c->head_dim;
    const uint64_t words = d->pages * pm_kv_page_bytes(&d->layout) / 4;
    d->k = calloc(4 * floats, sizeof(float));
    d->v = d->k + floats;
    d->raw_k = d->v + floats;
    d->raw_v = d->raw_k + floats;
    d->q = calloc((uint64_t)d->rows * c->heads * c->head_dim, sizeof(*d->q));
    uint32_t *image = malloc(words * 4);
    assert_true(d->k != NULL && d->q != NULL && image != NULL);
    for (uint64_t i = 0; i < words; i++)
        image[i] = CANARY_WORD;
    d->image = (uint8_t *)image;
    d->kv = buffer_make(words * 4);
}

static uint8_t *page_at(const attention_data *d, uint8_t *pages, uint32_t s, uint32_t token)
{
    return pages + d->tables[s * d->table_stride + token / d->layout.page_tokens] * pm_kv_page_bytes(&d->layout);
}

static float *row_at(const attention_data *d, float *rows, uint32_t s, uint32_t token)
{
    return rows + ((uint64_t)s * d->tokens + token) * d->layout.kv_heads * d->layout.head_dim;
}

/* Device and plain C may round a rotated key to different neighbours: it was rotated in
 * float. Rounding itself errs by half a step of the type. */
static double key_tolerance(pm_kv_type type, double most)
{
    return most * (type == PM_KV_F32 ? 4e-7 : type == PM_KV_F16 ? 6e-4 : type == PM_KV_Q8_0 ? 0.0048 : 0.132) + 1e-7;
}

/* Token `position` of sequence s lies in `pages` as read from the device: fills k, v and the
 * image. q4_0 may err by a whole step at the end opposite to the largest element. */
static void check_token(const attention_case *c, attention_data *d, uint8_t *pages, uint32_t s, uint32_t position)
{
    const uint32_t t = position % c->page_tokens;
    uint8_t *page = page_at(d, pages, s, position), *image = page_at(d, d->image, s, position);
    for (uint32_t h = 0; h < c->kv_heads; h++) {
        float *k = row_at(d, d->k, s, position) + h * c->head_dim, *v = row_at(d, d->v, s, position) + h * c->head_dim;
        const float *raw_k = row_at(d, d->raw_k, s, position) + h * c->head_dim;
        ref_kv_get(&d->layout, page, false, h, t, k);
        if (c->rotary_dim == 0 || (position == 0 && c->kind != INPUT_TINY)) { /* turned by 0 */
            ref_kv_put(&d->layout, image, false, h, t, raw_k);
        } else {
            for (uint32_t b = 0; b < c->head_dim; b += 32) {
                double most = 0.0;
                const uint32_t end = b + 32 < c->head_dim ? b + 32 : c->head_dim;
                for (uint32_t i = b; i < end; i++)
                    most = fmax(most, fabs((double)raw_k[i]));
                for (uint32_t i = b; i < end; i++)
                    if (!(fabs((double)k[i] - (double)raw_k[i]) <= key_tolerance(c->type, most)))
                        fail_msg("%s key of sequence %u, token %u, head %u, element %u is %.9g, expected %.9g",
                                 pm_kv_type_name(c->type), s, position, h, i, (double)k[i], (double)raw_k[i]);
            }
            for (uint32_t i = 0; i < c->head_dim; i++) {
                bool high;
                const uint64_t at = ref_kv_at(&d->layout, false, h, t, i, &high);
                memcpy(image + at, page + at, c->type == PM_KV_F32 ? 4 : c->type == PM_KV_F16 ? 2 : 1);
                if (pm_kv_type_has_scales(c->type)) {
                    const uint64_t scale = ref_kv_scale_at(&d->layout, false, h, t, i / 32);
                    memcpy(image + scale, page + scale, 2);
                }
            }
        }
        ref_kv_put(&d->layout, image, true, h, t, row_at(d, d->raw_v, s, position) + h * c->head_dim);
        ref_kv_get(&d->layout, page, true, h, t, v);
    }
}

static void check_pages(const attention_case *c, attention_data *d)
{
    const uint64_t bytes = d->pages * pm_kv_page_bytes(&d->layout);
    uint8_t *pages = malloc(bytes);
    assert_non_null(pages);
    buffer_read(&d->kv, pages);
    for (uint32_t s = 0; s < c->seqs; s++)
        for (uint32_t i = 0; i < d->kv_len[s]; i++)
            check_token(c, d, pages, s, i);
    for (uint64_t i = 0; i < bytes; i++)
        if (pages[i] != d->image[i])
            fail_msg("%s pages, %u heads of %u, input kind %d: byte %llu of page %llu is 0x%02x, expected 0x%02x",
                     pm_kv_type_name(c->type), c->kv_heads, c->head_dim, (int)c->kind,
                     (unsigned long long)(i % pm_kv_page_bytes(&d->layout)),
                     (unsigned long long)(i / pm_kv_page_bytes(&d->layout)), pages[i], d->image[i]);
    free(pages);
}

/* ------------------------------------------------------------------ rope */

/* Q, K and V of one row, which follow from its sequence and position alone. */
static void fill_row(const attention_case *c, uint32_t s, uint32_t position, float *row)
{
    const uint64_t seed = harness_seed() ^ ((uint64_t)(is_shared(c, s, position) ? 0 : s) << 32 | position) * 1315423911u;
    const uint32_t q_width = c->heads * c->head_dim, width = q_width + 2 * c->kv_heads * c->head_dim;
    for (uint32_t i = 0; i < width; i++)
        row[i] = i < q_width ? input_value(INPUT_NORMAL, seed, i) * (c->q_scale != 0.0f ? c->q_scale : 1.0f)
                             : input_value(c->kind, seed, i);
}

static void check_rotated(const attention_case *c, const float *in, const float *got, uint32_t position)
{
    for (uint32_t h = 0; h < c->heads; h++) {
        double want[256], size[256];
        rotate(c, in + h * c->head_dim, position, want);
        for (uint32_t i = 0; i < c->head_dim; i++)
            size[i] = fabs((double)in[h * c->head_dim + i]) + 10.0 * (c->q_scale != 0.0f ? (double)c->q_scale : 1.0);
        compare(got + h * c->head_dim, want, size, c->head_dim, 1e-7, 1e-37, "rope q");
    }
}

/* Stores the tokens of `rows` rows, and takes the rotated Q where q_out is given. */
static void store(const attention_case *c, attention_data *d, const test_buffer *table, uint32_t rows,
                  const uint32_t *seq, const uint32_t *position, float *q_out)
{
    const uint32_t width = (c->heads + 2 * c->kv_heads) * c->head_dim, q_width = c->heads * c->head_dim;
    float *qkv = malloc((uint64_t)rows * width * sizeof(*qkv));
    uint32_t *slots = malloc(rows * sizeof(*slots));
    assert_true(qkv != NULL && slots != NULL);
    for (uint32_t r = 0; r < rows; r++) {
        float *row = qkv + (uint64_t)r * width, *raw_k = row_at(d, d->raw_k, seq[r], position[r]);
        fill_row(c, seq[r], position[r], row);
        slots[r] = is_shared(c, seq[r], position[r])
                       ? PM_SLOT_NONE
                       : d->tables[seq[r] * d->table_stride + position[r] / c->page_tokens] * c->page_tokens +
                             position[r] % c->page_tokens;
        for (uint32_t h = 0; h < c->kv_heads; h++) {
            double rotated[256];
            rotate(c, row + q_width + h * c->head_dim, position[r], rotated);
            for (uint32_t i = 0; i < c->head_dim; i++)
                raw_k[h * c->head_dim + i] = (float)rotated[i];
        }
        memcpy(row_at(d, d->raw_v, seq[r], position[r]), row + q_width + c->kv_heads * c->head_dim,
               c->kv_heads * c->head_dim * sizeof(float));
    }
    test_buffer qkv_buffer = buffer_from(qkv, (uint64_t)rows * width * 4), slot_buffer = buffer_from(slots, rows * 4),
                position_buffer = buffer_from(position, rows * 4), count = buffer_from(&rows, 4);
    const pm_rope_kv rope = {.qkv = qkv_buffer.slice, .table = table->slice, .positions = position_buffer.slice,
                             .slots = slot_buffer.slice, .kv = d->kv.slice, .rows = count.slice, .layout = d->layout,
                             .rows_max = rows, .qkv_stride = width, .heads = c->heads, .rotary_dim = c->rotary_dim,
                             .neox = c->neox};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rope_kv_record(recorder, &rope));
    run_recorder(recorder);
    if (q_out != NULL) {
        float *back = malloc((uint64_t)rows * width * sizeof(*back));
        assert_non_null(back);
        buffer_read(&qkv_buffer, back);
        for (uint32_t r = 0; r < rows; r++) {
            check_rotated(c, qkv + (uint64_t)r * width, back + (uint64_t)r * width, position[r]);
            memcpy(q_out + (uint64_t)r * q_width, back + (uint64_t)r * width, q_width * sizeof(float));
        }
        free(back);
    }
    buffer_free(&qkv_buffer);
    buffer_free(&slot_buffer);
    buffer_free(&position_buffer);
    buffer_free(&count);
    free(qkv);
    free(slots);
}

static void store_past(const attention_case *c, attention_data *d, const test_buffer *table)
{
    uint32_t total = 0, n = 0;
    for (uint32_t s = 0; s < c->seqs; s++)
        total += c->past[s];
    if (total == 0)
        return;
    uint32_t *seq = malloc(total * sizeof(*seq)), *position = malloc(total * sizeof(*position));
    assert_true(seq != NULL && position != NULL);
    for (uint32_t s = 0; s < c->seqs; s++)
        for (uint32_t i = 0; i < c->past[s]; i++, n++) {
            seq[n] = s;
            position[n] = i;
        }
    for (uint32_t i = 0; i < total; i += 32768) /* a grid has at most 65,535 rows of workgroups */
        store(c, d, table, total - i < 32768 ? total - i : 32768, seq + i, position + i, NULL);
    free(seq);
    free(position);
}

/* Pages filled and checked, Q rotated. */
static void fill(const attention_case *c, attention_data *d)
{
    lay_out(c, d);
    const uint64_t count = (uint64_t)d->tokens * (c->rotary_dim > 0 ? c->rotary_dim : 1);
    float *angles = calloc(count, sizeof(*angles));
    assert_non_null(angles);
    for (uint32_t p = 0; p < d->tokens; p++)
        for (uint32_t i = 0; i < c->rotary_dim / 2; i++) {
            const double angle = p * pow(10000.0, -2.0 * i / c->rotary_dim);
            angles[p * c->rotary_dim + 2 * i] = (float)cos(angle);
            angles[p * c->rotary_dim + 2 * i + 1] = (float)sin(angle);
        }
    test_buffer table = buffer_from(angles, count * 4);
    store_past(c, d, &table);
    store(c, d, &table, d->rows, d->row_seq, d->positions, d->q);
    check_pages(c, d);
    buffer_free(&table);
    free(angles);
}

static void finish(attention_data *d)
{
    buffer_free(&d->kv);
    free(d->tables);
    free(d->k);
    free(d->q);
    free(d->image);
}

/* ------------------------------------------------------------- attention */

/* Inputs of one recorded call, and its output. */
typedef struct call {
    test_buffer q, out, tables, row_seq, row_start, kv_len, rows, scratch;
    pm_attention a;
    uint64_t out_floats;
} call;

/* All rows of the data, or with row < rows that one alone, as a sequence of its own. */
static call make_call(const attention_case *c, const attention_data *d, uint32_t variant, bool deterministic, uint32_t row)
{
    const uint32_t q_stride = c->heads * c->head_dim, out_stride = q_stride + 32;
    const bool alone = row < d->rows;
    const uint32_t seqs = alone ? 1 : c->seqs, rows = alone ? 1 : d->rows, rows_max = alone ? 1 : d->rows_max;
    const uint32_t alone_seq = 0, alone_start[2] = {0, 1}, alone_len = alone ? d->positions[row] + 1 : 0;
    call k = {
        .out_floats = (uint64_t)rows_max * out_stride,
        .q = buffer_from(d->q + (alone ? (uint64_t)row * q_stride : 0), (uint64_t)rows * q_stride * 4),
        .out = buffer_make((uint64_t)rows_max * out_stride * 4),
        .tables = buffer_from(d->tables + (alone ? d->row_seq[row] * d->table_stride : 0),
                              (uint64_t)seqs * d->table_stride * 4),
        .row_seq = buffer_from(alone ? &alone_seq : d->row_seq, rows * 4),
        .row_start = buffer_from(alone ? alone_start : d->row_start, (seqs + 1) * 4),
        .kv_len = buffer_from(alone ? &alone_len : d->kv_len, seqs * 4),
        .rows = buffer_from(&rows, 4),
    };
    k.a = (pm_attention){.q = k.q.slice, .out = k.out.slice, .kv = d->kv.slice, .block_tables = k.tables.slice,
                         .row_seq = k.row_seq.slice, .row_start = k.row_start.slice, .kv_len = k.kv_len.slice,
                         .rows = k.rows.slice, .layout = d->layout, .rows_max = rows_max, .seqs_max = seqs,
                         .rows_per_seq_max = rows_max, .kv_len_max = d->tokens, .heads = c->heads, .q_stride = q_stride,
                         .out_stride = out_stride, .table_stride = d->table_stride,
                         .scale = (float)(1.0 / sqrt((double)c->head_dim)), .window = c->window,
                         .deterministic = deterministic};
    const uint64_t scratch = pm_attention_variant_scratch_bytes(pm_vk_device_caps(harness_device()), &k.a, variant);
    k.scratch = buffer_make(scratch > 0 ? scratch : 4);
    k.a.scratch = k.scratch.slice;
    return k;
}

static float *take_call(call *k)
{
    float *got = malloc(k->out_floats * sizeof(*got));
    assert_non_null(got);
    buffer_read(&k->out, got);
    test_buffer *all[] = {&k->q, &k->out, &k->tables, &k->row_seq, &k->row_start, &k->kv_len, &k->rows, &k->scratch};
    uint32_t *scratch = malloc(k->scratch.slice.bytes);
    assert_non_null(scratch);
    buffer_read(&k->scratch, scratch); /* its canaries */
    free(scratch);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        buffer_free(all[i]);
    return got;
}

static float *run_call(const attention_case *c, const attention_data *d, uint32_t variant, bool deterministic, uint32_t row)
{
    call k = make_call(c, d, variant, deterministic, row);
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_attention_record_variant(recorder, &k.a, variant));
    run_recorder(recorder);
    return take_call(&k);
}

/* The worst error of variants in f16, of plain f16's worst in the same case. */
static double half_share;

static bool is_half(uint32_t variant)
{
    return strcmp(pm_attention_variant(variant), "prefill_coopmat") == 0;
}

/* Variants of one order of additions agree to the bit: 1 is that of texels, 0 of all others. */
static uint32_t order_of(uint32_t variant)
{
    return strcmp(pm_attention_variant(variant), "texels") == 0;
}

/* NULL, or what the call lacks for the variant, which then must refuse it. */
static const char *lacks_of(const call *k, uint32_t variant)
{
    const char *lacks = pm_attention_variant_lacks(variant, pm_vk_device_caps(harness_device()), &k->a);
    if (lacks == NULL)
        return NULL;
    pm_vk_recorder *refusing = make_recorder();
    assert_int_equal(pm_attention_record_variant(refusing, &k->a, variant), PM_ERR_UNSUP);
    pm_vk_recorder_destroy(refusing);
    tally_skip("attention", pm_attention_variant(variant), lacks);
    return lacks;
}

static bool variant_takes(const attention_case *c, const attention_data *d, uint32_t variant, bool deterministic)
{
    call probe = make_call(c, d, variant, deterministic, UINT32_MAX);
    const bool takes = lacks_of(&probe, variant) == NULL;
    free(take_call(&probe));
    return takes;
}

/* What a row and head must give: in double over the pages, and by the rule's measures. */
typedef struct expected {
    double *want, *size, *raw;     /* [rows, heads * head_dim] */
    double *half_size;             /* where a variant may be in f16: size, and what reaches a result where weights are f16 */
    double trusted_error;          /* the largest of the float implementation, against raw */
    double half_error;             /* and of the f16 implementation, against want, of size */
} expected;

/* |got - want| / size; what is zero in size may err by ATOL. */
static double share_of(double got, double want, double size)
{
    const double error = fabs(got - want);
    return error <= ATOL ? 0.0 : error / size;
}

static expected expect(const attention_case *c, attention_data *d)
{
    const bool in_half = pm_vk_device_caps(harness_device())->bits & PM_CAP_BIT(COOPMAT);
    const uint32_t kv_width = c->kv_heads * c->head_dim, group = c->heads / c->kv_heads, width = c->heads * c->head_dim;
    const double scale = 1.0 / sqrt((double)c->head_dim);
    expected e = {.want = malloc((uint64_t)4 * d->rows * width * sizeof(double))};
    assert_non_null(e.want);
    e.size = e.want + (uint64_t)d->rows * width;
    e.raw = e.size + (uint64_t)d->rows * width;
    e.half_size = e.raw + (uint64_t)d->rows * width;
    for (uint32_t r = 0; r < d->rows; r++) {
        const uint32_t s = d->row_seq[r], end = d->positions[r] + 1;
        const uint32_t begin = c->window > 0 && end > c->window ? end - c->window : 0;
        for (uint32_t h = 0; h < c->heads; h++) {
            float trusted[256], half[256];
            double unused[256];
            const float *q = d->q + ((uint64_t)r * c->heads + h) * c->head_dim;
            const uint64_t at = (uint64_t)r * width + h * c->head_dim;
            const uint64_t kv = (uint64_t)s * d->tokens * kv_width + h / group * c->head_dim;
            ref_attention(q, d->k + kv, d->v + kv, begin, end, kv_width, c->head_dim, scale, e.want + at, unused);
            ref_attention_reach(q, d->k + kv, d->v + kv, begin, end, kv_width, c->head_dim, scale, e.size + at);
            ref_attention(q, d->raw_k + kv, d->raw_v + kv, begin, end, kv_width, c->head_dim, scale, e.raw + at, unused);
            ref_attention_float(q, d->k + kv, d->v + kv, begin, end, kv_width, c->head_dim, (float)scale, trusted);
            for (uint32_t i = 0; i < c->head_dim; i++)
                e.trusted_error = fmax(e.trusted_error, fabs((double)trusted[i] - e.raw[at + i]));
            if (!in_half)
                continue;
            ref_attention_half(q, d->k + kv, d->v + kv, begin, end, kv_width, c->head_dim, (float)scale, half);
            for (uint32_t i = 0; i < c->head_dim; i++) {
                double values = 0.0;
                for (uint32_t j = begin; j < end; j++)
                    values += fabs((double)d->v[kv + (uint64_t)j * kv_width + i]);
                e.half_size[at + i] = e.size[at + i] + values * 0x1p-25 / RTOL_COOPMAT;
                e.half_error = fmax(e.half_error, share_of((double)half[i], e.want[at + i], e.half_size[at + i]));
            }
        }
    }
    return e;
}

static void check_rows(const attention_case *c, const attention_data *d, const expected *e, const float *got,
                       uint32_t variant, const char *what)
{
    const uint32_t width = c->heads * c->head_dim, out_stride = width + 32;
    const double rtol = is_half(variant) ? RTOL_COOPMAT : RTOL;
    const double *size = is_half(variant) ? e->half_size : e->size;
    double error = 0.0, share = 0.0;
    for (uint32_t r = 0; r < d->rows; r++) {
        const float *row = got + (uint64_t)r * out_stride;
        for (uint32_t h = 0; h < c->heads; h++) {
            const uint64_t at = (uint64_t)r * width + h * c->head_dim;
            char where[256];
            snprintf(where, sizeof(where), "%s, row %u head %u", what, r, h);
            compare(row + h * c->head_dim, e->want + at, size + at, c->head_dim, rtol, ATOL, where);
        }
        for (uint32_t i = 0; i < width; i++) {
            const uint64_t at = (uint64_t)r * width + i;
            error = fmax(error, fabs((double)row[i] - e->raw[at]));
            share = fmax(share, share_of((double)row[i], e->want[at], size[at]));
        }
        for (uint32_t i = width; i < out_stride; i++)
            assert_true(row[i] == 0.0f);
    }
    for (uint64_t i = (uint64_t)d->rows * out_stride; i < (uint64_t)d->rows_max * out_stride; i++)
        assert_int_equal(pm_f32_bits(got[i]), CANARY_WORD);
    tally("attention", pm_attention_variant(variant), (uint64_t)d->rows * width);
    if (is_half(variant)) {
        if (!(share <= 2.0 * e->half_error + RTOL))
            fail_msg("%s: worst error %.3e of the magnitudes, more than twice the %.3e of plain f16", what, share,
                     e->half_error);
        half_share = e->half_error > 0.0 ? fmax(half_share, share / e->half_error) : half_share;
        return;
    }
    if (c->type != PM_KV_F32 && !(error <= 2.0 * e->trusted_error + ATOL))
        fail_msg("%s: worst error %.3e, more than twice the %.3e of plain float over the same pages", what, error,
                 e->trusted_error);
}

/* How many variants took it. */
static uint32_t check(const attention_case *c)
{
    attention_data d;
    float *first = NULL;
    uint32_t runs = 0;
    fill(c, &d);
    expected e = expect(c, &d);
    for (int deterministic = 0; deterministic <= (c->both ? 1 : 0); deterministic++)
        for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++) {
            char what[200];
            if (!variant_takes(c, &d, v, deterministic))
                continue;
            runs++;
            snprintf(what, sizeof(what), "%s%s %s, kind %d, %u/%u heads of %u, window %u, pages of %u, %u seqs of %u + %u",
                     pm_attention_variant(v), deterministic ? " deterministic" : "", pm_kv_type_name(c->type), (int)c->kind,
                     c->heads, c->kv_heads, c->head_dim, c->window, c->page_tokens, c->seqs, c->past[0], c->fresh[0]);
            float *got = run_call(c, &d, v, deterministic, UINT32_MAX);
            check_rows(c, &d, &e, got, v, what);
            if (deterministic && first != NULL && order_of(v) == 0)
                for (uint32_t i = 0; i < d.rows * (c->heads * c->head_dim + 32); i++)
                    if (memcmp(&got[i], &first[i], 4) != 0)
                        fail_msg("%s: element %u is %.9g, by another variant %.9g", what, i, (double)got[i], (double)first[i]);
            if (deterministic && first == NULL && order_of(v) == 0)
                first = got;
            else
                free(got);
        }
    free(first);
    free(e.want);
    finish(&d);
    return runs;
}

/* ----------------------------------------------------------------- tests */

#define TYPES 4u

static bool takes(pm_kv_type type, uint32_t head_dim)
{
    return !pm_kv_type_has_scales(type) || head_dim % 32 == 0;
}

/* Each head_dim with types, a group and a page size drawn by the seed; heads of 64 meet all
 * types in the tests that follow. */
static void head_shapes_and_groups(void **state)
{
    (void)state;
    static const uint32_t dims[] = {16, 24, 80, 96, 128, 256}, groups[] = {1, 2, 3, 4, 6, 8, 16};
    for (uint32_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
        for (uint32_t type = 0; type < TYPES; type++) {
            if (!takes(type, dims[i]) || (!is_full() && (type + i + input_index(harness_seed(), 500 + i / 3, 2)) % 2 == 0))
                continue;
            const uint32_t draw = i * TYPES + type, group = groups[input_index(harness_seed(), draw, 7)];
            const uint32_t kv_heads = group < 8 ? 1 + input_index(harness_seed(), 1000 + draw, 3) : 1;
            const attention_case c = {.heads = group * kv_heads, .kv_heads = kv_heads, .head_dim = dims[i],
                                      .page_tokens = draw % 3 ? 16 : 32, .seqs = 2, .past = {37, 0}, .fresh = {1, 5},
                                      .rotary_dim = draw % 4 == 0   ? 0
                                                    : draw % 4 == 1 ? dims[i] / 2
                                                                    : dims[i],
                                      .type = type, .neox = draw % 2};
            check(&c);
        }
    compare_report("attention, head shapes");
}

static attention_case usual(pm_kv_type type)
{
    return (attention_case){.heads = 4, .kv_heads = 2, .head_dim = 64, .page_tokens = 16, .seqs = 1, .fresh = {1},
                            .rotary_dim = 64, .type = type, .both = true};
}

static void contexts_around_the_page(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {1, 15, 16, 17, 32, 33, 255, 257, 1000};
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (uint32_t type = 0; type < TYPES; type++) {
            attention_case c = usual(type);
            c.past[0] = lengths[i] - 1;
            check(&c);
        }
    compare_report("attention, contexts");
}

static void mixed_batches_and_windows(void **state)
{
    (void)state;
    static const uint32_t windows[] = {0, 1, 20, 100, 4096};
    for (uint32_t type = 0; type < TYPES; type++)
        for (uint32_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
            attention_case c = usual(type);
            c.seqs = 5;
            memcpy(c.past, (uint32_t[]){290, 0, 33, 5, 64}, 5 * sizeof(uint32_t));
            memcpy(c.fresh, (uint32_t[]){1, 40, 1, 17, 1}, 5 * sizeof(uint32_t));
            c.window = windows[i];
            check(&c);
        }
    compare_report("attention, mixed batches");
}

/* Prompt chunks of as many rows as batches have, behind one that decodes. */
static void chunks_of_every_row_count(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,  12,  13,  14,
                                      15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 512};
    for (uint32_t i = 0; i < COUNT_OF(counts); i++) {
        attention_case c = usual((pm_kv_type)((i + harness_seed()) % TYPES));
        c.seqs = 2;
        c.past[0] = 18 + i;
        c.fresh[0] = 1;
        c.past[1] = pick(40);
        c.fresh[1] = counts[i];
        c.both = counts[i] < 16;
        check(&c);
    }
    compare_report("attention, row counts");
}

static void shared_pages(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPES; type++) {
        attention_case c = usual(type);
        c.seqs = 3;
        c.shared_pages = 3;
        memcpy(c.past, (uint32_t[]){50, 48, 100}, 3 * sizeof(uint32_t));
        memcpy(c.fresh, (uint32_t[]){3, 1, 9}, 3 * sizeof(uint32_t));
        check(&c);
    }
    compare_report("attention, shared pages");
}

/* Each kind unrotated, so that all of the pages is to the bit, and rotated; and scores so
 * large that one key has all the weight. */
static void kinds_of_input(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPES; type++)
        for (int kind = 0; kind < INPUT_KINDS; kind++)
            for (int rotated = 0; rotated < 2; rotated++) {
                attention_case c = usual(type);
                c.past[0] = 60;
                c.fresh[0] = 3;
                c.kind = kind;
                c.rotary_dim = rotated ? 64 : 0;
                c.q_scale = kind == INPUT_LARGE ? 1e-5f : kind == INPUT_SCALES ? 1e-9f : kind == INPUT_TINY ? 1e37f
                            : rotated             ? 30.0f : 1.0f;
                if ((kind == INPUT_LARGE && rotated) || (kind == INPUT_SCALES && type != PM_KV_F32))
                    continue; /* a rotated pair of 65504, and 2^30, are past f16 */
                check(&c);
            }
    compare_report("attention, kinds of input");
}

static void long_contexts(void **state)
{
    (void)state;
    const uint32_t draw = input_index(harness_seed(), 77, TYPES);
    for (uint32_t type = 0; type < TYPES; type++) {
        attention_case c = usual(type);
        c.heads = 2;
        c.kv_heads = 1;
        c.past[0] = type == draw ? 33000 : 4096;
        c.fresh[0] = 2;
        check(&c);
    }
    compare_report("attention, 4,098 and 33,002 tokens");
}

/* More tokens than a lane may count in loops on lavapipe (op/loops.h): one row behind 70,001 of them, and
 * eight rows of one workgroup, each behind its own 6,000. */
static void contexts_that_outlast_a_drivers_loops(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        attention_case c = usual(i == 0 ? PM_KV_F16 : PM_KV_F32);
        c.heads = c.kv_heads = 1;
        c.seqs = i == 0 ? 1 : SEQS_MAX;
        c.head_dim = c.rotary_dim = i == 0 ? 64 : 128;
        for (uint32_t s = 0; s < c.seqs; s++) {
            c.past[s] = i == 0 ? 70000 : 6000 - 100 * s;
            c.fresh[s] = 1;
        }
        check(&c);
    }
    compare_report("attention, 70,001 tokens, and eight sequences of 6,000");
}

/* A sequence whose pages lie at both ends of a pool of more than 2^32 bytes, by all variants. Keys are not
 * rotated, so that what the pages hold is known. */
static void pages_past_4_gib(void **state)
{
    (void)state;
    enum { TOKENS = 80, DIM = 64, KV = 2, HEADS = 4, WIDTH = (HEADS + 2 * KV) * DIM };
    const pm_kv_layout layout = {PM_KV_F32, KV, DIM, 32};
    const uint64_t page_bytes = pm_kv_page_bytes(&layout);
    const uint32_t pages = (uint32_t)((UINT64_C(1) << 32) / page_bytes) + 9, zero[TOKENS] = {0};
    const uint32_t table[] = {pages - 1, 2, pages - 9}, tokens = TOKENS, one = 1, starts[] = {0, 1};
    far_memory kv;
    if (!far_make(&kv, pages * page_bytes, "attention past 4 GiB"))
        skip();
    uint32_t slots[TOKENS];
    float *qkv = malloc(TOKENS * WIDTH * 4), *k = malloc(2 * TOKENS * KV * DIM * 4), *v = k + TOKENS * KV * DIM;
    assert_true(qkv != NULL && k != NULL);
    input_fill(qkv, TOKENS * WIDTH, INPUT_NORMAL, harness_seed());
    for (uint32_t t = 0; t < TOKENS; t++) {
        slots[t] = table[t / 32] * 32 + t % 32;
        memcpy(k + t * KV * DIM, qkv + t * WIDTH + HEADS * DIM, KV * DIM * 4);
        memcpy(v + t * KV * DIM, qkv + t * WIDTH + (HEADS + KV) * DIM, KV * DIM * 4);
    }
    test_buffer qkv_buffer = buffer_from(qkv, TOKENS * WIDTH * 4), zeros = buffer_from(zero, sizeof(zero)),
                slot_buffer = buffer_from(slots, sizeof(slots)), count = buffer_from(&tokens, 4),
                tables = buffer_from(table, sizeof(table)), single = buffer_from(&one, 4),
                row_start = buffer_from(starts, sizeof(starts)), q = buffer_from(qkv, HEADS * DIM * 4);
    const pm_rope_kv rope = {.qkv = qkv_buffer.slice, .table = zeros.slice, .positions = zeros.slice,
                             .slots = slot_buffer.slice, .kv = kv.slice, .rows = count.slice, .layout = layout,
                             .rows_max = TOKENS, .qkv_stride = WIDTH, .heads = HEADS};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rope_kv_record(recorder, &rope));
    run_recorder(recorder);
    for (uint32_t variant = 0; pm_attention_variant(variant) != NULL; variant++) {
        float got[HEADS * DIM];
        pm_attention a = {.q = q.slice, .kv = kv.slice, .block_tables = tables.slice, .row_seq = zeros.slice,
                          .row_start = row_start.slice, .kv_len = count.slice, .rows = single.slice, .layout = layout,
                          .rows_max = 1, .seqs_max = 1, .rows_per_seq_max = 1, .kv_len_max = TOKENS, .heads = HEADS,
                          .q_stride = HEADS * DIM, .out_stride = HEADS * DIM, .table_stride = 3, .scale = 0.125f};
        test_buffer out = buffer_make(sizeof(got)),
                    scratch = buffer_make(pm_attention_variant_scratch_bytes(pm_vk_device_caps(harness_device()), &a, variant) + 4);
        a.out = out.slice;
        a.scratch = scratch.slice;
        if (pm_attention_variant_fits(variant, pm_vk_device_caps(harness_device()), &a)) {
            recorder = make_recorder();
            ok(pm_attention_record_variant(recorder, &a, variant));
            run_recorder(recorder);
            buffer_read(&out, got);
            for (uint32_t h = 0; h < HEADS; h++) {
                double want[DIM], unused[DIM], size[DIM];
                const float *head_k = k + h / 2 * DIM, *head_v = v + h / 2 * DIM;
                ref_attention(qkv + h * DIM, head_k, head_v, 0, TOKENS, KV * DIM, DIM, 0.125, want, unused);
                ref_attention_reach(qkv + h * DIM, head_k, head_v, 0, TOKENS, KV * DIM, DIM, 0.125, size);
                compare(got + h * DIM, want, size, DIM, RTOL, ATOL, pm_attention_variant(variant));
            }
            tally("attention past 4 GiB", pm_attention_variant(variant), HEADS * DIM);
        }
        buffer_free(&out);
        buffer_free(&scratch);
    }
    test_buffer *all[] = {&qkv_buffer, &zeros, &slot_buffer, &count, &tables, &single, &row_start, &q};
    for (uint32_t i = 0; i < COUNT_OF(all); i++)
        buffer_free(all[i]);
    far_free(&kv);
    free(qkv);
    free(k);
}

/* Nothing else in the batch, the row's place, its chunk, or the variant of one order changes a bit; and the
 * variant that cannot promise it is refused. */
static void a_row_is_the_same_alone_and_in_any_batch(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPES; type++) {
        attention_case c = usual(type);
        attention_data d;
        c.seqs = 3;
        memcpy(c.past, (uint32_t[]){600, 3, 301}, 3 * sizeof(uint32_t));
        memcpy(c.fresh, (uint32_t[]){5, 11, 1}, 3 * sizeof(uint32_t));
        c.window = type == PM_KV_F16 ? 280 : 0;
        fill(&c, &d);
        const uint32_t stride = c.heads * c.head_dim + 32;
        for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++) {
            if (is_half(v)) { /* its order is the device's own */
                assert_false(variant_takes(&c, &d, v, true));
                continue;
            }
            float *batch = run_call(&c, &d, v, true, UINT32_MAX);
            for (uint32_t r = 0; r < d.rows; r++)
                for (uint32_t w = 0; pm_attention_variant(w) != NULL; w++) {
                    if (is_half(w) || order_of(w) != order_of(v))
                        continue;
                    float *alone = run_call(&c, &d, w, true, r);
                    for (uint32_t i = 0; i < stride; i++)
                        if (memcmp(&alone[i], &batch[r * stride + i], 4) != 0)
                            fail_msg("%s, row %u element %u: %.9g alone by %s, %.9g in a batch by %s", pm_kv_type_name(type), r,
                                     i, (double)alone[i], pm_attention_variant(w), (double)batch[r * stride + i],
                                     pm_attention_variant(v));
                    free(alone);
                }
            free(batch);
        }
        finish(&d);
    }
}

static void runs_and_replays_are_bit_identical(void **state)
{
    (void)state;
    attention_case c = usual(PM_KV_Q8_0);
    attention_data d;
    c.seqs = 2;
    memcpy(c.past, (uint32_t[]){300, 40}, 2 * sizeof(uint32_t));
    memcpy(c.fresh, (uint32_t[]){1, 7}, 2 * sizeof(uint32_t));
    fill(&c, &d);
    for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++) {
        if (!variant_takes(&c, &d, v, false))
            continue;
        float *want = run_call(&c, &d, v, false, UINT32_MAX), *got = NULL;
        call k = make_call(&c, &d, v, false, UINT32_MAX);
        pm_vk_recorder *recorder = make_recorder();
        pm_vk_commands *commands = NULL;
        ok(pm_attention_record_variant(recorder, &k.a, v));
        ok(pm_vk_recorder_end(recorder, &commands));
        for (uint32_t i = 0; i < 50; i++) {
            ok(pm_vk_commands_run(commands));
            got = got != NULL ? got : malloc(k.out_floats * sizeof(*got));
            assert_non_null(got);
            buffer_read(&k.out, got);
            assert_memory_equal(got, want, k.out_floats * sizeof(*got));
        }
        pm_vk_commands_destroy(commands);
        pm_vk_recorder_destroy(recorder);
        free(take_call(&k));
        free(want);
        free(got);
    }
    finish(&d);
}

/* A value that is no number, or infinite, stays visible: nothing rounds it away. */
static void what_is_no_number_stays_so(void **state)
{
    (void)state;
    const pm_kv_layout layouts[] = {{PM_KV_Q8_0, 1, 32, 16}, {PM_KV_Q4_0, 1, 32, 16}};
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t bad = 0; bad < 3; bad++) {
            const float values[] = {pm_f32_from_bits(0x7fc00000), -INFINITY, pm_f32_from_bits(0xff800001)};
            float qkv[96] = {0}, back[32];
            const uint32_t zero = 0, one = 1;
            for (uint32_t j = 32; j < 96; j++)
                qkv[j] = j % 32 == 13 ? values[bad] : (float)j;
            const uint64_t bytes = pm_kv_page_bytes(&layouts[i]);
            test_buffer in = buffer_from(qkv, sizeof(qkv)), word = buffer_from(&zero, 4), rows = buffer_from(&one, 4),
                        kv = buffer_make(bytes);
            const pm_rope_kv rope = {.qkv = in.slice, .table = word.slice, .positions = word.slice, .slots = word.slice,
                                     .kv = kv.slice, .rows = rows.slice, .layout = layouts[i], .rows_max = 1,
                                     .qkv_stride = 96, .heads = 1};
            pm_vk_recorder *recorder = make_recorder();
            uint8_t *page = malloc(bytes);
            assert_non_null(page);
            ok(pm_rope_kv_record(recorder, &rope));
            run_recorder(recorder);
            buffer_read(&kv, page);
            for (int is_v = 0; is_v < 2; is_v++) {
                ref_kv_get(&layouts[i], page, is_v, 0, 0, back);
                for (uint32_t j = 0; j < 32; j++)
                    assert_false(isfinite(back[j]) && back[j] != 0.0f);
                assert_false(isfinite(back[13]));
            }
            buffer_free(&in);
            buffer_free(&word);
            buffer_free(&rows);
            buffer_free(&kv);
            free(page);
        }
}

/* Opened anew without any optional capability: all but the cooperative matrices fit, and are right. */
static void nothing_optional_is_needed(void **state)
{
    (void)state;
    const char *before = getenv("PUMICE_CAPS");
    char saved[256];
    snprintf(saved, sizeof(saved), "%s", before != NULL ? before : "");
    harness_close();
    setenv("PUMICE_CAPS", "-f16,-store16,-store8,-int8,-int16,-int64,-int8dot,-subgroup,-coopmat,-coopmat2,-bf16,-texels", 1);
    for (uint32_t type = 0; type < TYPES; type++) {
        attention_case c = usual(type);
        c.past[0] = 70;
        c.fresh[0] = 3;
        assert_int_equal(check(&c), 2 * 3); /* deterministic and not */
    }
    harness_close();
    if (before != NULL)
        setenv("PUMICE_CAPS", saved, 1);
    else
        unsetenv("PUMICE_CAPS");
}

static int report_and_close(void **state)
{
    (void)state;
    if (half_share > 0.0)
        print_message("attention in f16: at most %.2f of plain f16's worst error\n", half_share);
    tally_print();
    harness_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_shapes_and_groups),
        cmocka_unit_test(contexts_around_the_page),
        cmocka_unit_test(mixed_batches_and_windows),
        cmocka_unit_test(chunks_of_every_row_count),
        cmocka_unit_test(shared_pages),
        cmocka_unit_test(pages_past_4_gib),
        cmocka_unit_test(kinds_of_input),
        cmocka_unit_test(long_contexts),
        cmocka_unit_test(contexts_that_outlast_a_drivers_loops),
        cmocka_unit_test(a_row_is_the_same_alone_and_in_any_batch),
        cmocka_unit_test(runs_and_replays_are_bit_identical),
        cmocka_unit_test(what_is_no_number_stays_so),
        cmocka_unit_test(nothing_optional_is_needed),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, report_and_close);
}
