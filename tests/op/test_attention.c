/* test_attention.c - RoPE, KV pages and attention together and apart, against double.
 *
 * Sequences with shuffled, holed pages; rows that decode and rows of prompt chunks in one
 * batch; the keys and values go into the pages through rope_kv, so that layout is tested by
 * use. The reference sees what the pages hold: f16 KV is rounded on the host. */
#include "op/harness.h"

#include "base/half.h"
#include "op/attention.h"
#include "op/rope_kv.h"
#include "ref/attention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the terms' sum; exp() may err by 3 + 2 |x| ulp, and q k is an f32 sum of up to 256
 * terms, whose error the softmax multiplies: with f32 KV 8e-6 was the worst seen. With f16 KV
 * a key that lies between two f16 values may be rounded to the other one than here, since it
 * was rotated in f32: half a unit of 2^-10 in one term of q k, 6e-5 at the worst seen. */
#define RTOL_F32 3e-5
#define RTOL_F16 5e-4
#define ATOL 1e-7

/* prefill_coopmat rounds q and the weights to f16: what the scores err by, up to 2^-11 of the
 * sum of |q k| in each, the softmax multiplies: 1.1e-3 was the worst seen. */
#define RTOL_COOPMAT 3e-3

#define SEQS_MAX 8u

/* One case: sequences with `past` tokens in KV and `fresh` rows in this batch. */
typedef struct attention_case {
    uint32_t heads, kv_heads, head_dim, page_tokens, seqs;
    uint32_t past[SEQS_MAX], fresh[SEQS_MAX];
    uint32_t window, rotary_dim;
    pm_kv_type type;
    bool neox;
} attention_case;

typedef struct attention_data {
    uint32_t rows, rows_max, pages, table_stride, tokens; /* tokens: of the longest sequence */
    uint32_t row_seq[1024], row_start[SEQS_MAX + 1], kv_len[SEQS_MAX], positions[1024], slots[1024];
    uint32_t *tables;              /* [seqs, table_stride] */
    float *k, *v;                  /* [seqs, tokens, kv_heads * head_dim] as the pages hold them */
    float *q;                      /* [rows, heads * head_dim] rotated, as the device made it */
} attention_data;

static float round_kv(const attention_case *c, float x)
{
    return c->type == PM_KV_F16 ? pm_f16_to_f32(pm_f16_from_f32(x)) : x;
}

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

static void lay_out(const attention_case *c, attention_data *d)
{
    uint32_t used = 0;
    memset(d, 0, sizeof(*d));
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
            d->tables[s * d->table_stride + i] = page_of(used++, d->pages);
        d->row_start[s] = d->rows;
        d->kv_len[s] = len;
        for (uint32_t i = 0; i < c->fresh[s]; i++, d->rows++) {
            d->row_seq[d->rows] = s;
            d->positions[d->rows] = c->past[s] + i;
        }
    }
    d->row_start[c->seqs] = d->rows;
    d->rows_max = d->rows + 2;
}

static uint32_t slot_of(const attention_case *c, const attention_data *d, uint32_t s, uint32_t token)
{
    return d->tables[s * d->table_stride + token / c->page_tokens] * c->page_tokens + token % c->page_tokens;
}

/* Writes tokens first .. first + count - 1 of each sequence into the pages, and gives back
 * the rotated Q rows of the last call. */
static void store(const attention_case *c, attention_data *d, const test_buffer *kv, const test_buffer *table,
                  uint32_t rows, const uint32_t *seq, const uint32_t *position, float *q_out)
{
    const uint32_t width = (c->heads + 2 * c->kv_heads) * c->head_dim, kv_width = c->kv_heads * c->head_dim;
    float *qkv = malloc((uint64_t)rows * width * sizeof(*qkv));
    uint32_t *slots = malloc(rows * sizeof(*slots));
    assert_true(qkv != NULL && slots != NULL);
    for (uint32_t r = 0; r < rows; r++) {
        const uint64_t id = (uint64_t)seq[r] << 32 | position[r];
        float *row = qkv + (uint64_t)r * width;
        slots[r] = slot_of(c, d, seq[r], position[r]);
        for (uint32_t i = 0; i < width; i++)
            row[i] = input_value(INPUT_NORMAL, harness_seed() ^ id * 1315423911u, i) * (i < c->heads * c->head_dim ? 2.0f : 1.0f);
        for (uint32_t h = 0; h < c->kv_heads; h++) {
            double rotated[256];
            const uint64_t at = ((uint64_t)seq[r] * d->tokens + position[r]) * kv_width + h * c->head_dim;
            rotate(c, row + (c->heads + h) * c->head_dim, position[r], rotated);
            for (uint32_t i = 0; i < c->head_dim; i++) {
                d->k[at + i] = round_kv(c, (float)rotated[i]);
                d->v[at + i] = round_kv(c, row[(c->heads + c->kv_heads + h) * c->head_dim + i]);
            }
        }
    }
    test_buffer qkv_buffer = buffer_from(qkv, (uint64_t)rows * width * 4), slot_buffer = buffer_from(slots, rows * 4),
                position_buffer = buffer_from(position, rows * 4), count = buffer_from(&rows, 4);
    const pm_rope_kv rope = {.qkv = qkv_buffer.slice, .table = table->slice, .positions = position_buffer.slice,
                             .slots = slot_buffer.slice, .kv = kv->slice, .rows = count.slice,
                             .layout = {c->type, c->kv_heads, c->head_dim, c->page_tokens}, .rows_max = rows,
                             .qkv_stride = width, .heads = c->heads, .rotary_dim = c->rotary_dim, .neox = c->neox};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rope_kv_record(recorder, &rope));
    run_recorder(recorder);
    if (q_out != NULL) {
        float *back = malloc((uint64_t)rows * width * sizeof(*back));
        assert_non_null(back);
        buffer_read(&qkv_buffer, back);
        for (uint32_t r = 0; r < rows; r++) {
            for (uint32_t h = 0; h < c->heads; h++) {
                double want[256], scale[256];
                rotate(c, qkv + (uint64_t)r * width + h * c->head_dim, position[r], want);
                for (uint32_t i = 0; i < c->head_dim; i++)
                    scale[i] = 10.0;
                compare(back + (uint64_t)r * width + h * c->head_dim, want, scale, c->head_dim, 1e-6, 1e-7, "rope q");
            }
            memcpy(q_out + (uint64_t)r * c->heads * c->head_dim, back + (uint64_t)r * width,
                   c->heads * c->head_dim * sizeof(float));
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

static void store_past(const attention_case *c, attention_data *d, const test_buffer *kv, const test_buffer *table)
{
    uint32_t total = 0;
    for (uint32_t s = 0; s < c->seqs; s++)
        total += c->past[s];
    if (total == 0)
        return;
    uint32_t *seq = malloc(total * sizeof(*seq)), *position = malloc(total * sizeof(*position)), n = 0;
    assert_true(seq != NULL && position != NULL);
    for (uint32_t s = 0; s < c->seqs; s++)
        for (uint32_t i = 0; i < c->past[s]; i++, n++) {
            seq[n] = s;
            position[n] = i;
        }
    store(c, d, kv, table, total, seq, position, NULL);
    free(seq);
    free(position);
}

/* What each variant was held to, for the report. */
#define VARIANTS_MAX 16
static struct tally {
    uint32_t cases;
    double worst, share;           /* of the terms' sum; of plain f16's worst error in the case */
    const char *lacks;
} tallies[VARIANTS_MAX];

static bool is_half(uint32_t variant)
{
    return strcmp(pm_attention_variant(variant), "prefill_coopmat") == 0;
}

static float to_half(float x)
{
    return pm_f16_to_f32(pm_f16_from_f32(x));
}

/* ref_attention() as the plainest f16 kernel has it: q, weights and sums' factors in f16, sums in
 * f32, the maximum known beforehand. */
static void half_attention(const float *q, const float *k, const float *v, uint32_t begin, uint32_t end, uint32_t stride,
                           uint32_t dim, double scale, float *out)
{
    float *weight = malloc((end + 1) * sizeof(*weight)), most = -INFINITY, total = 0.0f;
    assert_non_null(weight);
    for (uint32_t j = begin; j < end; j++) {
        float score = 0.0f;
        for (uint32_t d = 0; d < dim; d++)
            score += to_half(q[d]) * k[(uint64_t)j * stride + d];
        weight[j] = score * (float)scale;
        most = weight[j] > most ? weight[j] : most;
    }
    for (uint32_t j = begin; j < end; j++)
        total += weight[j] = to_half(expf(weight[j] - most));
    for (uint32_t d = 0; d < dim; d++) {
        float sum = 0.0f;
        for (uint32_t j = begin; j < end; j++)
            sum += weight[j] * v[(uint64_t)j * stride + d];
        out[d] = sum / total;
    }
    free(weight);
}

static void report_tallies(void)
{
    for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++) {
        const struct tally *t = &tallies[v];
        if (t->cases == 0)
            print_message("SKIPPED: attention %s: not admissible here, it needs %s\n", pm_attention_variant(v), t->lacks);
        else if (is_half(v))
            print_message("attention %s: %u cases, worst error %.2e, at most %.2f of plain f16's\n", pm_attention_variant(v),
                          t->cases, t->worst, t->share);
        else
            print_message("attention %s: %u cases, worst error %.2e\n", pm_attention_variant(v), t->cases, t->worst);
    }
}

static void check_rows(const attention_case *c, const attention_data *d, const float *got, uint32_t out_stride,
                       uint32_t variant, const char *what)
{
    const double rtol = is_half(variant) ? RTOL_COOPMAT : c->type == PM_KV_F16 ? RTOL_F16 : RTOL_F32;
    double worst = 0.0, worst_plain = 0.0;
    const uint32_t kv_width = c->kv_heads * c->head_dim, group = c->heads / c->kv_heads;
    for (uint32_t r = 0; r < d->rows; r++) {
        const uint32_t s = d->row_seq[r], end = d->positions[r] + 1;
        const uint32_t begin = c->window > 0 && end > c->window ? end - c->window : 0;
        for (uint32_t h = 0; h < c->heads; h++) {
            double want[256], size[256];
            char where[200];
            const uint64_t at = (uint64_t)s * d->tokens * kv_width + h / group * c->head_dim;
            ref_attention(d->q + ((uint64_t)r * c->heads + h) * c->head_dim, d->k + at, d->v + at, begin, end, kv_width,
                          c->head_dim, 1.0 / sqrt((double)c->head_dim), want, size);
            for (uint32_t i = 0; i < c->head_dim; i++)
                size[i] += 0.05; /* weights err even where values cancel */
            snprintf(where, sizeof(where), "%s, row %u head %u", what, r, h);
            compare(got + (uint64_t)r * out_stride + h * c->head_dim, want, size, c->head_dim, rtol, ATOL, where);
            float plain[256];
            if (is_half(variant))
                half_attention(d->q + ((uint64_t)r * c->heads + h) * c->head_dim, d->k + at, d->v + at, begin, end, kv_width,
                               c->head_dim, 1.0 / sqrt((double)c->head_dim), plain);
            for (uint32_t i = 0; i < c->head_dim; i++) {
                worst = fmax(worst, fabs((double)got[(uint64_t)r * out_stride + h * c->head_dim + i] - want[i]) / size[i]);
                if (is_half(variant))
                    worst_plain = fmax(worst_plain, fabs((double)plain[i] - want[i]) / size[i]);
            }
        }
        for (uint32_t i = c->heads * c->head_dim; i < out_stride; i++)
            assert_true(got[(uint64_t)r * out_stride + i] == 0.0f);
    }
    for (uint64_t i = (uint64_t)d->rows * out_stride; i < (uint64_t)d->rows_max * out_stride; i++)
        assert_int_equal(pm_f32_bits(got[i]), CANARY_WORD);
    struct tally *t = &tallies[variant];
    t->cases++;
    t->worst = fmax(t->worst, worst);
    if (!is_half(variant))
        return;
    /* FlashAttention's rule, over the case; on top what keys rounded elsewhere change. */
    if (worst > 2.0 * worst_plain + RTOL_F16)
        fail_msg("%s: worst error %.3g of the terms' sum, more than twice the %.3g of plain f16", what, worst, worst_plain);
    t->share = fmax(t->share, worst / worst_plain);
}

static void run_variant(const attention_case *c, const attention_data *d, const test_buffer *kv, uint32_t variant)
{
    const uint32_t q_stride = c->heads * c->head_dim, out_stride = q_stride + 32;
    test_buffer q = buffer_from(d->q, (uint64_t)d->rows * q_stride * 4),
                out = buffer_make((uint64_t)d->rows_max * out_stride * 4),
                tables = buffer_from(d->tables, (uint64_t)c->seqs * d->table_stride * 4),
                row_seq = buffer_from(d->row_seq, d->rows * 4), row_start = buffer_from(d->row_start, (c->seqs + 1) * 4),
                kv_len = buffer_from(d->kv_len, c->seqs * 4), rows = buffer_from(&d->rows, 4);
    test_buffer scratch = buffer_make((uint64_t)d->rows_max * c->heads * 32 * (c->head_dim + 2) * 4);
    const pm_attention a = {.q = q.slice, .out = out.slice, .kv = kv->slice, .block_tables = tables.slice,
                            .row_seq = row_seq.slice, .row_start = row_start.slice, .kv_len = kv_len.slice,
                            .rows = rows.slice, .scratch = scratch.slice,
                            .layout = {c->type, c->kv_heads, c->head_dim, c->page_tokens}, .rows_max = d->rows_max,
                            .seqs_max = c->seqs, .rows_per_seq_max = d->rows_max, .kv_len_max = d->tokens,
                            .heads = c->heads, .q_stride = q_stride, .out_stride = out_stride,
                            .table_stride = d->table_stride, .scale = (float)(1.0 / sqrt((double)c->head_dim)),
                            .window = c->window};
    const char *lacks = pm_attention_variant_lacks(variant, pm_vk_device_caps(harness_device()), &a);
    if (lacks != NULL) {
        pm_vk_recorder *refusing = make_recorder();
        assert_int_equal(pm_attention_record_variant(refusing, &a, variant), PM_ERR_UNSUP);
        pm_vk_recorder_destroy(refusing);
        tallies[variant].lacks = lacks;
    } else {
        char what[128];
        float *got = malloc((uint64_t)d->rows_max * out_stride * sizeof(*got));
        assert_non_null(got);
        pm_vk_recorder *recorder = make_recorder();
        ok(pm_attention_record_variant(recorder, &a, variant));
        run_recorder(recorder);
        buffer_read(&out, got);
        snprintf(what, sizeof(what), "%s, %u/%u heads of %u, window %u, %u seqs of %u + %u", pm_attention_variant(variant),
                 c->heads, c->kv_heads, c->head_dim, c->window, c->seqs, c->past[0], c->fresh[0]);
        check_rows(c, d, got, out_stride, variant, what);
        free(got);
    }
    buffer_free(&q);
    buffer_free(&out);
    buffer_free(&tables);
    buffer_free(&row_seq);
    buffer_free(&row_start);
    buffer_free(&kv_len);
    buffer_free(&rows);
    buffer_free(&scratch);
}

static void check(const attention_case *c)
{
    attention_data d;
    lay_out(c, &d);
    const pm_kv_layout layout = {c->type, c->kv_heads, c->head_dim, c->page_tokens};
    const uint64_t kv_floats = (uint64_t)c->seqs * d.tokens * c->kv_heads * c->head_dim;
    d.k = calloc(kv_floats, sizeof(*d.k));
    d.v = calloc(kv_floats, sizeof(*d.v));
    d.q = calloc((uint64_t)d.rows * c->heads * c->head_dim, sizeof(*d.q));
    float *angles = malloc((uint64_t)d.tokens * c->rotary_dim * sizeof(*angles));
    assert_true(d.k != NULL && d.v != NULL && d.q != NULL && angles != NULL);
    for (uint32_t p = 0; p < d.tokens; p++)
        for (uint32_t i = 0; i < c->rotary_dim / 2; i++) {
            const double angle = p * pow(10000.0, -2.0 * i / c->rotary_dim);
            angles[p * c->rotary_dim + 2 * i] = (float)cos(angle);
            angles[p * c->rotary_dim + 2 * i + 1] = (float)sin(angle);
        }
    test_buffer kv = buffer_make(d.pages * pm_kv_page_bytes(&layout)),
                table = buffer_from(angles, (uint64_t)d.tokens * c->rotary_dim * 4);
    store_past(c, &d, &kv, &table);
    store(c, &d, &kv, &table, d.rows, d.row_seq, d.positions, d.q);
    for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++)
        run_variant(c, &d, &kv, v);
    buffer_free(&kv);
    buffer_free(&table);
    free(angles);
    free(d.tables);
    free(d.k);
    free(d.v);
    free(d.q);
}

/* ----------------------------------------------------------------- tests */

static void head_shapes_and_groups(void **state)
{
    (void)state;
    static const uint32_t shapes[][3] = {/* heads, kv_heads, head_dim */
        {1, 1, 16}, {4, 2, 24}, {6, 6, 48}, {8, 1, 64}, {4, 4, 80}, {3, 1, 96}, {8, 2, 128}, {2, 1, 256}, {16, 1, 32}, {12, 4, 8}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const attention_case c = {.heads = shapes[i][0], .kv_heads = shapes[i][1], .head_dim = shapes[i][2],
                                  .page_tokens = i % 2 ? 16 : 32, .seqs = 2, .past = {37, 0}, .fresh = {1, 5},
                                  .rotary_dim = i % 3 ? shapes[i][2] : shapes[i][2] / 2, .type = i % 2 ? PM_KV_F32 : PM_KV_F16,
                                  .neox = i % 2};
        check(&c);
    }
    compare_report("attention, head shapes");
}

static void contexts_around_the_page(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0, 14, 15, 16, 31, 32, 200, 1000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const attention_case c = {.heads = 4, .kv_heads = 2, .head_dim = 64, .page_tokens = 16, .seqs = 1,
                                  .past = {lengths[i]}, .fresh = {1}, .rotary_dim = 64, .type = PM_KV_F16};
        check(&c);
    }
    compare_report("attention, contexts");
}

static void mixed_batches_and_windows(void **state)
{
    (void)state;
    for (int type = 0; type < 2; type++) {
        attention_case c = {.heads = 4, .kv_heads = 2, .head_dim = 64, .page_tokens = 16, .seqs = 5,
                            .past = {90, 0, 33, 5, 64}, .fresh = {1, 40, 1, 17, 1}, .rotary_dim = 64,
                            .type = type == 0 ? PM_KV_F16 : PM_KV_F32};
        check(&c);
        c.window = 20;
        check(&c);
        c.window = 1;
        check(&c);
        c.window = 4096;
        check(&c);
    }
    compare_report("attention, mixed batches");
}

static void a_long_context(void **state)
{
    (void)state;
    const attention_case c = {.heads = 2, .kv_heads = 1, .head_dim = 32, .page_tokens = 16, .seqs = 1, .past = {4096},
                              .fresh = {3}, .rotary_dim = 32, .type = PM_KV_F16};
    check(&c);
    compare_report("attention, 4,099 tokens");
}

static int finish(void **state)
{
    (void)state;
    report_tallies();
    harness_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_shapes_and_groups),
        cmocka_unit_test(contexts_around_the_page),
        cmocka_unit_test(mixed_batches_and_windows),
        cmocka_unit_test(a_long_context),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, finish);
}
