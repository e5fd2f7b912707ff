/* verify/check_weights.c - the ops that read packed weights: embedding and matmul. */
#include "verify/check_impl.h"

#include "base/alloc.h"
#include "op/embedding.h"
#include "op/pack_host.h"
#include "verify/blocks.h"
#include "verify/input.h"

#include <math.h>
#include <string.h>

/* Of the sum of |terms|, by what the variant computes with (tests/op/matmul_numerics.h); where x is
 * rounded to 8 bits, of sum |w| max |x| over blocks of 32, of which half a step is 1 / 254. */
static const double matmul_bounds[] = {
    [PM_MATMUL_F32] = 3e-6,
    [PM_MATMUL_MATRIX] = 0x1p-10 + 3e-6,
    [PM_MATMUL_INT8] = 1.0 / 254.0 + 3e-6,
};
#define Y_PAD 5u                   /* columns past the outputs, which nobody may write */

static uint64_t seed_of(const pm_check *c)
{
    return pm_mix64(c->seed + 1000 * c->type + c->n) + c->k;
}

/* A packed matrix, made of two tensors stacked by rows; blocks[2]: in the host's image. */
static pm_result take_weight(pm_check_run *run, pm_weight *weight, uint8_t *blocks[2], uint32_t *first)
{
    const pm_check *c = run->check;
    const uint64_t row_bytes = pm_dtype_row_bytes((pm_dtype)c->type, c->k);
    const uint32_t rows[2] = {(c->n + 1) / 2, c->n - (c->n + 1) / 2};
    pm_slice raw[2], packed;
    *weight = (pm_weight){.type = (pm_dtype)c->type, .n = c->n, .k = c->k};
    for (uint32_t i = 0; i < 2; i++) {
        blocks[i] = pm_check_take(run, rows[i] * row_bytes + 4, &raw[i]);
        if (blocks[i] != NULL)
            pm_verify_blocks(weight->type, seed_of(c) + i, blocks[i], rows[i] * row_bytes);
    }
    const bool has_kernel = pm_weight_supported(weight->type); /* else only the reference is wanted */
    uint8_t *host = pm_check_take(run, has_kernel ? pm_weight_bytes(weight->type, c->n, c->k) : 0, &packed);
    pm_check_passing(run, packed);
    weight->data = packed;
    *first = rows[0];
    if (c->as_loaded && pm_slice_is_mapped(packed) && pm_weight_packs_on_host(weight->type)) {
        for (uint32_t i = 0; i < 2 && host != NULL; i++)
            pm_weight_pack_on_host(weight, host, i * rows[0], rows[i], blocks[i]);
        return PM_OK;
    }
    if (run->recorder != NULL && !run->again && rows[0] > 0)
        PM_TRY(pm_weight_pack_record(run->recorder, weight, 0, rows[0], raw[0]));
    if (run->recorder != NULL && !run->again && rows[1] > 0)
        PM_TRY(pm_weight_pack_record(run->recorder, weight, rows[0], rows[1], raw[1]));
    return PM_OK;
}

/* Row i of the matrix as f32: exactly what the file's blocks say. */
static void weight_row(const pm_check *c, uint8_t *const blocks[2], uint32_t first, uint32_t i, float *row)
{
    const uint64_t row_bytes = pm_dtype_row_bytes((pm_dtype)c->type, c->k);
    pm_dequant_row((pm_dtype)c->type, i < first ? blocks[0] + i * row_bytes : blocks[1] + (i - first) * row_bytes, row,
                   c->k);
}

/* ------------------------------------------------------------- embedding */

pm_result pm_check_embedding(pm_check_run *run)
{
    const pm_check *c = run->check;
    const uint32_t stride = pm_row_stride(c->k), rows_max = c->rows + 1;
    pm_weight weight;
    pm_slice token_slice, count_slice, y;
    uint8_t *blocks[2];
    uint32_t first;
    PM_TRY(take_weight(run, &weight, blocks, &first));
    uint32_t *tokens = pm_check_take(run, (uint64_t)rows_max * 4, &token_slice);
    uint32_t *count = pm_check_take(run, 4, &count_slice);
    (void)pm_check_take(run, (uint64_t)rows_max * stride * 4, &y);
    pm_check_output(run, y, c->rows, stride, stride, false);
    run->bound = 0.0;
    if (run->host != NULL) {
        *count = c->rows;
        for (uint32_t r = 0; r < rows_max; r++)
            tokens[r] = (c->n - 1 - r % c->n) % c->n;
    }
    if (run->recorder != NULL) {
        const pm_embedding e = {.weight = weight, .tokens = token_slice, .y = y, .rows = count_slice,
                                .rows_max = rows_max, .y_stride = stride};
        PM_TRY(pm_embedding_record(run->recorder, &e));
    }
    if (run->want == NULL)
        return PM_OK;
    float *row = pm_alloc(stride, sizeof(*row), "references");
    if (row == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t r = 0; r < c->rows; r++) {
        weight_row(c, blocks, first, tokens[r], row);
        for (uint32_t i = 0; i < stride; i++) {
            run->want[(uint64_t)r * stride + i] = (double)row[i];
            run->size[(uint64_t)r * stride + i] = fabs((double)row[i]);
        }
    }
    pm_free(row);
    return PM_OK;
}

/* ---------------------------------------------------------------- matmul */

pm_matmul pm_check_matmul_shape(const pm_check *c)
{
    return (pm_matmul){
        .weight = {.type = (pm_dtype)c->type, .n = c->n, .k = c->k},
        .x_q8 = {.bytes = pm_quantise_bytes(c->rows, c->k)},
        .rows_max = c->rows,       /* what a plan of so many rows would ask for */
        .x_stride = pm_row_stride(c->k),
        .y_stride = c->n + Y_PAD,
        .slices = c->slices,
        .lanes = c->lanes,
        .deterministic = c->deterministic,
    };
}

static void matmul_inputs(const pm_check *c, float *x, float *bias)
{
    const uint32_t stride = pm_row_stride(c->k);
    for (uint32_t r = 0; r < c->rows; r++)
        for (uint32_t i = 0; i < stride; i++) {
            const float value = i < c->k ? pm_input_normal(seed_of(c) + 7, (uint64_t)r * c->k + i) : 0.0f;
            x[(uint64_t)r * stride + i] = c->outliers > 0 && i % c->outliers == 7 ? value * 100.0f : value;
        }
    for (uint32_t i = 0; i < c->n; i++)
        bias[i] = pm_input_normal(seed_of(c) + 8, i);
}

/* y = x W^T + bias, in double, k in order. */
static pm_result matmul_reference(pm_check_run *run, uint8_t *const blocks[2], uint32_t first, const float *x,
                                  const float *bias)
{
    const pm_check *c = run->check;
    const uint32_t stride = pm_row_stride(c->k);
    const bool rounds_x = pm_matmul_variant_numerics(c->variant) == PM_MATMUL_INT8;
    float *w = pm_alloc(c->k, sizeof(*w), "references");
    if (w == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t i = 0; i < c->n; i++) {
        weight_row(c, blocks, first, i, w);
        for (uint32_t r = 0; r < c->rows; r++) {
            double sum = (double)bias[i], size = fabs((double)bias[i]);
            for (uint32_t b = 0; b < c->k; b += 32) {
                double most = 0.0, weights = 0.0, terms = 0.0;
                for (uint32_t j = b; j < b + 32 && j < c->k; j++) {
                    const double value = (double)x[(uint64_t)r * stride + j], term = (double)w[j] * value;
                    sum += term;
                    terms += fabs(term);
                    weights += fabs((double)w[j]);
                    most = fabs(value) > most ? fabs(value) : most;
                }
                size += rounds_x ? most * weights : terms;
            }
            run->want[(uint64_t)r * c->n + i] = sum;
            run->size[(uint64_t)r * c->n + i] = size;
        }
    }
    pm_free(w);
    return PM_OK;
}

pm_result pm_check_matmul(pm_check_run *run)
{
    const pm_check *c = run->check;
    pm_matmul m = pm_check_matmul_shape(c);
    uint8_t *blocks[2];
    uint32_t first;
    PM_TRY(take_weight(run, &m.weight, blocks, &first));
    float *x = pm_check_take(run, (uint64_t)m.rows_max * m.x_stride * 4, &m.x);
    float *bias = pm_check_take(run, (uint64_t)c->n * 4, &m.bias);
    uint32_t *count = pm_check_take(run, 4, &m.rows);
    (void)pm_check_take(run, (uint64_t)m.rows_max * m.y_stride * 4, &m.y);
    pm_check_output(run, m.y, c->rows, c->n, m.y_stride, false);
    const pm_matmul_numerics numerics = pm_matmul_variant_numerics(c->variant);
    if (numerics == PM_MATMUL_INT8) {
        (void)pm_check_take(run, m.x_q8.bytes, &m.x_q8);
        pm_check_passing(run, m.x_q8);
    }
    run->bound = matmul_bounds[numerics];
    if (run->host != NULL) {
        *count = c->rows;
        matmul_inputs(c, x, bias);
    }
    if (run->recorder != NULL && (!run->again || run->quantises) && numerics == PM_MATMUL_INT8) {
        const pm_quantise q = {.x = m.x, .y = m.x_q8, .rows = m.rows, .rows_max = m.rows_max, .k = c->k,
                               .x_stride = m.x_stride};
        PM_TRY(pm_quantise_record(run->recorder, &q));
    }
    if (run->recorder != NULL)
        PM_TRY(pm_matmul_record_variant(run->recorder, &m, c->variant));
    return run->want != NULL ? matmul_reference(run, blocks, first, x, bias) : PM_OK;
}
