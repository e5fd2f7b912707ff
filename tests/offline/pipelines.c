/* offline/pipelines.c - every pipeline that a device's capabilities let Pumice ask for. */
#include "offline/pipelines.h"

#include "op/attention.h"
#include "op/embedding.h"
#include "op/matmul.h"
#include "op/page_copy.h"
#include "op/sample.h"
#include "op/step_tokens.h"
#include "plan/decoder.h"
#include "vk/buffer_impl.h"
#include "vk/statistics.h"

/* Widths and heads of models that are in use, and of one that is tiny. */
static const struct shape {
    uint32_t dim, hidden, heads, kv_heads, head_dim, vocab;
} shapes[] = {
    {64, 172, 8, 4, 16, 512},           {896, 4864, 14, 2, 64, 151936},     {2048, 5632, 32, 4, 64, 32000},
    {2560, 10240, 32, 32, 80, 51200},   {3072, 8192, 32, 32, 96, 32064},    {2048, 16384, 8, 1, 256, 256000},
    {3072, 24576, 16, 16, 256, 256000}, {4096, 11008, 32, 32, 128, 32000},  {4096, 14336, 32, 8, 128, 128256},
    {5120, 27648, 40, 8, 128, 152064},  {6144, 16384, 48, 3, 128, 49152},
};

/* Of most files. */
static const pm_dtype few_types[] = {PM_DTYPE_F16, PM_DTYPE_Q8_0, PM_DTYPE_Q4_0, PM_DTYPE_Q4_K, PM_DTYPE_Q6_K, PM_DTYPE_IQ4_XS};

static const uint32_t buckets[] = {1, 2, 3, 4, 8, 12, 16, 32, 64, 128, 512, 2048};
static const pm_kv_type kv_types[] = {PM_KV_F16, PM_KV_F32, PM_KV_Q8_0, PM_KV_Q4_0};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CONTEXT 32768u
#define PAGE_TOKENS 16u

/* 2^60 bytes at an address that nobody follows. */
static pm_vk_buffer nowhere = {.address = UINT64_C(1) << 40, .bytes = UINT64_C(1) << 60};

static pm_slice somewhere(void)
{
    return pm_vk_buffer_slice(&nowhere, 0, nowhere.bytes);
}

static pm_linear linear_of(pm_dtype type, uint32_t n, uint32_t k)
{
    return (pm_linear){.part = {{.type = type, .n = n, .k = k, .data = somewhere()}}, .part_count = 1, .n = n, .k = k};
}

/* Models whose rows are no multiple of the type's block do not exist. */
static bool has_type(const struct shape *s, pm_dtype type)
{
    const uint32_t block = pm_dtype_get(type)->block;
    return s->dim % block == 0 && s->hidden % block == 0 && s->heads * s->head_dim % block == 0;
}

/* Nor do pages of a type that does not take the heads. */
static bool has_pages(const struct shape *s, pm_kv_type type)
{
    return !pm_kv_type_has_scales(type) || s->head_dim % PM_KV_BLOCK == 0;
}

static pm_result draw_model(pm_vk_recorder *recorder, const struct shape *s, pm_dtype type, pm_kv_type kv_type)
{
    const pm_arch arch = {.name = "offline", .neox = kv_type != PM_KV_F16};
    const pm_hparams hparams = {
        .arch = &arch, .layers = 1, .dim = s->dim, .hidden = s->hidden, .heads = s->heads, .kv_heads = s->kv_heads,
        .head_dim = s->head_dim, .rotary_dim = s->head_dim, .vocab = s->vocab, .context = CONTEXT,
        .rms_epsilon = 1e-5f, .rope_theta = 1e4f, .rope_factor = 1.0f};
    pm_layer_weights layer = {
        .attention_norm = somewhere(),
        .ffn_norm = somewhere(),
        .qkv = linear_of(type, pm_hparams_qkv(&hparams), s->dim),
        .attention_out = linear_of(type, s->dim, s->heads * s->head_dim),
        .gate_up = linear_of(type, 2 * s->hidden, s->dim),
        .down = linear_of(type, s->dim, s->hidden),
    };
    const pm_weights weights = {
        .embedding = {.type = type, .n = s->vocab, .k = s->dim, .data = somewhere()},
        .output = linear_of(type, s->vocab, s->dim),
        .output_norm = somewhere(),
        .rope_table = somewhere(),
        .layers = &layer,
    };
    pm_vk_buffer *pages = &nowhere;
    const pm_kv_store kv = {
        .layout = {.type = kv_type, .kv_heads = s->kv_heads, .head_dim = s->head_dim, .page_tokens = PAGE_TOKENS},
        .pages = CONTEXT / PAGE_TOKENS, .layers = 1, .buffers = &pages};
    const pm_step step = {
        .rows_max = 2048, .seqs_max = 256, .outs_max = 2048, .table_stride = CONTEXT / PAGE_TOKENS,
        .rows = somewhere(), .outs = somewhere(), .tokens = somewhere(), .token_from = somewhere(), .samples = somewhere(), .edits = somewhere(), .masks = somewhere(), .positions = somewhere(),
        .slots = somewhere(), .row_seq = somewhere(), .row_start = somewhere(), .kv_len = somewhere(),
        .out_rows = somewhere(), .block_tables = somewhere()};
    const pm_decoder decoder = {
        .hparams = &hparams,
        .weights = &weights,
        .kv = &kv,
        .step = &step,
        .activations = {.x = somewhere(), .normed = somewhere(), .last = somewhere(), .qkv = somewhere(),
                        .mix = somewhere(), .gate_up = somewhere(), .act = somewhere(), .x_q8 = somewhere(), .logits = somewhere(),
                        .scratch = somewhere()},
        .picked = somewhere(),
        .picked_before = somewhere(),
        .context = CONTEXT,
    };
    for (size_t b = 0; b < COUNT(buckets); b++)
        for (int decode = 0; decode <= 1; decode++) {
            const pm_bucket bucket = {.rows = buckets[b], .seqs = buckets[b] < 256 ? buckets[b] : 256,
                                      .decode = decode == 1};
            PM_TRY(pm_decoder_record_body(recorder, &decoder, &bucket));
            PM_TRY(pm_decoder_record_head(recorder, &decoder, buckets[b]));
        }
    const pm_weight *packed[] = {&weights.embedding, layer.qkv.part, layer.down.part};
    for (size_t i = 0; i < COUNT(packed); i++)
        PM_TRY(pm_weight_pack_record(recorder, packed[i], 0, packed[i]->n, somewhere()));
    return PM_OK;
}

static pm_result draw_matmul(pm_vk_recorder *recorder, const pm_weight *weight, uint32_t rows)
{
    const pm_matmul m = {
        .weight = *weight, .bias = somewhere(), .x = somewhere(), .x_q8 = somewhere(), .y = somewhere(), .rows = somewhere(),
        .rows_max = rows, .x_stride = pm_row_stride(weight->k), .y_stride = pm_row_stride(weight->n)};
    const pm_vk_caps *caps = pm_vk_device_caps(pm_vk_recorder_device(recorder));
    for (uint32_t v = 0; pm_matmul_variant(v) != NULL; v++)
        if (pm_matmul_variant_fits(v, caps, &m))
            PM_TRY(pm_matmul_record_variant(recorder, &m, v));
    return PM_OK;
}

static pm_result draw_attention(pm_vk_recorder *recorder, const struct shape *s, pm_kv_type kv_type, uint32_t rows)
{
    const pm_attention a = {
        .q = somewhere(), .out = somewhere(), .kv = somewhere(), .block_tables = somewhere(),
        .row_seq = somewhere(), .row_start = somewhere(), .kv_len = somewhere(), .rows = somewhere(),
        .scratch = somewhere(),
        .layout = {.type = kv_type, .kv_heads = s->kv_heads, .head_dim = s->head_dim, .page_tokens = PAGE_TOKENS},
        .rows_max = rows, .seqs_max = rows, .rows_per_seq_max = rows, .kv_len_max = CONTEXT, .heads = s->heads,
        .q_stride = (s->heads + 2 * s->kv_heads) * s->head_dim, .out_stride = s->heads * s->head_dim,
        .table_stride = CONTEXT / PAGE_TOKENS, .scale = 1.0f};
    const pm_vk_caps *caps = pm_vk_device_caps(pm_vk_recorder_device(recorder));
    for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++)
        if (pm_attention_variant_fits(v, caps, &a))
            PM_TRY(pm_attention_record_variant(recorder, &a, v));
    return PM_OK;
}

static pm_result draw_forced(pm_vk_recorder *recorder, const struct shape *s, pm_dtype type)
{
    const pm_weight weights[] = {
        {.type = type, .n = s->dim, .k = s->heads * s->head_dim, .data = somewhere()},
        {.type = type, .n = 2 * s->hidden, .k = s->dim, .data = somewhere()},
        {.type = type, .n = s->dim, .k = s->hidden, .data = somewhere()},
        {.type = type, .n = s->vocab, .k = s->dim, .data = somewhere()},
    };
    for (size_t b = 0; b < COUNT(buckets); b++) {
        for (size_t w = 0; w < COUNT(weights); w++)
            PM_TRY(draw_matmul(recorder, &weights[w], buckets[b]));
        for (size_t t = 0; t < COUNT(kv_types); t++)
            if (has_pages(s, kv_types[t]))
                PM_TRY(draw_attention(recorder, s, kv_types[t], buckets[b]));
    }
    return PM_OK;
}

static bool is_few(pm_dtype type)
{
    for (size_t i = 0; i < COUNT(few_types); i++)
        if (few_types[i] == type)
            return true;
    return false;
}

static pm_result draw(pm_vk_device *device, bool forced, bool few)
{
    for (uint32_t id = 0; id < PM_DTYPE_LIMIT; id++) {
        const pm_dtype type = (pm_dtype)id;
        if (pm_dtype_get(id) == NULL || !pm_weight_supported(type) || (few && !is_few(type)))
            continue;
        for (size_t s = 0; s < COUNT(shapes); s++) {
            if (!has_type(&shapes[s], type))
                continue;
            pm_vk_recorder *recorder = NULL; /* one a model: it keeps all its dispatches */
            PM_TRY(pm_vk_recorder_create(device, &recorder));
            pm_result result = PM_OK;
            for (size_t t = 0; t < COUNT(kv_types) && result == PM_OK && !forced; t++)
                result = has_pages(&shapes[s], kv_types[t]) ? draw_model(recorder, &shapes[s], type, kv_types[t]) : PM_OK;
            if (forced)
                result = draw_forced(recorder, &shapes[s], type);
            pm_vk_recorder_destroy(recorder);
            PM_TRY(result);
        }
    }
    return PM_OK;
}

/* What runs around a forward pass, whatever the model's types. */
static pm_result draw_step(pm_vk_device *device)
{
    pm_vk_recorder *recorder = NULL;
    PM_TRY(pm_vk_recorder_create(device, &recorder));
    pm_result result = PM_OK;
    for (size_t s = 0; s < COUNT(shapes) && result == PM_OK; s++) {
        const pm_sample_op sample = {
            .logits = somewhere(), .rows = somewhere(), .params = somewhere(), .edits = somewhere(), .masks = somewhere(),
            .inputs = somewhere(), .input_rows = somewhere(), .saved = somewhere(), .tokens = somewhere(), .flags = somewhere(),
            .logprobs = somewhere(), .rows_max = 256, .n = shapes[s].vocab, .stride = shapes[s].vocab, .edits_max = 4096};
        result = pm_sample_record(recorder, &sample);
    }
    const pm_step_tokens tokens = {.tokens = somewhere(), .from = somewhere(), .picked = somewhere(), .rows = somewhere(),
                                   .rows_max = 2048, .vocab = 32000};
    if (result == PM_OK)
        result = pm_step_tokens_record(recorder, &tokens);
    const pm_page_copy_op copy = {.from = somewhere(), .to = somewhere(), .pairs = somewhere(), .count = somewhere(),
                                  .count_max = 256, .page_bytes = 4096};
    if (result == PM_OK)
        result = pm_page_copy_record(recorder, &copy);
    pm_vk_recorder_destroy(recorder);
    return result;
}

pm_result pipelines_draw(pm_vk_device *device, bool few, uint32_t *chosen)
{
    PM_TRY(draw(device, false, few));
    PM_TRY(draw_step(device));
    *chosen = pm_vk_pipeline_count(device);
    return few ? PM_OK : draw(device, true, false);
}
