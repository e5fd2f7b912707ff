/* plan/decoder.c - the forward pass of a decoder, as a list of dispatches. */
#include "plan/decoder.h"

#include "op/argmax.h"
#include "op/attention.h"
#include "op/embedding.h"
#include "op/matmul.h"
#include "op/page_copy.h"
#include "op/rmsnorm.h"
#include "op/rope_kv.h"
#include "op/sample.h"
#include "op/step_tokens.h"
#include "op/swiglu.h"

#include <math.h>

#define SECTION_ALIGN 256u

/* For the widest x of all matmuls. */
static uint64_t x_q8_bytes(const pm_vk_caps *caps, const pm_hparams *h, uint32_t rows_max)
{
    const uint32_t mix = h->heads * h->head_dim, narrow = h->dim > mix ? h->dim : mix;
    return pm_matmul_x_q8_bytes(caps, rows_max, narrow > h->hidden ? narrow : h->hidden);
}

pm_result pm_activations_init(pm_activations *a, pm_vk_device *device, const pm_hparams *h, uint32_t rows_max,
                              uint32_t outs_max, uint32_t edits_max, uint64_t scratch_bytes)
{
    *a = (pm_activations){0};
    const struct {
        pm_slice *slice;
        uint64_t bytes;
    } sections[] = {
        {&a->x, (uint64_t)rows_max * pm_row_stride(h->dim) * 4},
        {&a->normed, (uint64_t)(rows_max > outs_max ? rows_max : outs_max) * pm_row_stride(h->dim) * 4},
        {&a->last, (uint64_t)rows_max * pm_row_stride(h->dim) * 4},
        {&a->qkv, (uint64_t)rows_max * pm_row_stride(pm_hparams_qkv(h)) * 4},
        {&a->mix, (uint64_t)rows_max * pm_row_stride(h->heads * h->head_dim) * 4},
        {&a->gate_up, (uint64_t)rows_max * pm_row_stride(2 * h->hidden) * 4},
        {&a->act, (uint64_t)rows_max * pm_row_stride(h->hidden) * 4},
        {&a->logits, (uint64_t)outs_max * pm_row_stride(h->vocab) * 4},
        {&a->x_q8, x_q8_bytes(pm_vk_device_caps(device), h, rows_max)},
        {&a->saved_logits, pm_sample_saved_bytes(edits_max, outs_max)},
        {&a->scratch, scratch_bytes},
    };
    const size_t count = sizeof(sections) / sizeof(sections[0]);
    uint64_t offsets[sizeof(sections) / sizeof(sections[0])], bytes = 0;
    for (size_t i = 0; i < count; i++) {
        offsets[i] = bytes;
        bytes += (sections[i].bytes + SECTION_ALIGN - 1) / SECTION_ALIGN * SECTION_ALIGN;
    }
    PM_TRY(pm_vk_buffer_create(device, bytes, PM_VK_DEVICE, "activations", &a->buffer));
    for (size_t i = 0; i < count; i++)
        if (sections[i].bytes > 0)
            *sections[i].slice = pm_vk_buffer_slice(a->buffer, offsets[i], sections[i].bytes);
    return PM_OK;
}

void pm_activations_finish(pm_activations *a)
{
    pm_vk_buffer_destroy(a->buffer);
    *a = (pm_activations){0};
}

/* y = x W^T + b: one matmul for each part, into neighbouring columns of y. The parts that
 * read x in 8-bit blocks share one quantisation. */
static pm_result record_linear(pm_vk_recorder *recorder, const pm_decoder *d, const pm_linear *linear, pm_slice x,
                               pm_slice y, pm_slice rows, uint32_t rows_max)
{
    bool quantised = false;
    for (uint32_t i = 0, column = 0; i < linear->part_count; column += linear->part[i++].n) {
        const uint64_t offset = (uint64_t)column * 4;
        pm_matmul m = {
            .weight = linear->part[i],
            .x = x,
            .x_q8 = d->activations.x_q8,
            .y = pm_slice_part(y, offset, y.bytes - offset),
            .rows = rows,
            .rows_max = rows_max,
            .x_stride = pm_row_stride(linear->k),
            .y_stride = pm_row_stride(linear->n),
            .deterministic = d->deterministic,
        };
        if (linear->bias.buffer != NULL)
            m.bias = pm_slice_part(linear->bias, offset, (uint64_t)linear->part[i].n * 4);
        uint32_t variant;
        PM_TRY(pm_matmul_pick(pm_vk_device_caps(pm_vk_recorder_device(recorder)), &m, &variant));
        if (!quantised && pm_matmul_variant_numerics(variant) == PM_MATMUL_INT8) {
            const pm_quantise q = {.x = x, .y = m.x_q8, .rows = rows, .rows_max = rows_max, .k = linear->k,
                                   .x_stride = m.x_stride};
            PM_TRY(pm_quantise_record(recorder, &q));
            quantised = true;
        }
        PM_TRY(pm_matmul_record_variant(recorder, &m, variant));
    }
    return PM_OK;
}

static pm_result record_norm(pm_vk_recorder *recorder, const pm_decoder *d, pm_slice w, bool add, pm_slice index,
                             pm_slice rows, uint32_t rows_max)
{
    const pm_hparams *h = d->hparams;
    const pm_rmsnorm norm = {
        .x = d->activations.x,
        .add = add ? d->activations.last : (pm_slice){0},
        .w = w,
        .y = d->activations.normed,
        .index = index,
        .rows = rows,
        .rows_max = rows_max,
        .dim = h->dim,
        .x_stride = pm_row_stride(h->dim),
        .y_stride = pm_row_stride(h->dim),
        .epsilon = h->rms_epsilon,
    };
    return pm_rmsnorm_record(recorder, &norm);
}

static pm_attention attention_of(const pm_decoder *d, const pm_bucket *bucket, uint32_t layer)
{
    const pm_hparams *h = d->hparams;
    return (pm_attention){
        .q = d->activations.qkv,
        .out = d->activations.mix,
        .kv = pm_kv_store_layer(d->kv, layer),
        .block_tables = d->step->block_tables,
        .row_seq = d->step->row_seq,
        .row_start = d->step->row_start,
        .kv_len = d->step->kv_len,
        .rows = d->step->rows,
        .scratch = d->activations.scratch,
        .layout = d->kv->layout,
        .rows_max = bucket->rows,
        .seqs_max = bucket->seqs,
        .rows_per_seq_max = bucket->decode ? 1 : bucket->rows,
        .kv_len_max = d->context,
        .heads = h->heads,
        .q_stride = pm_row_stride(pm_hparams_qkv(h)),
        .out_stride = pm_row_stride(h->heads * h->head_dim),
        .table_stride = d->step->table_stride,
        .scale = 1.0f / sqrtf((float)h->head_dim),
        .window = h->window,
        .deterministic = d->deterministic,
    };
}

uint64_t pm_decoder_scratch_bytes(const pm_vk_caps *caps, const pm_decoder *decoder, const pm_bucket *bucket)
{
    const pm_attention a = attention_of(decoder, bucket, 0);
    return pm_attention_scratch_bytes(caps, &a);
}

static pm_result record_attention(pm_vk_recorder *recorder, const pm_decoder *d, const pm_bucket *bucket,
                                  uint32_t layer)
{
    const pm_hparams *h = d->hparams;
    const pm_rope_kv rope = {
        .qkv = d->activations.qkv,
        .table = d->weights->rope_table,
        .positions = d->step->positions,
        .slots = d->step->slots,
        .kv = pm_kv_store_layer(d->kv, layer),
        .rows = d->step->rows,
        .layout = d->kv->layout,
        .rows_max = bucket->rows,
        .qkv_stride = pm_row_stride(pm_hparams_qkv(h)),
        .heads = h->heads,
        .rotary_dim = h->rotary_dim,
        .neox = h->arch->neox,
    };
    PM_TRY(pm_rope_kv_record(recorder, &rope));
    const pm_attention attention = attention_of(d, bucket, layer);
    return pm_attention_record(recorder, &attention);
}

static pm_result record_layer(pm_vk_recorder *recorder, const pm_decoder *d, const pm_bucket *bucket, uint32_t layer)
{
    const pm_activations *a = &d->activations;
    const pm_layer_weights *w = &d->weights->layers[layer];
    const pm_slice rows = d->step->rows, no_index = {0};
    const pm_swiglu swiglu = {
        .gate_up = a->gate_up,
        .y = a->act,
        .rows = rows,
        .rows_max = bucket->rows,
        .hidden = d->hparams->hidden,
        .x_stride = pm_row_stride(2 * d->hparams->hidden),
        .y_stride = pm_row_stride(d->hparams->hidden),
    };
    PM_TRY(record_norm(recorder, d, w->attention_norm, layer > 0, no_index, rows, bucket->rows));
    PM_TRY(record_linear(recorder, d, &w->qkv, a->normed, a->qkv, rows, bucket->rows));
    PM_TRY(record_attention(recorder, d, bucket, layer));
    PM_TRY(record_linear(recorder, d, &w->attention_out, a->mix, a->last, rows, bucket->rows));
    PM_TRY(record_norm(recorder, d, w->ffn_norm, true, no_index, rows, bucket->rows));
    PM_TRY(record_linear(recorder, d, &w->gate_up, a->normed, a->gate_up, rows, bucket->rows));
    PM_TRY(pm_swiglu_record(recorder, &swiglu));
    return record_linear(recorder, d, &w->down, a->act, a->last, rows, bucket->rows);
}

static pm_result record_copy(pm_vk_recorder *recorder, const pm_decoder *d, pm_slice from, pm_slice to, pm_slice pairs,
                             pm_slice count)
{
    const pm_page_copy_op copy = {
        .from = from,
        .to = to,
        .pairs = pairs,
        .count = count,
        .count_max = (uint32_t)(pairs.bytes / 8),
        .page_bytes = (uint32_t)pm_kv_page_bytes(&d->kv->layout),
    };
    return pm_page_copy_record(recorder, &copy);
}

pm_result pm_decoder_record_moves(pm_vk_recorder *recorder, const pm_decoder *d)
{
    const pm_step *step = d->step;
    for (uint32_t layer = 0; layer < d->hparams->layers; layer++) {
        const pm_slice pages = pm_kv_store_layer(d->kv, layer);
        if (d->kv->slots > 0) {
            const pm_slice slots = pm_kv_store_host_layer(d->kv, layer);
            PM_TRY(record_copy(recorder, d, pages, slots, step->swap_outs, step->swap_out_count));
            PM_TRY(record_copy(recorder, d, slots, pages, step->swap_ins, step->swap_in_count));
        }
        PM_TRY(record_copy(recorder, d, pages, pages, step->copies, step->copy_count));
        pm_vk_record_segment(recorder);
    }
    return PM_OK;
}

pm_result pm_decoder_record_body(pm_vk_recorder *recorder, const pm_decoder *d, const pm_bucket *bucket)
{
    const pm_step_tokens tokens = {
        .tokens = d->step->tokens,
        .from = d->step->token_from,
        .picked = d->picked_before,
        .rows = d->step->rows,
        .rows_max = bucket->rows,
        .vocab = d->hparams->vocab,
    };
    const pm_embedding embedding = {
        .weight = d->weights->embedding,
        .tokens = d->step->tokens,
        .y = d->activations.x,
        .rows = d->step->rows,
        .rows_max = bucket->rows,
        .y_stride = pm_row_stride(d->hparams->dim),
    };
    PM_TRY(pm_step_tokens_record(recorder, &tokens));
    PM_TRY(pm_embedding_record(recorder, &embedding));
    for (uint32_t layer = 0; layer < d->hparams->layers; layer++) {
        PM_TRY(record_layer(recorder, d, bucket, layer));
        pm_vk_record_segment(recorder);
    }
    return PM_OK;
}

static pm_result record_logits(pm_vk_recorder *recorder, const pm_decoder *d, uint32_t outs)
{
    const pm_activations *a = &d->activations;
    PM_TRY(record_norm(recorder, d, d->weights->output_norm, true, d->step->out_rows, d->step->outs, outs));
    return record_linear(recorder, d, &d->weights->output, a->normed, a->logits, d->step->outs, outs);
}

pm_result pm_decoder_record_head(pm_vk_recorder *recorder, const pm_decoder *d, uint32_t outs)
{
    const pm_argmax argmax = {
        .x = d->activations.logits,
        .tokens = d->picked,
        .rows = d->step->outs,
        .rows_max = outs,
        .n = d->hparams->vocab,
        .x_stride = pm_row_stride(d->hparams->vocab),
    };
    PM_TRY(record_logits(recorder, d, outs));
    return pm_argmax_record(recorder, &argmax);
}

pm_result pm_decoder_record_sampling_head(pm_vk_recorder *recorder, const pm_decoder *d, uint32_t outs)
{
    const pm_sample_op sample = {
        .logits = d->activations.logits,
        .rows = d->step->outs,
        .params = d->step->samples,
        .edits = d->step->edits,
        .masks = d->step->masks,
        .inputs = d->step->tokens,
        .input_rows = d->step->out_rows,
        .saved = d->activations.saved_logits,
        .tokens = d->picked,
        .flags = d->pick_flags,
        .logprobs = d->logprobs,
        .rows_max = outs,
        .n = d->hparams->vocab,
        .stride = pm_row_stride(d->hparams->vocab),
        .edits_max = d->step->edits_max,
    };
    PM_TRY(record_logits(recorder, d, outs));
    return pm_sample_record(recorder, &sample);
}
