/* vulkan.c - a case through Pumice. */
#include "cuda/vulkan.h"

#include "op/argmax.h"
#include "op/attention.h"
#include "op/embedding.h"
#include "op/matmul.h"
#include "op/rmsnorm.h"
#include "op/rope_kv.h"
#include "op/swiglu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *vulkan_variant(const cuda_case *c, uint32_t index)
{
    switch (c->op) {
    case CUDA_MATMUL: return pm_matmul_variant(index);
    case CUDA_DECODE: case CUDA_PREFILL: return pm_attention_variant(index);
    case CUDA_TOPK: return NULL;
    default: return index == 0 ? "base" : NULL;
    }
}

pm_matmul_numerics vulkan_numerics(const cuda_case *c, uint32_t index)
{
    if (c->op == CUDA_MATMUL)
        return pm_matmul_variant_numerics(index);
    return strstr(vulkan_variant(c, index), "coopmat") != NULL ? PM_MATMUL_MATRIX : PM_MATMUL_F32;
}

static test_buffer pack(pm_weight *weight, const cuda_inputs *in)
{
    test_buffer packed = buffer_make(pm_weight_bytes(weight->type, weight->n, weight->k));
    test_buffer raw = buffer_from(in->blocks, in->blocks_bytes);
    weight->data = packed.slice;
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_weight_pack_record(recorder, weight, 0, weight->n, raw.slice));
    run_recorder(recorder);
    buffer_free(&raw);
    return packed;
}

/* Rows of `width` floats with this stride, the rest of each row zero. */
static float *spread(const float *x, uint32_t rows, uint32_t width, uint32_t stride)
{
    float *out = calloc((uint64_t)rows * stride, sizeof(*out));
    assert_non_null(out);
    for (uint32_t r = 0; r < rows; r++)
        memcpy(out + (uint64_t)r * stride, x + (uint64_t)r * width, width * sizeof(*x));
    return out;
}

static test_buffer buffer_spread(const float *x, uint32_t rows, uint32_t width, uint32_t stride)
{
    float *wide = spread(x, rows, width, stride);
    test_buffer b = buffer_from(wide, (uint64_t)rows * stride * 4);
    free(wide);
    return b;
}

static void read_rows(const test_buffer *b, uint32_t rows, uint32_t width, uint32_t stride, float *out)
{
    float *wide = malloc((uint64_t)rows * stride * sizeof(*wide));
    assert_non_null(wide);
    buffer_read(b, wide);
    for (uint32_t r = 0; r < rows; r++)
        memcpy(out + (uint64_t)r * width, wide + (uint64_t)r * stride, width * sizeof(*out));
    free(wide);
}

static void run_embedding(const cuda_case *c, const cuda_inputs *in, float *out)
{
    const uint32_t stride = pm_row_stride(c->k);
    pm_weight weight = {.type = c->type, .n = c->n, .k = c->k};
    test_buffer packed = pack(&weight, in), tokens = buffer_from(in->tokens, c->rows * 4), rows = buffer_from(&c->rows, 4),
                y = buffer_make((uint64_t)c->rows * stride * 4);
    const pm_embedding e = {.weight = weight, .tokens = tokens.slice, .y = y.slice, .rows = rows.slice, .rows_max = c->rows,
                            .y_stride = stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_embedding_record(recorder, &e));
    run_recorder(recorder);
    read_rows(&y, c->rows, c->k, stride, out);
    buffer_free(&packed);
    buffer_free(&tokens);
    buffer_free(&rows);
    buffer_free(&y);
}

/* x_q8 has bytes and no buffer yet: enough to ask. */
static pm_matmul matmul_shape(const cuda_case *c)
{
    return (pm_matmul){.weight = {.type = c->type, .n = c->n, .k = c->k}, .x_q8 = {.bytes = pm_quantise_bytes(c->rows, c->k)},
                       .rows_max = c->rows, .x_stride = pm_row_stride(c->k), .y_stride = pm_row_stride(c->n)};
}

static void run_matmul(const cuda_case *c, const cuda_inputs *in, uint32_t variant, float *out)
{
    pm_matmul m = matmul_shape(c);
    test_buffer packed = pack(&m.weight, in), x = buffer_spread(in->x, c->rows, c->k, m.x_stride),
                x_q8 = buffer_make(m.x_q8.bytes), rows = buffer_from(&c->rows, 4),
                y = buffer_make((uint64_t)c->rows * m.y_stride * 4), bias = {0};
    if (in->bias != NULL) {
        bias = buffer_from(in->bias, c->n * 4);
        m.bias = bias.slice;
    }
    m.x = x.slice;
    m.x_q8 = x_q8.slice;
    m.y = y.slice;
    m.rows = rows.slice;
    pm_vk_recorder *recorder = make_recorder();
    if (pm_matmul_variant_numerics(variant) == PM_MATMUL_INT8) {
        const pm_quantise q = {.x = m.x, .y = m.x_q8, .rows = m.rows, .rows_max = m.rows_max, .k = c->k, .x_stride = m.x_stride};
        ok(pm_quantise_record(recorder, &q));
    }
    ok(pm_matmul_record_variant(recorder, &m, variant));
    run_recorder(recorder);
    read_rows(&y, c->rows, c->n, m.y_stride, out);
    buffer_free(&packed);
    buffer_free(&x);
    buffer_free(&x_q8);
    buffer_free(&rows);
    buffer_free(&y);
    buffer_free(&bias);
}

static void run_rmsnorm(const cuda_case *c, const cuda_inputs *in, float *out)
{
    const uint32_t stride = pm_row_stride(c->k);
    test_buffer x = buffer_spread(in->x, c->rows, c->k, stride), w = buffer_from(in->w, c->k * 4), rows = buffer_from(&c->rows, 4),
                y = buffer_make((uint64_t)c->rows * stride * 4), add = {0};
    if (in->add != NULL)
        add = buffer_spread(in->add, c->rows, c->k, stride);
    const pm_rmsnorm n = {.x = x.slice, .add = add.slice, .w = w.slice, .y = y.slice, .rows = rows.slice, .rows_max = c->rows,
                          .dim = c->k, .x_stride = stride, .y_stride = stride, .epsilon = 1e-5f};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rmsnorm_record(recorder, &n));
    run_recorder(recorder);
    read_rows(&y, c->rows, c->k, stride, out);
    read_rows(&x, c->rows, c->k, stride, out + in->x_count);
    buffer_free(&x);
    buffer_free(&w);
    buffer_free(&rows);
    buffer_free(&y);
    buffer_free(&add);
}

static void run_swiglu(const cuda_case *c, const cuda_inputs *in, float *out)
{
    const uint32_t x_stride = pm_row_stride(2 * c->k), y_stride = pm_row_stride(c->k);
    test_buffer x = buffer_spread(in->x, c->rows, 2 * c->k, x_stride), rows = buffer_from(&c->rows, 4),
                y = buffer_make((uint64_t)c->rows * y_stride * 4);
    const pm_swiglu s = {.gate_up = x.slice, .y = y.slice, .rows = rows.slice, .rows_max = c->rows, .hidden = c->k,
                         .x_stride = x_stride, .y_stride = y_stride};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_swiglu_record(recorder, &s));
    run_recorder(recorder);
    read_rows(&y, c->rows, c->k, y_stride, out);
    buffer_free(&x);
    buffer_free(&rows);
    buffer_free(&y);
}

static void run_argmax(const cuda_case *c, const cuda_inputs *in, float *out)
{
    uint32_t *ids = malloc(c->rows * sizeof(*ids));
    assert_non_null(ids);
    test_buffer x = buffer_from(in->x, in->x_count * 4), tokens = buffer_make(c->rows * 4), rows = buffer_from(&c->rows, 4);
    const pm_argmax a = {.x = x.slice, .tokens = tokens.slice, .rows = rows.slice, .rows_max = c->rows, .n = c->n,
                         .x_stride = c->n};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_argmax_record(recorder, &a));
    run_recorder(recorder);
    buffer_read(&tokens, ids);
    for (uint32_t r = 0; r < c->rows; r++)
        out[r] = ids[r] == PM_ARGMAX_NAN ? -1.0f : (float)ids[r];
    buffer_free(&x);
    buffer_free(&tokens);
    buffer_free(&rows);
    free(ids);
}

/* The table of rotations of model/rope.c, for this case's frequencies. */
static test_buffer rope_table(const cuda_case *c, const cuda_inputs *in)
{
    float *values = malloc((uint64_t)in->context * c->rotary_dim * sizeof(*values));
    assert_non_null(values);
    for (uint32_t p = 0; p < in->context; p++)
        for (uint32_t i = 0; i < c->rotary_dim / 2; i++) {
            values[p * c->rotary_dim + 2 * i] = (float)cos(p * in->frequencies[i]);
            values[p * c->rotary_dim + 2 * i + 1] = (float)sin(p * in->frequencies[i]);
        }
    test_buffer table = buffer_from(values, (uint64_t)in->context * c->rotary_dim * 4);
    free(values);
    return table;
}

static pm_attention attention_shape(const cuda_case *c, const cuda_inputs *in)
{
    uint32_t most = 0;
    for (uint32_t s = 0; s < c->seqs; s++)
        most = c->fresh[s] > most ? c->fresh[s] : most;
    return (pm_attention){.layout = {(pm_kv_type)c->kv_type, c->kv_heads, c->head_dim, c->page_tokens}, .rows_max = in->rows,
                          .seqs_max = c->seqs, .rows_per_seq_max = most, .kv_len_max = in->context, .heads = c->heads,
                          .q_stride = in->width, .out_stride = pm_row_stride(c->heads * c->head_dim),
                          .table_stride = in->table_stride, .scale = (float)(1.0 / sqrt((double)c->head_dim)),
                          .window = c->window};
}

/* Rotates and stores all rows, then attends with the fresh ones, which come first. */
static void run_attention(const cuda_case *c, const cuda_inputs *in, uint32_t variant, float *out)
{
    pm_attention a = attention_shape(c, in);
    const uint32_t q_width = c->heads * c->head_dim, out_stride = a.out_stride;
    const pm_kv_layout layout = a.layout;
    test_buffer qkv = buffer_from(in->x, in->x_count * 4), table = rope_table(c, in),
                positions = buffer_from(in->positions, in->total * 4), slots = buffer_from(in->slots, in->total * 4),
                kv = buffer_make(in->pages * pm_kv_page_bytes(&layout)), total = buffer_from(&in->total, 4),
                y = buffer_make((uint64_t)in->rows * out_stride * 4),
                tables = buffer_from(in->tables, (uint64_t)c->seqs * in->table_stride * 4),
                row_seq = buffer_from(in->row_seq, in->rows * 4), row_start = buffer_from(in->row_start, (c->seqs + 1) * 4),
                kv_len = buffer_from(in->kv_len, c->seqs * 4), rows = buffer_from(&in->rows, 4),
                scratch = buffer_make((uint64_t)in->rows * c->heads * 32 * (c->head_dim + 2) * 4);
    const pm_rope_kv rope = {.qkv = qkv.slice, .table = table.slice, .positions = positions.slice, .slots = slots.slice,
                             .kv = kv.slice, .rows = total.slice, .layout = layout, .rows_max = in->total,
                             .qkv_stride = in->width, .heads = c->heads, .rotary_dim = c->rotary_dim, .neox = c->option};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rope_kv_record(recorder, &rope));
    if (c->op != CUDA_ROPE) {
        a.q = qkv.slice;
        a.out = y.slice;
        a.kv = kv.slice;
        a.block_tables = tables.slice;
        a.row_seq = row_seq.slice;
        a.row_start = row_start.slice;
        a.kv_len = kv_len.slice;
        a.rows = rows.slice;
        a.scratch = scratch.slice;
        ok(pm_attention_record_variant(recorder, &a, variant));
    }
    run_recorder(recorder);
    if (c->op == CUDA_ROPE) {
        float *back = malloc(in->x_count * sizeof(*back));
        assert_non_null(back);
        buffer_read(&qkv, back);
        for (uint32_t r = 0; r < in->rows; r++)
            memcpy(out + (uint64_t)r * q_width, back + (uint64_t)r * in->width, q_width * sizeof(*out));
        free(back);
    } else {
        read_rows(&y, in->rows, q_width, out_stride, out);
    }
    test_buffer *all[] = {&qkv, &table, &positions, &slots, &kv, &total, &y, &tables, &row_seq, &row_start, &kv_len, &rows, &scratch};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        buffer_free(all[i]);
}

const char *vulkan_lacks(const cuda_case *c, const cuda_inputs *in, uint32_t index)
{
    const pm_vk_caps *caps = pm_vk_device_caps(harness_device());
    if ((c->op == CUDA_EMBEDDING || c->op == CUDA_MATMUL) && !pm_weight_supported(c->type))
        return "weights of this type";
    if (c->op == CUDA_MATMUL) {
        const pm_matmul m = matmul_shape(c);
        return pm_matmul_variant_lacks(index, caps, &m);
    }
    if (c->op != CUDA_DECODE && c->op != CUDA_PREFILL)
        return NULL;
    const pm_attention a = attention_shape(c, in);
    return pm_attention_variant_lacks(index, caps, &a);
}

void vulkan_run(const cuda_case *c, const cuda_inputs *in, uint32_t index, float *out)
{
    switch (c->op) {
    case CUDA_EMBEDDING: run_embedding(c, in, out); return;
    case CUDA_MATMUL: run_matmul(c, in, index, out); return;
    case CUDA_RMSNORM: run_rmsnorm(c, in, out); return;
    case CUDA_ROPE: case CUDA_DECODE: case CUDA_PREFILL: run_attention(c, in, index, out); return;
    case CUDA_SWIGLU: run_swiglu(c, in, out); return;
    case CUDA_ARGMAX: run_argmax(c, in, out); return;
    case CUDA_TOPK: pm_assert(false); /* no op on the device: vulkan_variant() names none */
    }
}
