/* engine/create.c - from a file name to an engine that can step. */
#include "engine/engine_impl.h"

#include "base/alloc.h"
#include "base/log.h"
#include "verify/start.h"

#define CONTEXT_DEFAULT 4096u      /* tokens, where the model's own limit is larger */
#define SCORE_BYTES (UINT64_C(64) << 20) /* logits of one scoring step */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static pm_result check_params(const pm_engine_params *p)
{
    if (p->model_path == NULL)
        return pm_fail(PM_ERR_ARG, "model_path is NULL");
    if (p->max_seqs > 256)
        return pm_fail(PM_ERR_ARG, "max_seqs is %u, expected at most 256", p->max_seqs);
    if (p->max_batch_tokens > 2048)
        return pm_fail(PM_ERR_ARG, "max_batch_tokens is %u, expected at most 2048", p->max_batch_tokens);
    if (p->page_tokens != 0 && p->page_tokens != 16 && p->page_tokens != 32)
        return pm_fail(PM_ERR_ARG, "page_tokens is %u, expected 16 or 32", p->page_tokens);
    if (pm_kv_type_name(p->kv_type) == NULL)
        return pm_fail(PM_ERR_ARG, "kv_type is %d, expected a pm_kv_type", (int)p->kv_type);
    return PM_OK;
}

static void resolve_sizes(pm_engine *e, const pm_engine_params *p)
{
    e->profile = p->profile;
    e->max_seqs = or_default(p->max_seqs, 16);
    e->max_batch_tokens = or_default(p->max_batch_tokens, 512);
    if (e->max_batch_tokens < e->max_seqs)
        e->max_batch_tokens = e->max_seqs;
    e->context = or_default(p->max_context_tokens, e->hparams.context < CONTEXT_DEFAULT ? e->hparams.context
                                                                                       : CONTEXT_DEFAULT);
    if (e->context > e->hparams.context)
        pm_warn("a context of %u tokens, the model was trained for %u", e->context, e->hparams.context);
    const uint64_t score_rows = SCORE_BYTES / ((uint64_t)pm_row_stride(e->hparams.vocab) * 4);
    e->score_rows = (uint32_t)min_u64(score_rows, e->max_batch_tokens);
    if (e->score_rows < e->max_seqs)
        e->score_rows = e->max_seqs;
}

static uint32_t pages_of(uint32_t tokens, uint32_t page_tokens)
{
    return (tokens + page_tokens - 1) / page_tokens;
}

static pm_kv_layout layout_of(const pm_engine *e, const pm_engine_params *p)
{
    return (pm_kv_layout){.type = p->kv_type, .kv_heads = e->hparams.kv_heads, .head_dim = e->hparams.head_dim,
                          .page_tokens = or_default(p->page_tokens, 16)};
}

/* One budget, fixed here: kv_bytes, or a full context for every fourth sequence, within
 * 90 % of the memory that the weights left. */
static pm_result create_kv(pm_engine *e, const pm_engine_params *p)
{
    const pm_kv_layout layout = layout_of(e, p);
    const uint64_t page_bytes = pm_kv_page_bytes(&layout) * e->hparams.layers;
    const uint64_t context_pages = pages_of(e->context, layout.page_tokens);
    const uint64_t free_pages = pm_vk_device_free_bytes(e->device) / 10 * 9 / page_bytes;
    const uint64_t wanted = p->kv_bytes != 0 ? p->kv_bytes / page_bytes : context_pages * ((e->max_seqs + 3) / 4);
    uint64_t pages = p->kv_bytes != 0 ? wanted : min_u64(wanted, free_pages);
    if (pages < context_pages && (p->max_context_tokens != 0 || pages < 2))
        return pm_fail(p->kv_bytes != 0 ? PM_ERR_ARG : PM_ERR_DEVMEM,
                       "a context of %u tokens needs %llu bytes of KV pages, %s has %llu", e->context,
                       (unsigned long long)(context_pages * page_bytes), p->kv_bytes != 0 ? "the pool" : "the device",
                       (unsigned long long)(pages * page_bytes));
    if (pages < context_pages) {
        e->context = (uint32_t)pages * layout.page_tokens;
        pm_warn("the KV pool has room for a context of %u tokens", e->context);
    }
    pages = min_u64(pages, UINT32_MAX / 64);
    return pm_kv_store_init(&e->kv, e->device, &layout, e->hparams.layers, (uint32_t)pages);
}

/* The different matmuls of the model, by type and shape: at most so many. */
#define START_WEIGHTS_MAX 128u

static void add_weights(const pm_linear *linear, pm_weight *list, uint32_t *count)
{
    for (uint32_t p = 0; p < linear->part_count; p++) {
        const pm_weight *w = &linear->part[p];
        bool known = *count == START_WEIGHTS_MAX; /* the first ones are enough */
        for (uint32_t i = 0; i < *count; i++)
            known |= list[i].type == w->type && list[i].n == w->n && list[i].k == w->k;
        if (!known)
            list[(*count)++] = (pm_weight){.type = w->type, .n = w->n, .k = w->k};
    }
}

/* The kernels that the plans are about to pick are right on this device, or off. */
static pm_result check_kernels(pm_engine *e, const pm_engine_params *p)
{
    pm_weight weights[START_WEIGHTS_MAX];
    pm_start start = {
        .weights = weights,
        .embedding = e->weights.embedding.type,
        .dim = e->hparams.dim,
        .hidden = e->hparams.hidden,
        .vocab = e->hparams.vocab,
        .rows_max = e->max_batch_tokens,
        .heads = e->hparams.heads,
        .window = e->hparams.window,
        .layout = e->kv.layout,
        .deterministic = p->deterministic,
    };
    add_weights(&e->weights.output, weights, &start.weight_count);
    for (uint32_t layer = 0; layer < e->hparams.layers; layer++) {
        const pm_layer_weights *w = &e->weights.layers[layer];
        add_weights(&w->qkv, weights, &start.weight_count);
        add_weights(&w->attention_out, weights, &start.weight_count);
        add_weights(&w->gate_up, weights, &start.weight_count);
        add_weights(&w->down, weights, &start.weight_count);
    }
    return pm_start_verify(e->device, &start);
}

static pm_result create_crank(pm_engine *e, const pm_engine_params *p)
{
    const pm_sched_params sched = {
        .max_seqs = e->max_seqs,
        .max_batch_tokens = e->max_batch_tokens,
        .max_outs = e->score_rows,
        .page_count = e->kv.pages,
        .page_tokens = e->kv.layout.page_tokens,
    };
    const pm_plans_params plans = {
        .device = e->device,
        .hparams = &e->hparams,
        .weights = &e->weights,
        .kv = &e->kv,
        .rows_max = e->max_batch_tokens,
        .seqs_max = e->max_seqs,
        .outs_max = e->score_rows,
        .context = e->context,
        .deterministic = p->deterministic,
        .progress = p->progress,
        .progress_context = p->progress_context,
    };
    PM_TRY(pm_sched_create(&sched, &e->sched));
    PM_TRY(pm_sampler_create(e->hparams.vocab, &e->sampler));
    PM_TRY(pm_events_init(&e->events, e->tokenizer, e->max_seqs));
    return pm_plans_create(&plans, &e->plans);
}

static pm_result check_vocab(const pm_engine *e, const char *path)
{
    const uint32_t tokens = pm_tokenizer_size(e->tokenizer);
    if (tokens > e->hparams.vocab)
        return pm_fail(PM_ERR_FORMAT, "%s: the vocabulary has %u tokens, token_embd.weight only %u rows", path, tokens,
                       e->hparams.vocab);
    return PM_OK;
}

static pm_result create_in(pm_engine *e, const pm_engine_params *p, const pm_model_file *file)
{
    const pm_gguf *gguf = pm_model_file_gguf(file);
    PM_TRY(pm_hparams_read(gguf, &e->hparams));
    const pm_kv_layout layout = layout_of(e, p);
    PM_TRY(pm_kv_layout_check(&layout));
    PM_TRY(pm_tokenizer_create(file, &e->tokenizer));
    PM_TRY(check_vocab(e, p->model_path));
    resolve_sizes(e, p);
    PM_TRY(pm_vk_device_open(p->device, p->profile, &e->device));
    PM_TRY(pm_weights_load(e->device, gguf, &e->hparams, e->context, p->progress, p->progress_context, &e->weights));
    PM_TRY(create_kv(e, p));
    PM_TRY(check_kernels(e, p));
    PM_TRY(create_crank(e, p));
    pm_log(PM_LOG_ENGINE, "%s: context %u, %u sequences, %u tokens a step, %u pages of %u tokens", p->model_path,
           e->context, e->max_seqs, e->max_batch_tokens, e->kv.pages, e->kv.layout.page_tokens);
    return PM_OK;
}

pm_result pm_engine_create(const pm_engine_params *params, pm_engine **out)
{
    PM_TRY(check_params(params));
    pm_model_file *file = NULL;
    PM_TRY(pm_model_file_open(params->model_path, &file));
    pm_engine *e = pm_alloc(1, sizeof(*e), "engine");
    pm_result result = PM_ERR_NOMEM;
    if (e != NULL) {
        pthread_mutex_init(&e->lock, NULL);
        e->inbox_tail = &e->inbox;
        e->next_id = 1;
        result = create_in(e, params, file);
    }
    pm_model_file_close(file);
    if (result != PM_OK) {
        pm_engine_destroy(e);
        return result;
    }
    *out = e;
    return PM_OK;
}

static void destroy_requests(pm_request *request)
{
    while (request != NULL) {
        pm_request *next = request->next;
        pm_request_destroy(request);
        request = next;
    }
}

void pm_engine_destroy(pm_engine *e)
{
    if (e == NULL)
        return;
    destroy_requests(e->inbox);
    destroy_requests(e->requests);
    pm_events_finish(&e->events);
    pm_sampler_destroy(e->sampler);
    pm_plans_destroy(e->plans);
    pm_sched_destroy(e->sched);
    pm_kv_store_finish(&e->kv);
    pm_weights_finish(&e->weights);
    pm_vk_device_close(e->device);
    pm_tokenizer_destroy(e->tokenizer);
    pthread_mutex_destroy(&e->lock);
    pm_free(e);
}
