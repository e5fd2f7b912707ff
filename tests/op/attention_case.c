/* op/attention_case.c - what the pages must hold, and filling them. */
#include "op/attention_case.h"

#include "op/rope_kv.h"
#include "ref/kv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
            assert_true(d->rows < CASE_ROWS);
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
                float most = 0.0f;
                const uint32_t end = b + 32 < c->head_dim ? b + 32 : c->head_dim;
                for (uint32_t i = b; i < end; i++)
                    most = fmaxf(most, fabsf(raw_k[i]));
                for (uint32_t i = b; i < end; i++)
                    if (!(fabs((double)k[i] - (double)raw_k[i]) <= key_tolerance(c->type, (double)most)))
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
        row[i] = i < q_width ? input_value(c->q_kind, seed, i) * (c->q_scale != 0.0f ? c->q_scale : 1.0f)
                             : input_value(c->kind, seed, i);
}

static void check_rotated(const attention_case *c, const float *in, const float *got, uint32_t position)
{
    for (uint32_t h = 0; h < c->heads; h++) {
        double want[256], size[256];
        rotate(c, in + h * c->head_dim, position, want);
        for (uint32_t i = 0; i < c->head_dim; i++)
            size[i] = fabs((double)in[h * c->head_dim + i]) +
                      (c->q_kind == INPUT_OUTLIERS ? 1000.0 : 10.0) * (c->q_scale != 0.0f ? (double)c->q_scale : 1.0);
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

void attention_fill(const attention_case *c, attention_data *d)
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

void attention_finish(attention_data *d)
{
    buffer_free(&d->kv);
    free(d->tables);
    free(d->k);
    free(d->q);
    free(d->image);
}
