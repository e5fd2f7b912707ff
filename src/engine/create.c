/* engine/create.c - from a file name to an engine that can step. */
#include "engine/engine_impl.h"

#include "base/alloc.h"
#include "base/log.h"

#include <time.h>

#define CONTEXT_DEFAULT 4096u      /* tokens, where the model's own limit is larger */
#define STEP_US 1e6                 /* a step should take no longer: the engine answers between two */
#define RESERVE 100                /* of so many pages one stays free at admission, for those that run to grow into */
#define SCORE_BYTES (UINT64_C(64) << 20) /* logits of one scoring step */

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
    if (p->max_queue > 65536)
        return pm_fail(PM_ERR_ARG, "max_queue is %u, expected at most 65536", p->max_queue);
    if (p->submit_ms > 10000)
        return pm_fail(PM_ERR_ARG, "submit_ms is %u, expected at most 10000", p->submit_ms);
    if ((unsigned)p->warm_up > PM_WARM_UP_STEPS)
        return pm_fail(PM_ERR_ARG, "warm_up is %d, expected a pm_warm_up", (int)p->warm_up);
    if (pm_kv_type_name(p->kv_type) == NULL)
        return pm_fail(PM_ERR_ARG, "kv_type is %d, expected a pm_kv_type", (int)p->kv_type);
    return PM_OK;
}

/* The parameters with owned strings and without zeros that mean something else. */
static pm_result keep_params(pm_engine *e, const pm_engine_params *p)
{
    e->params = *p;
    e->params.model_path = e->params.draft_path = e->params.device = NULL;
    e->params.submit_ms = or_default(p->submit_ms, 100);
    e->params.model_path = pm_strdup(p->model_path, "model path");
    if (e->params.model_path == NULL)
        return PM_ERR_NOMEM;
    if (p->draft_path != NULL && (e->params.draft_path = pm_strdup(p->draft_path, "draft path")) == NULL)
        return PM_ERR_NOMEM;
    if (p->device != NULL && (e->params.device = pm_strdup(p->device, "device name")) == NULL)
        return PM_ERR_NOMEM;
    return PM_OK;
}

void pm_engine_size_step(pm_engine *e, uint32_t rows)
{
    const uint64_t score_rows = SCORE_BYTES / ((uint64_t)pm_row_stride(e->model.hparams.vocab) * 4);
    e->max_batch_tokens = rows < e->max_seqs ? e->max_seqs : rows;
    e->score_rows = score_rows < e->max_batch_tokens ? (uint32_t)score_rows : e->max_batch_tokens;
    if (e->score_rows < e->max_seqs)
        e->score_rows = e->max_seqs;
}

static void resolve_sizes(pm_engine *e)
{
    const pm_engine_params *p = &e->params;
    e->max_seqs = or_default(p->max_seqs, 16);
    e->max_queue = or_default(p->max_queue, 4 * e->max_seqs);
    pm_engine_size_step(e, or_default(p->max_batch_tokens, 512));
    e->context = or_default(p->max_context_tokens, e->model.hparams.context < CONTEXT_DEFAULT ? e->model.hparams.context
                                                                                       : CONTEXT_DEFAULT);
    if (e->context > e->model.hparams.context)
        pm_warn("a context of %u tokens, the model was trained for %u", e->context, e->model.hparams.context);
    e->model.layout = (pm_kv_layout){.type = p->kv_type, .kv_heads = e->model.hparams.kv_heads,
                                     .head_dim = e->model.hparams.head_dim,
                                     .page_tokens = or_default(p->page_tokens, 16)};
}

/* Events of one step at most: an echo, a token and those that were guessed for each running
 * sequence, and an end for each request there can be. */
static size_t events_max(const pm_engine *e)
{
    return (size_t)e->max_seqs * (PM_DRAFT_TOKENS_MAX + 2) + e->max_queue;
}

static pm_result create_crank(pm_engine *e)
{
    const pm_sched_params sched = {
        .max_seqs = e->max_seqs,
        .max_batch_tokens = e->max_batch_tokens,
        .max_outs = e->score_rows,
        .page_count = e->pages,
        .page_tokens = e->model.layout.page_tokens,
        .reserve_pages = e->pages / RESERVE,
        .swap_slots = e->slots,
        .no_cache = e->params.no_prefix_cache,
    };
    PM_TRY(pm_sched_create(&sched, &e->sched));
    PM_TRY(pm_sampling_init(&e->sampling, e->tokenizer, e->model.hparams.vocab, e->score_rows, e->max_seqs));
    /* Where the first token is waited for, a CPU driver's 0.8 s of compiling for tokens that the host picks in 0.1 ms. */
    e->sampling.host_only = pm_vk_device_caps(e->device)->is_cpu && e->params.warm_up == PM_WARM_UP_NOTHING;
    PM_TRY(pm_events_init(&e->events, e->tokenizer, events_max(e)));
    e->picked = pm_alloc(e->score_rows, sizeof(*e->picked), "picked tokens");
    if (e->picked == NULL)
        return PM_ERR_NOMEM;
    pm_pace_init(&e->pace, e->max_batch_tokens, STEP_US,
                 pm_vk_device_caps(e->device)->is_cpu && e->params.warm_up != PM_WARM_UP_STEPS);
    if (e->params.draft_path != NULL)
        PM_TRY(pm_draft_init(e));
    return PM_OK;
}

static pm_result check_vocab(const pm_engine *e)
{
    const uint32_t tokens = pm_tokenizer_size(e->tokenizer);
    if (tokens > e->model.hparams.vocab)
        return pm_fail(PM_ERR_FORMAT, "%s: the vocabulary has %u tokens, token_embd.weight only %u rows",
                       e->params.model_path, tokens, e->model.hparams.vocab);
    return PM_OK;
}

/* draft: NULL without draft_path. */
static pm_result create_in(pm_engine *e, const pm_engine_params *p, const pm_model_file *file,
                           const pm_model_file *draft)
{
    const pm_gguf *gguf = pm_model_file_gguf(file);
    PM_TRY(keep_params(e, p));
    PM_TRY(pm_hparams_read(gguf, &e->model.hparams));
    resolve_sizes(e);
    PM_TRY(pm_kv_layout_check(&e->model.layout));
    PM_TRY(pm_tokenizer_create(file, &e->tokenizer));
    PM_TRY(check_vocab(e));
    if (draft != NULL)
        PM_TRY(pm_draft_read(e, draft));
    PM_TRY(pm_engine_open_device(e, gguf, draft != NULL ? pm_model_file_gguf(draft) : NULL));
    PM_TRY(create_crank(e));
    e->params.progress = NULL; /* the caller's for this call only */
    pm_engine_fill_info(e);
    pm_log(PM_LOG_ENGINE, "%s: context %u, %u sequences, %u tokens a step, %u pages of %u tokens", p->model_path,
           e->context, e->max_seqs, e->max_batch_tokens, e->pages, e->model.layout.page_tokens);
    return PM_OK;
}

static void init_lock(pm_engine *e)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&e->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

pm_result pm_engine_create(const pm_engine_params *params, pm_engine **out)
{
    PM_TRY(check_params(params));
    pm_model_file *file = NULL, *draft = NULL;
    pm_engine *e = pm_alloc(1, sizeof(*e), "engine");
    if (e == NULL)
        return PM_ERR_NOMEM;
    init_lock(e);
    e->inbox_tail = &e->inbox;
    e->next_id = 1;
    pm_result result = pm_model_file_open(params->model_path, &file);
    if (result == PM_OK && params->draft_path != NULL)
        result = pm_model_file_open(params->draft_path, &draft);
    if (result == PM_OK)
        result = create_in(e, params, file, draft);
    pm_model_file_close(draft);
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
    pm_engine_close_device(e); /* waits */
    destroy_requests(e->inbox);
    destroy_requests(e->requests);
    destroy_requests(e->ended);
    pm_events_finish(&e->events);
    pm_free(e->picked);
    pm_draft_finish(&e->draft);
    pm_sampling_finish(&e->sampling);
    pm_sched_destroy(e->sched);
    pm_tokenizer_destroy(e->tokenizer);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->lock);
    pm_free((char *)(uintptr_t)e->params.model_path);
    pm_free((char *)(uintptr_t)e->params.draft_path);
    pm_free((char *)(uintptr_t)e->params.device);
    pm_free(e);
}
