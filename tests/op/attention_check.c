/* op/attention_check.c - what attention must give, by every variant. */
#include "op/attention_check.h"

#include "base/half.h"
#include "op/turn.h"
#include "ref/attention.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* prefill_coopmat rounds q and the weights to f16, 2^-11 of each, which reaches a result by the same
 * sum of magnitudes; small weights, whose largest is 1 or more, by 2^-25 each. And by FlashAttention's
 * rule it errs at most twice as much as plain f16 in C, from double over the pages, and RTOL. */
#define RTOL_COOPMAT 0x1p-10

attention_call attention_call_make(const attention_case *c, const attention_data *d, uint32_t variant,
                                   bool deterministic, uint32_t row)
{
    const uint32_t q_stride = c->heads * c->head_dim, out_stride = q_stride + 32;
    const bool alone = row < d->rows;
    const uint32_t seqs = alone ? 1 : c->seqs, rows = alone ? 1 : d->rows, rows_max = alone ? 1 : d->rows_max;
    const uint32_t alone_seq = 0, alone_start[2] = {0, 1}, alone_len = alone ? d->positions[row] + 1 : 0;
    attention_call k = {
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

float *attention_call_take(attention_call *k)
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

float *attention_run(const attention_case *c, const attention_data *d, uint32_t variant, bool deterministic,
                     uint32_t row)
{
    attention_call k = attention_call_make(c, d, variant, deterministic, row);
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_attention_record_variant(recorder, &k.a, variant));
    run_recorder(recorder);
    return attention_call_take(&k);
}

/* The worst error of variants in f16, of plain f16's worst in the same case. */
static double half_share;

uint32_t attention_order(uint32_t variant)
{
    const char *name = pm_attention_variant(variant);
    return strcmp(name, "texels") == 0 ? 1 : strstr(name, "64") != NULL ? 2 : 0;
}

bool attention_is_half(uint32_t variant)
{
    return strcmp(pm_attention_variant(variant), "prefill_coopmat") == 0;
}

/* NULL, or what the call lacks for the variant, which then must refuse it. */
static const char *lacks_of(const attention_call *k, uint32_t variant)
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

bool attention_takes(const attention_case *c, const attention_data *d, uint32_t variant, bool deterministic)
{
    if (!variant_is_wanted(pm_attention_variant(variant)))
        return false;
    attention_call probe = attention_call_make(c, d, variant, deterministic, UINT32_MAX);
    const bool takes = lacks_of(&probe, variant) == NULL;
    free(attention_call_take(&probe));
    return takes;
}

/* What a row and head must give: in double over the pages, and by the rule's measures. */
typedef struct expected {
    double *want, *size, *raw;     /* [rows, heads * head_dim] */
    double *half_size;             /* where a variant may be in f16: size, and what f16 weights err by */
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
            for (uint32_t i = 0; i < c->head_dim; i++) {
                const double off = fabs((double)trusted[i] - e.raw[at + i]);
                e.trusted_error = off > e.trusted_error ? off : e.trusted_error; /* fmax() of a float widened: gcc 12 for ARM fails */
            }
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
    const double rtol = attention_is_half(variant) ? RTOL_COOPMAT : RTOL;
    const double *size = attention_is_half(variant) ? e->half_size : e->size;
    double error = 0.0, share = 0.0;
    uint64_t error_at = 0, share_at = 0;
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
            const double off = fabs((double)row[i] - e->raw[at]), part = share_of((double)row[i], e->want[at], size[at]);
            error_at = off > error ? at : error_at;
            share_at = part > share ? at : share_at;
            error = fmax(error, off);
            share = fmax(share, part);
        }
        for (uint32_t i = width; i < out_stride; i++)
            assert_true(row[i] == 0.0f);
    }
    for (uint64_t i = (uint64_t)d->rows * out_stride; i < (uint64_t)d->rows_max * out_stride; i++)
        assert_int_equal(pm_f32_bits(got[i]), CANARY_WORD);
    tally("attention", pm_attention_variant(variant), (uint64_t)d->rows * width);
    if (attention_is_half(variant)) {
        if (!(share <= 2.0 * e->half_error + RTOL))
            fail_msg("%s: row %u element %u errs by %.3e of the magnitudes, more than twice the %.3e of plain f16", what,
                     (uint32_t)(share_at / width), (uint32_t)(share_at % width), share, e->half_error);
        half_share = e->half_error > 0.0 ? fmax(half_share, share / e->half_error) : half_share;
        return;
    }
    if (c->type != PM_KV_F32 && !(error <= 2.0 * e->trusted_error + ATOL))
        fail_msg("%s: row %u element %u errs by %.3e, more than twice the %.3e of plain float over the same pages", what,
                 (uint32_t)(error_at / width), (uint32_t)(error_at % width), error, e->trusted_error);
}

/* Variants of 64 lanes are the shader of those of 32, compiled anew: one case in three has them, of shapes of its own,
 * for which nothing is compiled yet, one in eight. */
static bool takes_wide(const attention_case *c)
{
    const bool usual = c->head_dim == 64 && c->heads == 2 * c->kv_heads && c->page_tokens == 16;
    return pick(usual ? 3 : 8) == 0 || is_full() || c->every;
}

static bool in_turn(uint32_t variant, bool wide)
{
    if (wide || attention_order(variant) != 2)
        return true;
    tally_skip("attention", pm_attention_variant(variant), "left to another seed; PUMICE_TEST_FULL=1 has it");
    return false;
}

uint32_t attention_check(const attention_case *c)
{
    attention_data d;
    float *first[ATTENTION_ORDERS] = {0};
    uint32_t runs = 0;
    const bool wide = takes_wide(c);
    attention_fill(c, &d);
    expected e = expect(c, &d);
    for (int deterministic = 0; deterministic <= (c->both ? 1 : 0); deterministic++)
        for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++) {
            char what[200];
            if (!in_turn(v, wide) || !attention_takes(c, &d, v, deterministic))
                continue;
            runs++;
            snprintf(what, sizeof(what), "%s%s %s, kind %d, %u/%u heads of %u, window %u, pages of %u, %u seqs of %u + %u",
                     pm_attention_variant(v), deterministic ? " deterministic" : "", pm_kv_type_name(c->type), (int)c->kind,
                     c->heads, c->kv_heads, c->head_dim, c->window, c->page_tokens, c->seqs, c->past[0], c->fresh[0]);
            float *got = attention_run(c, &d, v, deterministic, UINT32_MAX);
            check_rows(c, &d, &e, got, v, what);
            float **same = &first[attention_order(v)];
            for (uint32_t i = 0; *same != NULL && i < d.rows * (c->heads * c->head_dim + 32); i++)
                if (memcmp(&got[i], &(*same)[i], 4) != 0)
                    fail_msg("%s: element %u is %.9g, by another variant %.9g", what, i, (double)got[i], (double)(*same)[i]);
            if (deterministic && *same == NULL && !attention_is_half(v))
                *same = got;
            else
                free(got);
        }
    for (uint32_t i = 0; i < ATTENTION_ORDERS; i++)
        free(first[i]);
    free(e.want);
    attention_finish(&d);
    return runs;
}

double attention_half_share(void)
{
    return half_share;
}
